"""Masks drawn from clicks and boxes, with the demo's SAM 2."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.api.drawing import KEPT_PICTURES
from no_time_to_train.dataset.box_segmenters import Sam2Boxes
from no_time_to_train.errors import InputError
from no_time_to_train.proposers.sam2_network import draw_boxes, encode_images
from sam2 import Sam2ImageModel
from sam2.modeling.prompt_encoder import PromptEncoder
from tests.cli.conftest import CONFIGS, ROOT
from tests.unit.test_api_state import make, picture  # noqa: F401

COINS = ROOT / "photos/images/coins_top.png"  # 384 x 88 pixels
COIN = (150.0, 20.0, 210.0, 80.0)


@pytest.fixture(scope="module")
def segmenter() -> FewShotSegmenter:
    return FewShotSegmenter.from_config(*(ROOT / name for name in CONFIGS), device="cpu")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The batches that reach the image encoder."""
    batches: list[Tensor] = []
    encode = Sam2ImageModel.encode

    def listening(self: Sam2ImageModel, images: Tensor) -> Any:
        batches.append(images)
        return encode(self, images)

    monkeypatch.setattr(Sam2ImageModel, "encode", listening)
    return batches


@pytest.fixture
def prompted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Points, labels and boxes that reach the prompt encoder."""
    prompts: list[Any] = []
    clicks = PromptEncoder.clicks

    def listening(self: PromptEncoder, xy: Tensor, positive: Tensor, boxes: Any = None) -> Tensor:
        box = None if boxes is None else boxes[0].tolist()
        prompts.append((xy[0].tolist(), positive[0].tolist(), box))
        return clicks(self, xy, positive, boxes)

    monkeypatch.setattr(PromptEncoder, "clicks", listening)
    return prompts


def scene(seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 255, (64, 128, 3), np.uint8)


def test_draw_mask__of_a_box_is_what_the_tool_for_boxes_draws(segmenter: FewShotSegmenter) -> None:
    network = segmenter._segmenter.proposer.network

    def draw(image: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        return draw_boxes(network, encode_images(network, image)[0], boxes, size, chunk_size=1)

    with Image.open(COINS) as image:
        (expected,) = Sam2Boxes(draw, 256, 1)(image.convert("RGB"), np.array([COIN], np.float32))
    mask = segmenter.draw_mask(COINS, box=COIN)
    assert mask.dtype == np.bool_ and mask.shape == (88, 384)
    assert mask.sum() > 100
    assert np.array_equal(mask, expected)


def test_draw_mask__brings_pixels_of_the_image_into_the_square(
    segmenter: FewShotSegmenter, prompted: list[Any]
) -> None:
    image = scene()  # twice as wide as high: 128 x 64 pixels become 256 x 256
    segmenter.draw_mask(image, points=(10, 20))
    segmenter.draw_mask(image, points=[[10, 20], [30, 5]], point_labels=[1, 0], box=[1, 2, 50, 40])
    segmenter.draw_mask(image, points=np.array([[10.5, 20]]), point_labels=np.array([True]))
    segmenter.draw_mask(image, box=(-7, 0, 200, 64))  # cut to the image
    assert prompted == [
        ([[20, 80]], [True], None),
        ([[20, 80], [60, 20]], [True, False], [2, 8, 100, 160]),
        ([[21, 80]], [True], None),
        ([], [], [0, 0, 256, 256]),
    ]


@pytest.mark.parametrize(
    ("prompt", "rows"),
    [
        ({"points": (5, 5)}, [2]),  # the best of masks 1 to 3
        ({"points": [(5, 5), (9, 9)]}, [0]),
        ({"box": (1, 1, 50, 50)}, [0]),
        ({"points": (5, 5), "box": (1, 1, 50, 50)}, [0]),
    ],
)
def test_draw_mask__a_single_click_chooses_and_other_prompts_take_mask_0(
    segmenter: FewShotSegmenter, monkeypatch: pytest.MonkeyPatch, prompt: Any, rows: list[int]
) -> None:
    logits = torch.full((1, 4, 4, 4), -1.0)
    for mask in range(4):
        logits[0, mask, mask] = 1.0  # mask m fills row m of 4
    answer = logits, torch.tensor([[0.9, 0.1, 0.8, 0.3]])
    monkeypatch.setattr(Sam2ImageModel, "predict_masks", lambda *_: answer)
    mask = segmenter.draw_mask(np.zeros((4, 4, 3), np.uint8).repeat(16, 0).repeat(16, 1), **prompt)
    middle = mask[8::16]  # the middles of the four rows
    assert middle.all(axis=1).nonzero()[0].tolist() == rows
    assert middle.any(axis=1).nonzero()[0].tolist() == rows


def test_draw_mask__encodes_a_picture_once(
    segmenter: FewShotSegmenter, encoded: list[Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "scene.png"
    Image.fromarray(scene(1)).save(path)
    for image in (path, str(path), path):
        segmenter.draw_mask(image, points=(5, 5))
    assert len(encoded) == 1
    array = scene(2)
    for image in (array, Image.fromarray(array), array.copy()):
        segmenter.draw_mask(image, points=(5, 5))
    assert len(encoded) == 2


def test_draw_mask__sees_that_a_picture_has_changed(
    segmenter: FewShotSegmenter, encoded: list[Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "scene.bmp"
    Image.fromarray(scene(3)).save(path)
    first = segmenter.draw_mask(path, box=(5, 5, 60, 60))
    Image.fromarray(scene(4)).save(path)
    os.utime(path, ns=(1, 1))
    second = segmenter.draw_mask(path, box=(5, 5, 60, 60))
    array = scene(5)
    segmenter.draw_mask(array, points=(5, 5))
    array[0, 0, 0] ^= 1
    segmenter.draw_mask(array, points=(5, 5))
    assert len(encoded) == 4
    assert not np.array_equal(first, second)


def test_draw_mask__keeps_the_last_few_pictures(
    segmenter: FewShotSegmenter, encoded: list[Tensor]
) -> None:
    for seed in [*range(10, 11 + KEPT_PICTURES), 11, 10]:
        segmenter.draw_mask(scene(seed), points=(5, 5))
    # 10 was the oldest when one too many came; 11 is still there.
    assert len(encoded) == KEPT_PICTURES + 2


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({}, "neither points nor box"),
        ({"points": "here"}, "^points is 'here'; give pairs"),
        ({"points": []}, r"^points is \[\]"),
        ({"points": [1, 2, 3]}, r"^points is \[1, 2, 3\]"),
        ({"points": [[1, 2, 3]]}, "^points is "),
        ({"points": [[1, 2], [3]]}, "^points is "),
        ({"points": [[1, float("nan")]]}, "^points is "),
        ({"points": [[1, None]]}, "^points is "),
        ({"points": [[True, False]]}, "^points is "),
        ({"points": {"x": 1}}, "^points is "),
        ({"points": (129, 5)}, r"^the point \(129.0, 5.0\) lies outside the image, which is 128"),
        ({"points": [(1, 1), (5, -1)]}, r"^the point \(5.0, -1.0\) lies outside"),
        ({"points": (5, 5), "point_labels": [1, 0]}, "^point_labels is .* each of the 1 points"),
        ({"points": (5, 5), "point_labels": [2]}, r"^point_labels is \[2\]"),
        ({"points": (5, 5), "point_labels": "in"}, "^point_labels is 'in'"),
        ({"points": (5, 5), "point_labels": 0}, "^point_labels is 0: no click is on the object"),
        ({"box": (1, 1, 5, 5), "point_labels": [1]}, "^point_labels is .* each of the 0 points"),
        ({"box": (1, 2, 3)}, r"^box is \(1, 2, 3\); give four numbers"),
        ({"box": [[1, 2, 3, 4]]}, "^box is "),
        ({"box": "1,2,3,4"}, "^box is "),
        ({"box": (5, 5, 5, 9)}, r"^box is \(5, 5, 5, 9\), which holds nothing"),
        ({"box": (5, 9, 8, 5)}, "^box is .*holds nothing"),
        ({"box": (128, 5, 140, 9)}, r"^box \(128.0, .* lies outside the image"),
        ({"box": (1, 1, float("inf"), 5)}, "^box is "),
    ],
)
def test_draw_mask__what_cannot_be_drawn_is_a_sentence(
    segmenter: FewShotSegmenter, prompt: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        segmenter.draw_mask(scene(), **prompt)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("image", [None, 3, "nowhere.png", b"x", "a\0b"])
def test_draw_mask__of_no_image_is_a_sentence(segmenter: FewShotSegmenter, image: Any) -> None:
    with pytest.raises(InputError):
        segmenter.draw_mask(image, points=(1, 1))


def test_draw_mask__without_sam2_says_so(make: Any) -> None:  # noqa: F811
    with pytest.raises(InputError, match=r"^clicks and boxes are drawn by SAM 2, which"):
        make().draw_mask(picture("red"), points=(1, 1))
