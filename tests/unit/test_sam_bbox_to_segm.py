"""From boxes to polygons: with drawn masks, with a small SAM 2, and with a small first SAM."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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

from no_time_to_train.dataset import box_segmenters, sam_bbox_to_segm_batch
from no_time_to_train.dataset.annotations import CocoAnnotations
from no_time_to_train.dataset.box_segmenters import Sam1Boxes, usable_device
from no_time_to_train.dataset.mask_polygons import outer_polygons
from no_time_to_train.dataset.sam_bbox_to_segm_batch import complete, load_segmenter, main
from no_time_to_train.errors import InputError
from sam2 import build_sam2
from tests.golden import deterministic

ROOT = Path(__file__).parents[2]


def mask(height: int = 12, width: int = 16) -> np.ndarray:
    return np.zeros((height, width), dtype=bool)


def corners(polygon: list[float]) -> set[tuple[float, float]]:
    return set(zip(polygon[::2], polygon[1::2], strict=True))


# --- masks to polygons


def test_outer_polygons__a_rectangle_has_its_corner_pixels() -> None:
    rectangle = mask()
    rectangle[2:5, 1:6] = True  # rows 2 to 4, columns 1 to 5
    (polygon,) = outer_polygons(rectangle)
    assert len(polygon) == 8
    assert corners(polygon) == {(1, 2), (5, 2), (5, 4), (1, 4)}
    assert all(type(number) is float for number in polygon)


def test_outer_polygons__holes_are_filled_and_pieces_kept_apart() -> None:
    two = mask()
    two[1:8, 1:8] = True
    two[3:6, 3:6] = False
    two[9:11, 10:14] = True
    polygons = sorted(outer_polygons(two))
    assert [corners(polygon) for polygon in polygons] == [
        {(1, 1), (7, 1), (7, 7), (1, 7)},
        {(10, 9), (13, 9), (13, 10), (10, 10)},
    ]


def test_outer_polygons__lines_and_points_are_left_out() -> None:
    thin = mask()
    thin[3, 2:9] = True
    thin[8, 8] = True
    assert outer_polygons(thin) == []


def test_complete__area_counts_pixels_without_the_hole() -> None:
    ring = mask()
    ring[1:8, 1:8] = True
    ring[3:6, 3:6] = False
    entry = {"id": 5, "image_id": 1, "bbox": [1.0, 1.0, 7.0, 7.0]}
    complete(entry, ring)
    assert entry["area"] == 49 - 9
    assert type(entry["area"]) is int


def test_complete__an_empty_mask_becomes_the_box_with_a_warning(caplog) -> None:
    entry = {"id": 5, "image_id": "x", "bbox": [2.0, 1.0, 6.0, 4.0]}
    complete(entry, mask())
    assert entry["segmentation"] == [[2.0, 1.0, 8.0, 1.0, 8.0, 5.0, 2.0, 5.0]]
    assert entry["area"] == 24
    assert "annotation 5 of image 'x'" in caplog.text


# --- the tool, with masks drawn by hand


def draw_ellipses(image: Image.Image, boxes: np.ndarray) -> np.ndarray:
    """The ellipse in each box, (P, H, W)."""
    rows, columns = np.mgrid[: image.height, : image.width] + 0.5
    x1, y1, x2, y2 = boxes.T[..., None, None]
    across, down = (2 * columns - x1 - x2) / (x2 - x1), (2 * rows - y1 - y2) / (y2 - y1)
    return across**2 + down**2 < 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images with boxes, one of them in a sub-folder, and one without."""
    for name in ("a.png", "sub/b.jpg", "empty.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), "grey").save(path)
    document = {
        "info": {"year": 2017},
        "licenses": [],
        "images": [
            {"id": 1, "file_name": "a.png", "height": 40, "width": 60, "camera": "x"},
            {"id": "two", "file_name": "sub/b.jpg", "height": 40, "width": 60},
            {"id": 3, "file_name": "empty.png", "height": 40, "width": 60},
        ],
        "annotations": [
            {"id": 7, "image_id": "two", "category_id": 16, "bbox": [10, 5, 40, 30], "by": "me"},
            {"id": 8, "image_id": 1, "category_id": 9, "bbox": [2, 2, 20, 10], "segmentation": []},
            {"id": 9, "image_id": "two", "category_id": 9, "bbox": [0, 0, 12, 12], "iscrowd": 0},
        ],
        "categories": [{"id": 9, "name": "boat", "level": 1}, {"id": 16, "name": "bird"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(document))
    return tmp_path


def arguments(folder: Path, *more: str) -> list[str]:
    return [
        *("--input_json", str(folder / "boxes.json"), "--image_dir", str(folder / "images")),
        *("--sam_checkpoint", str(folder / "sam.pth"), "--device", "cpu", *more),
    ]


@pytest.fixture
def ellipses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sam_bbox_to_segm_batch, "load_segmenter", lambda *_: draw_ellipses)


@pytest.mark.usefixtures("ellipses")
def test_main__adds_masks_and_changes_nothing_else(folder: Path) -> None:
    before = json.loads((folder / "boxes.json").read_text())
    main(arguments(folder))
    after = json.loads((folder / "boxes_with_segm.json").read_text())
    # An ellipse of semi-axes a and b has a b pi pixels.
    areas = {entry["id"]: entry.pop("area") for entry in after["annotations"]}
    assert areas == pytest.approx({7: 20 * 15 * np.pi, 8: 10 * 5 * np.pi, 9: 36 * np.pi}, rel=0.02)
    for entry in after["annotations"]:
        (polygon,) = entry.pop("segmentation")
        x, y, w, h = entry["bbox"]
        assert (min(polygon[::2]), max(polygon[::2])) == (x, x + w - 1)
        assert (min(polygon[1::2]), max(polygon[1::2])) == (y, y + h - 1)
    before["annotations"][1].pop("segmentation")
    assert after == before
    assert json.loads((folder / "boxes.json").read_text()) != after  # the input is left alone
    assert not (folder / "boxes_with_SAM_segm").exists()


@pytest.mark.usefixtures("ellipses")
def test_main__visualize_draws_the_images_with_boxes(folder: Path) -> None:
    main(arguments(folder, "--visualize"))
    pictures = folder / "boxes_with_SAM_segm"
    files = {str(path.relative_to(pictures)) for path in pictures.rglob("*") if path.is_file()}
    assert files == {"a.png", "sub/b.jpg"}
    pixels = np.array(Image.open(pictures / "a.png")).astype(int)
    assert pixels.shape == (40, 60, 3)
    assert np.ptp(pixels[7, 12]) > 20  # the middle of the ellipse is tinted
    assert np.ptp(pixels[38, 58]) == 0


@pytest.mark.usefixtures("ellipses")
def test_main__its_result_is_read_as_references(folder: Path) -> None:
    main(arguments(folder))
    annotations = CocoAnnotations.read(folder / "boxes_with_segm.json")
    assert len(annotations.images) == 3
    assert all(annotation.segmentation for annotation in annotations.annotations)


def test_main__leaves_no_file_when_it_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: Image.Image, boxes: np.ndarray) -> np.ndarray:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(sam_bbox_to_segm_batch, "load_segmenter", lambda *_: fail)
    before = set(folder.iterdir())
    with pytest.raises(RuntimeError):
        main(arguments(folder))
    assert set(folder.iterdir()) == before


# --- wrong input, told before a model is built


@pytest.mark.usefixtures("ellipses")
@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("boxes.json", "no such file"),
        ("images/sub/b.jpg", "--image_dir: 1 of 2 images are not in"),
        ("images", "--image_dir: there is no folder"),
    ],
)
def test_main__missing_input(folder: Path, missing: str, sentence: str) -> None:
    path = folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=sentence):
        main(arguments(folder))


