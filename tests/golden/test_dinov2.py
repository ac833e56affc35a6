"""DINOv2 against the names, shapes and outputs of the published networks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dinov2 import PRESETS, VisionTransformer, identify_preset
from tests.golden import deterministic

HERE = Path(__file__).parent
OFFICIAL = {
    "dinov2_small": "vits14",
    "dinov2_base": "vitb14",
    "dinov2_large": "vitl14",
    "dinov2_giant": "vitg14",
    "dinov2_small_reg4": "vits14_reg4",
    "dinov2_base_reg4": "vitb14_reg4",
    "dinov2_large_reg4": "vitl14_reg4",
    "dinov2_giant_reg4": "vitg14_reg4",
}
TRAINING_ONLY = {"mask_token"}
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)[:, None, None]
IMAGENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)[:, None, None]


def manifest(variant: str) -> dict[str, list[int]]:
    return json.loads((HERE / "manifests" / f"dinov2_{variant}.json").read_text())


def normalised_image(height: int, width: int) -> torch.Tensor:
    image = deterministic.image("dino.image", height, width)
    return torch.from_numpy((image - IMAGENET_MEAN) / IMAGENET_STD)[None]  # (1, 3, H, W)


@pytest.fixture(scope="module", params=["small", "small_reg4", "base", "large"])
def network(request):
    """A variant of the official networks and its preset, holding the goldens' weights."""
    name = f"dinov2_{request.param}"
    with torch.device("meta"):
        model = VisionTransformer(PRESETS[name]).eval().requires_grad_(False)
    model.to_empty(device="cpu")
    for key, value in model.state_dict().items():
        value.copy_(torch.from_numpy(deterministic.weight(key, tuple(value.shape))))
    return OFFICIAL[name], model


def test_presets__are_the_official_ones_and_the_demo():
    assert set(PRESETS) == {*OFFICIAL, "dinov2_demo"}


@pytest.mark.parametrize("name", OFFICIAL)
def test_preset__has_the_names_and_shapes_of_the_official_checkpoint(name):
    with torch.device("meta"):
        ours = VisionTransformer(PRESETS[name]).state_dict()
    theirs = {key: tuple(shape) for key, shape in manifest(OFFICIAL[name]).items()}
    assert {key: tuple(value.shape) for key, value in ours.items()} == {
        key: shape for key, shape in theirs.items() if key not in TRAINING_ONLY
    }
    assert theirs.keys() - ours.keys() == TRAINING_ONLY


@pytest.mark.parametrize("name", OFFICIAL)
def test_identify_preset__tells_the_official_checkpoints_apart(name):
    shapes = manifest(OFFICIAL[name])
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    assert identify_preset(state) == name


def test_features__equal_the_published_ones_at_every_recorded_size(network):
    variant, model = network
    goldens = sorted(HERE.glob(f"dinov2_{variant}_[0-9]*x*.npz"))
    assert goldens
    for path in goldens:
        height, width = map(int, path.stem.rpartition("_")[2].split("x"))
        features = model(normalised_image(height, width))[0].numpy()  # (N, C)
        golden = np.load(path)
        difference = np.linalg.norm(features[golden["rows"]] - golden["features"])
        assert features.shape == (height * width // 14**2, model.embed_dim)
        assert difference <= 1e-4 * np.linalg.norm(golden["features"]), path.stem
        assert np.abs(features).mean() == pytest.approx(float(golden["mean_abs"]), rel=1e-4)
