"""Photographs with an EXIF orientation, and their upright twins, through all stages and the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from no_time_to_train.api import FewShotSegmenter
from tests.cli.conftest import CONFIGS, ROOT, Outcome, fill, segment, settings, write_photos_dir
from tests.cli.test_api import coin
from tests.cli.test_wrong_settings import assert_one_line

REFERENCES = {"coins_top.png": 6, "motorcycle_left.jpg": 5}
TARGETS = {"coins_bottom.png": 6, "motorcycle_right.jpg": 8, "chelsea.jpg": 3}
ORIENTATIONS = REFERENCES | TARGETS
# What a camera stores of an upright picture, so that its orientation turns it upright again.
STORED = {
    3: Image.Transpose.ROTATE_180,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Found:
    """What stage 3 leaves."""

    outcome: Outcome
    records: list[dict[str, Any]]
    pictures: dict[str, npt.NDArray[np.uint8]]


def find() -> Found:
    workers = ("--model.init_args.data_load_cfgs.workers", "2")
    outcome = segment(
        *workers, "--export_result", "out.json", *settings({"model_cfg.test.online_vis": True})
    )
    assert outcome.code == 0, outcome.err
    folder = Path("results_analysis/photos")
    pictures = {name: np.asarray(Image.open(folder / name).convert("RGB")) for name in TARGETS}
    return Found(outcome, json.loads(Path("out.json").read_text()), pictures)


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory, memories: Callable[[Path], None]) -> Found:
    """What is found in the photographs as they are."""
    folder = tmp_path_factory.mktemp("upright")
    write_photos_dir(folder)
    memories(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return find()


def store(picture: Image.Image, path: Path, orientation: int) -> None:
    """Write a lossless file with an orientation, whatever its name says of the format."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.unlink(missing_ok=True)
    picture.save(path, "PNG", exif=exif)


def photo(name: str) -> Image.Image:
    return Image.open(ROOT / "photos/images" / name).convert("RGB")


def turn_photos() -> None:
    for name, orientation in ORIENTATIONS.items():
        turned = photo(name).transpose(STORED[orientation])
        store(turned, Path("photos/images", name), orientation)


def tag_photos(orientation: int) -> None:
    """Give the same pixels an orientation: now all look turned."""
    for name in ORIENTATIONS:
        store(photo(name), Path("photos/images", name), orientation)


def assert_same_memory(path: str, expected: str = "filled.pth") -> None:
    found, wanted = (torch.load(file, weights_only=True)["state_dict"] for file in (path, expected))
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=0)


def assert_same_results(found: Found, expected: Found) -> None:
    assert found.records == expected.records
    assert found.records
    for name, picture in expected.pictures.items():
        np.testing.assert_array_equal(found.pictures[name], picture)


def test_turned_photographs__give_what_their_upright_twins_give(
    memories_dir: Path, upright: Found
) -> None:
    turn_photos()
    outcome = fill(out_path="turned.pth")
    assert outcome.code == 0, outcome.err
    assert_same_memory("turned.pth")
    assert_same_results(find(), upright)


def test_annotations_of_the_stored_size__belong_to_the_stored_pixels(
    memories_dir: Path, upright: Found
) -> None:
    tag_photos(6)
    outcome = fill(out_path="stored.pth")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("is read as it is stored, not turned as its EXIF orientation 6") == 1
    assert_same_memory("stored.pth")
    found = find()
    assert_same_results(found, upright)
    assert found.outcome.out.count("is read as it is stored") == 1


def test_orientation__is_a_setting(memories_dir: Path) -> None:
    tag_photos(3)  # half a turn, which sizes do not show
    outcome = fill(
        *settings({"dataset_cfgs.fill_memory.orientation": "stored"}), out_path="stored.pth"
    )
    assert outcome.code == 0, outcome.err
    assert_same_memory("stored.pth")
    assert fill(out_path="shown.pth").code == 0
    with pytest.raises(AssertionError):
        assert_same_memory("shown.pth")
    tag_photos(6)
    assert_one_line(
        segment(*settings({"dataset_cfgs.test.orientation": "shown"})),
        "as shown",
        "as stored",
        "auto",
    )
    assert_one_line(
        segment(*settings({"dataset_cfgs.test.orientation": "sideways"})), "orientation", "sideways"
    )


def test_api__turns_files_and_images_alike(photos_dir: Path) -> None:
    configs = [ROOT / name for name in CONFIGS]
    few_prompts = Path("few_prompts.yaml")
    few_prompts.write_text(
        "model: {init_args: {model_cfg: {sam2_infer_cfgs: {points_per_side: 6}}}}"
    )
    mask = coin()
    segmenter = FewShotSegmenter.from_config(*configs, few_prompts, device="cpu")
    segmenter.remember("photos/images/coins_top.png", mask, "coin")
    segmenter.save("upright.pth")
    segmenter.finalise()
    expected = segmenter.segment("photos/images/coins_bottom.png")
    turn_photos()
    with Image.open("photos/images/coins_bottom.png") as picture:
        for found in (
            segmenter.segment("photos/images/coins_bottom.png"),
            segmenter.segment(picture),
        ):
            assert found.to_coco() == expected.to_coco()
            np.testing.assert_array_equal(found.image, expected.image)
    again = FewShotSegmenter.from_config(*configs, few_prompts, device="cpu")
    again.remember("photos/images/coins_top.png", mask, "coin")
    again.save("turned.pth")
    assert_same_memory("turned.pth", "upright.pth")


def test_pictures_of_16_bits__are_said_once(memories_dir: Path) -> None:
    for name in TARGETS:
        grey = np.asarray(photo(name).convert("L")).astype(np.uint16) * 257
        path = Path("photos/images", name)
        path.unlink()
        Image.fromarray(grey).save(path, "PNG")
    found = find()
    assert found.outcome.out.count("0 to 65535 becomes 0 to 255") == 1
    for name, picture in found.pictures.items():  # the truth's half is drawn on the grey image
        corner = picture[-3:, :3].astype(int)
        expected = np.asarray(photo(name).convert("L"))[-3:, :3, None].astype(int)
        assert np.abs(corner - expected).max() <= 8
