"""The square around an instance, with numbers to check by hand."""

from __future__ import annotations

import pytest
import torch

from no_time_to_train.dataset.crop_boxes import crop_box
from no_time_to_train.dataset.crops import crop_and_resize
from no_time_to_train.errors import InputError

BOXES = {
    # centre (50, 50), side 20 * 1.2 = 24
    "square": ([40, 40, 20, 20], 0.2, (38, 38, 62, 62)),
    # the longer side counts: 40 * 1.2 = 48 around (50, 45)
    "wide": ([30, 40, 40, 10], 0.2, (26, 21, 74, 69)),
    # corners (40.9, 40.9, 60.9, 60.9) are truncated to 40 and 60
    "fractions": ([40.9, 40.9, 20, 20], 0.2, (38, 38, 62, 62)),
    # centre 50.5, half side 11.55: 38.95 and 62.05 are truncated
    "odd side": ([40, 40, 21, 21], 0.1, (38, 38, 62, 62)),
    "no context": ([40, 40, 20, 20], 0.0, (40, 40, 60, 60)),
    # side 24 around (5, 5) is cut at the upper left
    "upper left": ([-5, -5, 20, 20], 0.2, (0, 0, 17, 17)),
    # side 24 around (95, 75) is cut at the lower right of 100 x 80
    "lower right": ([85, 65, 20, 20], 0.2, (83, 63, 100, 80)),
    "all of it": ([0, 0, 100, 80], 0.2, (0, 0, 100, 80)),
}


@pytest.mark.parametrize(("bbox", "ratio", "expected"), BOXES.values(), ids=list(BOXES))
def test_crop_box__surrounds_the_instance(
    bbox: list[float], ratio: float, expected: tuple[int, ...]
) -> None:
    assert crop_box(bbox, ratio, height=80, width=100) == expected


@pytest.mark.parametrize(
    "bbox", [[10, 10, 0, 0], [10.2, 10.2, 0.5, 0.5], [200, 10, 5, 5], [10, -50, 5, 5]]
)
def test_crop_box__refuses_a_box_without_pixels(bbox: list[float]) -> None:
    with pytest.raises(InputError, match=r"no pixel in the image of 100 x 80"):
        crop_box(bbox, 0.2, height=80, width=100)


def test_crop_and_resize__keeps_the_pixels_of_a_box_of_the_same_size() -> None:
    image = torch.arange(3 * 4 * 5).float().reshape(3, 4, 5) / 60
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[2, 3] = True
    crop, crop_mask = crop_and_resize(image, mask, (2, 1, 5, 4), side=3)
    torch.testing.assert_close(crop, image[:, 1:4, 2:5])
    torch.testing.assert_close(crop_mask, torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]))


def test_crop_and_resize__blends_the_border_of_the_mask() -> None:
    mask = torch.tensor([[True, False], [True, False]])
    _, crop_mask = crop_and_resize(torch.zeros(3, 2, 2), mask, (0, 0, 2, 2), side=4)
    torch.testing.assert_close(crop_mask, torch.tensor([1.0, 0.75, 0.25, 0.0]).expand(4, 4))