def test_main__missing_checkpoint(folder: Path) -> None:
    with pytest.raises(InputError, match=r"there is no checkpoint .*sam\.pth"):
        main(arguments(folder))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<html>", "is not a checkpoint that can be read"),
        ([1, 2], "holds list and no named weights"),
        ({"model": {"backbone": torch.zeros(1)}}, "no weights of SAM 2 nor of the first SAM"),
        ({"cls_token": torch.zeros(1)}, "no weights of SAM 2 nor of the first SAM"),
    ],
)
def test_main__a_checkpoint_of_something_else(folder: Path, content: object, sentence: str) -> None:
    path = folder / "sam.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(InputError, match=sentence):
        main(arguments(folder))
    assert not (folder / "boxes_with_segm.json").exists()


def test_script__wrong_input_is_one_line_and_exit_code_2(folder: Path) -> None:
    script = ROOT / "no_time_to_train" / "dataset" / "sam_bbox_to_segm_batch.py"
    (folder / "boxes.json").write_text("[]")
    command = [sys.executable, str(script), *arguments(folder)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_usable_device__falls_back_to_the_cpu_with_a_warning(monkeypatch, caplog) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert usable_device("cuda") == torch.device("cpu")
    assert "no usable GPU for --device cuda" in caplog.text


def test_usable_device__refuses_what_does_not_exist() -> None:
    with pytest.raises(InputError, match="--device gpu does not exist here; give cpu"):
        usable_device("gpu")


# --- SAM 2


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
    assert "sam2_hiera_demo; they need no --model_type" in caplog.text


def test_sam2__a_named_preset_must_fit(sam2_checkpoint: Path) -> None:
    load_segmenter(sam2_checkpoint, "sam2_hiera_demo", "cpu", 8)
    with pytest.raises(InputError, match=r"demo\.pt.*sam2_hiera_t"):
        load_segmenter(sam2_checkpoint, "sam2_hiera_t", "cpu", 8)


# --- the first SAM


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


def test_read_checkpoint__runs_nothing_in_the_file(tmp_path: Path) -> None:
    torch.save({"model": print}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="is not a checkpoint that can be read"):
        box_segmenters.read_checkpoint(tmp_path / "evil.pth")
