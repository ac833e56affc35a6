"""Boxes to masks with a small SAM 2 and a small first SAM, made-up weights in both."""

import logging
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.dataset.box_segmenters import Sam1Boxes, read_checkpoint, usable_device
from no_time_to_train.dataset.sam_bbox_to_segm_batch import load_segmenter, main
from no_time_to_train.errors import InputError
from sam2 import build_sam2
from tests.golden import deterministic

ROOT = Path(__file__).parents[2]


def test_usable_device__falls_back_to_the_cpu_with_a_warning(monkeypatch, caplog) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert usable_device("cuda") == torch.device("cpu")
    assert "no usable GPU for --device cuda" in caplog.text


def test_usable_device__refuses_what_does_not_exist() -> None:
    with pytest.raises(InputError, match="--device gpu does not exist here; give cpu"):
        usable_device("gpu")


@pytest.fixture(scope="module")
def sam2_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shapes = build_sam2("sam2_hiera_demo").state_dict()
    state = {name: deterministic.weight(name, value.shape) for name, value in shapes.items()}
    path = tmp_path_factory.mktemp("sam2") / "demo.pt"
    torch.save({"model": {name: torch.from_numpy(value) for name, value in state.items()}}, path)
    return path


def test_sam2__masks_are_those_of_the_box_prompt(sam2_checkpoint: Path) -> None:
    image = Image.open(ROOT / "photos/images/coins_top.png").convert("RGB")  # 384 x 88
    boxes = np.array([[305, 16, 365, 72], [132, 29, 179, 74]], np.float32)
    masks = load_segmenter(sam2_checkpoint, "vit_h", "cpu", 8)(image, boxes)

    model = build_sam2("sam2_hiera_demo", sam2_checkpoint)  # its frame is 256 x 256
    pixels = torch.from_numpy(np.array(image.resize((256, 256)))).permute(2, 0, 1)[None] / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    features = model.encode((pixels - mean[:, None, None]) / std[:, None, None])
    scale = torch.tensor([256 / 384, 256 / 88, 256 / 384, 256 / 88])
    logits, _ = model.predict_boxes(features, torch.from_numpy(boxes) * scale)
    expected = F.interpolate(logits[:, :1], (88, 384), mode="bilinear")[:, 0] > 0
    assert masks.shape == (2, 88, 384)
    assert 0 < masks.sum() < masks.size
    assert (masks != expected.numpy()).mean() < 1e-3  # rounding next to logit 0


def test_sam2__batch_size_changes_no_mask(sam2_checkpoint: Path) -> None:
    image = Image.open(ROOT / "photos/images/coins_bottom.png").convert("RGB")
    corner = np.random.default_rng(0).uniform(0, 150, (5, 2))
    boxes = np.concatenate([corner, corner + 40], axis=1).astype(np.float32)
    one, many = (load_segmenter(sam2_checkpoint, "vit_h", "cpu", size) for size in (1, 8))
    assert (one(image, boxes) != many(image, boxes)).mean() < 1e-3


def test_sam2__published_command_on_the_photographs(
    sam2_checkpoint: Path, tmp_path: Path, caplog
) -> None:
    caplog.set_level(logging.INFO)
    source = tmp_path / "custom_references.json"
    shutil.copy(ROOT / "photos/annotations/custom_references.json", source)
    main(
        f"--input_json {source} --image_dir {ROOT}/photos/images "
        f"--sam_checkpoint {sam2_checkpoint} --model_type vit_h --device cpu --batch_size 8 "
        "--visualize".split()
    )
    annotations = CocoAnnotations.read(tmp_path / "custom_references_with_segm.json")
    assert [annotation.id for annotation in annotations.annotations] == [1, 2, 3]
    assert all(annotation.segmentation for annotation in annotations.annotations)
    pictures = {path.name for path in (tmp_path / "custom_references_with_SAM_segm").iterdir()}
    assert pictures == {"coins_top.png", "motorcycle_left.jpg"}
    assert "sam2_hiera_demo; --model_type is not needed" in caplog.text


