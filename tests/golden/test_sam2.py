"""SAM 2 against the published system: tensor names, and outputs with deterministic weights."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sam2 import PRESETS, build_sam2
from tests.golden import deterministic

GOLDEN = Path(__file__).parent
PRESET_OF = {  # as the golden files call them -> as we do
    "tiny": "sam2_hiera_t",
    "small": "sam2_hiera_s",
    "base_plus": "sam2_hiera_b+",
    "large": "sam2_hiera_l",
}
VIDEO_AND_UNUSED = {  # first parts of names that an official checkpoint holds beyond the image half
    "maskmem_tpos_enc",
    "no_mem_embed",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "mask_downsample",
    "memory_attention",
    "memory_encoder",
    "obj_ptr_proj",
    "sam_prompt_encoder.mask_downscaling",
    "sam_mask_decoder.pred_obj_score_head",
}
DECODERS = "plain", "fast"
LIMIT = 1e-4
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


@pytest.fixture(scope="module", params=PRESET_OF)
def run(request):
    """One network, run once on the golden inputs: image, 16 points, 4 boxes, by both decoders."""
    size = request.param
    golden = {
        name: torch.from_numpy(array)
        for name, array in np.load(GOLDEN / f"sam2_hiera_{size}.npz").items()
    }
    model = build_sam2(PRESET_OF[size])
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, tensor in model.state_dict().items():
        tensor.copy_(torch.from_numpy(deterministic.weight(name, tuple(tensor.shape))))
    image = torch.from_numpy(deterministic.image("sam.image", 1024, 1024))
    features = model.encode(((image - MEAN) / STD)[None])
    decoded = {}
    for model.decoder in DECODERS:
        decoded[model.decoder] = (
            model.predict_points(features, golden["points"]),
            model.predict_boxes(features, golden["boxes"]),
        )
    return SimpleNamespace(
        size=size,
        shapes=shapes,
        golden=golden,
        features=features,
        of_points={name: of_points for name, (of_points, _) in decoded.items()},
        of_boxes={name: of_boxes for name, (_, of_boxes) in decoded.items()},
    )


def relative_error(ours: torch.Tensor, golden: torch.Tensor) -> float:
    assert ours.shape == golden.shape
    return float((ours.double() - golden.double()).norm() / golden.double().norm())


def manifest(size: str) -> dict[str, list[int]]:
    return json.loads((GOLDEN / "manifests" / f"sam2_hiera_{size}.json").read_text())


def test_state_dict__has_the_names_and_shapes_of_the_official_checkpoint(run):
    official = manifest(run.size)
    beyond = {name: shape for name, shape in official.items() if name not in run.shapes}
    assert run.shapes == {name: shape for name, shape in official.items() if name not in beyond}
    first_parts = {
        ".".join(name.split(".")[: 2 if name.startswith("sam_") else 1]) for name in beyond
    }
    assert first_parts == VIDEO_AND_UNUSED


def test_sam_2_1_presets__have_the_image_half_of_sam_2():
    for name in PRESET_OF.values():
        newer = PRESETS[name.replace("sam2_", "sam2.1_")]
        assert {**vars(newer), "url": None} == {**vars(PRESETS[name]), "url": None}


def test_encode__image_embedding(run):
    ours = run.features.embedding[0, ::8, ::4, ::4]
    assert relative_error(ours, run.golden["image_embedding"]) < LIMIT


def test_encode__high_resolution_features(run):
    stride_4 = run.features.high_res_0[0, ::4, ::16, ::16]
    stride_8 = run.features.high_res_1[0, ::8, ::8, ::8]
    assert relative_error(stride_4, run.golden["high_res_0"]) < LIMIT
    assert relative_error(stride_8, run.golden["high_res_1"]) < LIMIT


@pytest.mark.parametrize("decoder", DECODERS)
def test_predict_points__masks_and_ious(run, decoder):
    masks, ious = run.of_points[decoder]
    assert relative_error(ious, run.golden["point_ious"]) < LIMIT
    assert relative_error(masks[:, :, ::16, ::16], run.golden["point_masks"]) < LIMIT


@pytest.mark.parametrize("decoder", DECODERS)
def test_predict_boxes__masks_and_ious(run, decoder):
    masks, ious = run.of_boxes[decoder]
    assert relative_error(ious, run.golden["box_ious"]) < LIMIT
    assert relative_error(masks[:, :, ::16, ::16], run.golden["box_masks"]) < LIMIT


def test_decoders__agree(run):
    for of_prompts in (run.of_points, run.of_boxes):
        for fast, plain in zip(of_prompts["fast"], of_prompts["plain"], strict=True):
            assert relative_error(fast, plain) < 1e-5
