from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import masks_to_boxes

from no_time_to_train.models import merging
from no_time_to_train.models.merging import (
    intersections,
    mask_boxes,
    merge,
    overlap_decay,
    suppress,
    upsample_masks,
)
from no_time_to_train.structures import Candidates, Proposals


def rectangle(x1: int, y1: int, x2: int, y2: int, side: int = 16) -> Tensor:
    """Logits of a rectangle with inclusive corners."""
    logits = torch.full((side, side), -1.0)
    logits[y1 : y2 + 1, x1 : x2 + 1] = 1.0
    return logits


def candidates(
    *logits: Tensor, ious: list[float], scores: list[float], labels: list[int]
) -> Candidates:
    features = torch.tensor([[1.0, 0.0]]).repeat(len(logits), 1)
    return Candidates(
        Proposals(torch.stack(logits), torch.tensor(ious)),
        features,
        torch.arange(len(logits)),
        torch.tensor(scores),
        torch.tensor(labels),
    )


def test_mask_boxes__corners_are_inclusive_pixel_indices() -> None:
    mask = rectangle(2, 5, 9, 5) > 0
    assert mask_boxes(mask[None]).tolist() == [[2, 5, 9, 5]]


def test_mask_boxes__equal_torchvision_on_random_masks() -> None:
    masks = torch.rand(20, 9, 13, generator=torch.Generator().manual_seed(0)) > 0.93
    masks[:, 4, 6] = True
    assert mask_boxes(masks).tolist() == masks_to_boxes(masks).long().tolist()


def test_suppress__ranks_by_predicted_iou_and_not_by_score() -> None:
    same = rectangle(2, 2, 9, 9)
    found = suppress(
        candidates(same, same, ious=[0.5, 0.9], scores=[0.9, 0.3], labels=[0, 0]),
        nms_threshold=0.5,
        limit=10,
    )
    torch.testing.assert_close(found.scores, torch.tensor([0.3]))


def test_suppress__leaves_other_classes_alone_and_sorts_by_predicted_iou() -> None:
    same = rectangle(2, 2, 9, 9)
    found = suppress(
        candidates(same, same, ious=[0.5, 0.9], scores=[0.9, 0.3], labels=[0, 1]),
        nms_threshold=0.5,
        limit=10,
    )
    assert found.labels.tolist() == [1, 0]


def test_suppress__applies_the_limit_before_it_drops_zero_scores() -> None:
    corners = [rectangle(x, y, x + 2, y + 2) for x, y in ((0, 0), (5, 0), (0, 5))]
    found = suppress(
        candidates(*corners, ious=[0.9, 0.8, 0.7], scores=[0.0, 0.4, 0.5], labels=[0, 0, 0]),
        nms_threshold=0.5,
        limit=2,
    )
    torch.testing.assert_close(found.scores, torch.tensor([0.4]))


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
    masks, frames = upsample_masks(logits, size)
    certain = whole.abs() > 1e-5  # the order of sums may decide where nothing else does
    assert torch.equal(masks[certain], whole[certain] > 0)
    assert certain.float().mean() > 0.999
    seen = masks.flatten(1).any(dim=1)
    boxes = mask_boxes(masks[seen])
    assert (frames[seen, :2] <= boxes[:, :2]).all()
    assert (frames[seen, 2:] >= boxes[:, 2:]).all()


def test_intersections__count_pixels_shared_with_those_before() -> None:
    masks = torch.rand(12, 9, 150, generator=torch.Generator().manual_seed(0)) > 0.6
    masks[:6, :, :70] = False
    masks[6:9, :, 64:] = False
    expected = torch.tril(masks.flatten(1).double() @ masks.flatten(1).double().T)
    assert torch.equal(torch.tril(intersections(masks, mask_boxes(masks))), expected)
    assert (expected[6:9, :6] == 0).all(), "some frames do not meet"
    on_a_gpu = merging._count_whole(masks.flatten(1))
    assert torch.equal(torch.tril(on_a_gpu), expected)


def decay_of(masks: Tensor, labels: list[int], features: Tensor) -> Tensor:
    return overlap_decay(masks[:, None], mask_boxes(masks[:, None]), torch.tensor(labels), features)


def test_overlap_decay__half_covered_by_a_better_one_of_its_class() -> None:
    masks = torch.tensor([[True, True, False, False], [False, True, True, False]])
    features = torch.tensor([[1.0, 0.0], [0.6, 0.8]])  # cosine 0.6
    decay = decay_of(masks, [0, 0], features)
    torch.testing.assert_close(decay, torch.tensor([1.0, (1 - 0.5 * 0.6) ** 0.5]))


def test_overlap_decay__other_classes_do_not_count() -> None:
    masks = torch.ones(2, 4, dtype=torch.bool)
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert decay_of(masks, [0, 1], features).tolist() == [1.0, 1.0]


def test_overlap_decay__identical_masks_give_zero_and_never_nan() -> None:
    features = F.normalize(torch.full((2, 3), 0.1), dim=1)
    decay = decay_of(torch.ones(2, 4, dtype=torch.bool), [0, 0], features)
    assert decay[0] == 1
    assert decay[1] == pytest.approx(0, abs=1e-3)


def test_merge__sorts_by_decayed_score_and_keeps_the_limit() -> None:
    whole, half, alone = rectangle(0, 0, 7, 7), rectangle(0, 0, 7, 3), rectangle(12, 12, 15, 15)
    found = merge(
        candidates(
            whole, half, alone, ious=[0.9, 0.8, 0.7], scores=[0.5, 0.9, 0.6], labels=[0, 0, 0]
        ),
        size=(16, 16),
        limit=2,
    )  # `half` lies inside `whole`: its score falls to 0
    torch.testing.assert_close(found.scores, torch.tensor([0.6, 0.5]))
    assert found.boxes.tolist() == [[12, 12, 15, 15], [0, 0, 7, 7]]


def test_merge__drops_a_mask_that_falls_between_the_pixels() -> None:
    speck = rectangle(3, 3, 3, 3)
    found = merge(candidates(speck, ious=[0.9], scores=[0.5], labels=[0]), size=(2, 2), limit=5)
    assert len(found) == 0


def test_merge__of_nothing_is_an_empty_prediction() -> None:
    nothing = candidates(rectangle(0, 0, 1, 1), ious=[0.9], scores=[0.5], labels=[0])[
        torch.zeros(1, dtype=torch.bool)
    ]
    found = merge(nothing, size=(20, 30), limit=5)
    assert found.masks.shape == (0, 20, 30)
    assert found.boxes.shape == (0, 4)