def test_sam2__a_named_preset_must_fit(sam2_checkpoint: Path) -> None:
    load_segmenter(sam2_checkpoint, "sam2_hiera_demo", "cpu", 8)
    with pytest.raises(InputError, match=r"demo\.pt.*sam2_hiera_t"):
        load_segmenter(sam2_checkpoint, "sam2_hiera_t", "cpu", 8)


def small_sam(width: int = 32) -> Sam:
    """The first SAM as the package builds it, with few channels and a frame of 128 pixels."""
    return Sam(
        ImageEncoderViT(
            img_size=128,
            embed_dim=width,
            depth=2,
            num_heads=2,
            out_chans=32,
            use_rel_pos=True,
            window_size=4,
            global_attn_indexes=(1,),
        ),
        PromptEncoder(32, (8, 8), (128, 128), mask_in_chans=4),
        MaskDecoder(
            transformer_dim=32,
            transformer=TwoWayTransformer(depth=1, embedding_dim=32, num_heads=2, mlp_dim=32),
        ),
    )


@pytest.fixture
def sam1_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(sam_model_registry, "vit_b", small_sam)
    monkeypatch.setitem(sam_model_registry, "vit_l", lambda: small_sam(width=16))
    model = small_sam()
    state = {
        name: torch.from_numpy(deterministic.weight(name, tuple(value.shape)))
        for name, value in model.state_dict().items()
    }
    torch.save(state, tmp_path / "sam_vit_b.pth")
    return tmp_path / "sam_vit_b.pth"


def test_sam1__masks_are_those_of_the_package(sam1_checkpoint: Path) -> None:
    image = Image.open(ROOT / "photos/images/coins_top.png").convert("RGB")
    boxes = np.array([[305, 16, 365, 72], [132, 29, 179, 74], [0, 0, 80, 60]], np.float32)
    segment = load_segmenter(sam1_checkpoint, "vit_b", "cpu", 2)
    assert isinstance(segment, Sam1Boxes)
    masks = segment(image, boxes)

    model = small_sam().eval()
    model.load_state_dict(torch.load(sam1_checkpoint))
    predictor = SamPredictor(model)
    predictor.set_image(np.array(image))
    for mask_of_box, box in zip(masks, boxes, strict=True):
        (expected,), _, _ = predictor.predict(box=box, multimask_output=False)
        assert mask_of_box.shape == expected.shape == (88, 384)
        assert (mask_of_box != expected).mean() < 1e-3
    assert 0 < masks.sum() < masks.size


def test_sam1__weights_of_another_size(sam1_checkpoint: Path) -> None:
    with pytest.raises(InputError, match="does not hold the weights of --model_type vit_l"):
        load_segmenter(sam1_checkpoint, "vit_l", "cpu", 8)


def test_sam1__package_missing(sam1_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_package: ModuleType | None = None
    monkeypatch.setitem(sys.modules, "segment_anything", no_package)
    with pytest.raises(InputError, match="pip install segment-anything"):
        load_segmenter(sam1_checkpoint, "vit_b", "cpu", 8)


def test_sam1__a_sam2_preset_for_its_weights(sam1_checkpoint: Path) -> None:
    with pytest.raises(InputError, match="first SAM"):
        load_segmenter(sam1_checkpoint, "sam2_hiera_t", "cpu", 8)


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"model": state}])
def test_read_checkpoint__values_that_are_not_finite_are_named(tmp_path: Path, wrap: Any) -> None:
    weights = {"good": torch.ones(2), "bad.weight": torch.tensor([1, float("nan")])}
    torch.save(wrap(weights), tmp_path / "nan.pth")
    with pytest.raises(InputError, match=r"nan\.pth: the tensor bad\.weight holds NaN"):
        read_checkpoint(tmp_path / "nan.pth")


def test_read_checkpoint__runs_nothing_in_the_file(tmp_path: Path) -> None:
    torch.save({"model": print}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"builtins.print, .* not opened"):
        read_checkpoint(tmp_path / "evil.pth")
