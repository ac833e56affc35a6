"""Boxes, drawing and shared pixels of masks, against torch and torchvision."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import masks_to_boxes

from no_time_to_train.models import mask_ops
from no_time_to_train.models.mask_ops import intersections, mask_boxes, upsample_masks
from tests.unit.candidates import rectangle


def test_mask_boxes__corners_are_inclusive_pixel_indices() -> None:
    mask = rectangle(2, 5, 9, 5) > 0
    assert mask_boxes(mask[None]).tolist() == [[2, 5, 9, 5]]


def test_mask_boxes__equal_torchvision_on_random_masks() -> None:
    masks = torch.rand(20, 9, 13, generator=torch.Generator().manual_seed(0)) > 0.93
    masks[:, 4, 6] = True
    assert mask_boxes(masks).tolist() == masks_to_boxes(masks).long().tolist()


def test_upsample_masks__doubles_a_half_plane_at_its_middle() -> None:
    logits = torch.tensor([[[1.0, 1.0, -1.0, -1.0]] * 4])
    masks, _ = upsample_masks(logits, (4, 8))
    assert masks.tolist() == [[[True] * 4 + [False] * 4] * 4]


@pytest.mark.parametrize("size", [(300, 417), (64, 64), (40, 23), (64, 190), (17, 64)])
def test_upsample_masks__equal_whole_pictures_resized_by_torch(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    spots = torch.randn(30, 1, 6, 6, generator=generator) - 1.2
    logits = F.interpolate(spots, size=(64, 64), mode="bicubic")[:, 0]
    logits = logits[(logits > 0).flatten(1).any(dim=1)]
    whole = F.interpolate(logits[:, None], size=size, mode="bilinear", antialias=True)[:, 0]
    masks, bounds = upsample_masks(logits, size)
    certain = whole.abs() > 1e-5  # the order of sums may decide where nothing else does
    assert torch.equal(masks[certain], whole[certain] > 0)
    assert certain.float().mean() > 0.999
    seen = masks.flatten(1).any(dim=1)
    boxes = mask_boxes(masks[seen])
    assert (bounds[seen, :2] <= boxes[:, :2]).all()
    assert (bounds[seen, 2:] >= boxes[:, 2:]).all()


def test_intersections__count_pixels_shared_with_those_before() -> None:
    masks = torch.rand(12, 9, 150, generator=torch.Generator().manual_seed(0)) > 0.6
    masks[:6, :, :70] = False
    masks[6:9, :, 64:] = False
    expected = torch.tril(masks.flatten(1).double() @ masks.flatten(1).double().T)
    assert torch.equal(torch.tril(intersections(masks, mask_boxes(masks))), expected)
    assert (expected[6:9, :6] == 0).all(), "some boxes do not meet"
    on_a_gpu = mask_ops._intersections_whole(masks.flatten(1))
    assert torch.equal(torch.tril(on_a_gpu), expected)
