"""The three verbs, with networks that a reader can follow."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from no_time_to_train.config import Sam2InferConfig
from no_time_to_train.errors import InputError
from no_time_to_train.memory.references import reference_weights
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.structures import Proposals, Reference, Target
from tests.unit.candidates import candidates, rectangle

GRID, SIDE = 4, 8


class ColourEncoder(nn.Module):
    """A patch's feature is its mean colour."""

    grid = GRID
    width = 3

    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(images, GRID)  # (B, 3, grid, grid)
        return pooled.flatten(2).transpose(1, 2)


class ListedProposer(nn.Module):
    """Proposes fixed rectangles."""

    def __init__(self, boxes: Sequence[tuple[int, int, int, int]]) -> None:
        super().__init__()
        self.boxes = boxes

    def encode(self, images: Tensor, targets: Sequence[Target]) -> Tensor:
        return images

    def propose(self, features: Tensor) -> Proposals:
        logits = torch.full((len(self.boxes), SIDE, SIDE), -1.0)
        for row, (x1, y1, x2, y2) in zip(logits, self.boxes, strict=True):
            row[y1:y2, x1:x2] = 1.0
        return Proposals(logits, torch.linspace(0.9, 0.5, len(self.boxes)))


def painted(colour: tuple[float, float, float]) -> Tensor:
    return torch.tensor(colour).float()[:, None, None].expand(3, SIDE, SIDE).clone()


def target(image: Tensor, height: int, width: int) -> Target:
    return Target((255 * image).byte(), (height, width))


def reference(colour: tuple[float, float, float], class_index: int, slot: int = 0) -> Reference:
    mask = torch.ones(SIDE, SIDE)
    return Reference(painted(colour), mask, class_index, slot, 1, 0, f"class {class_index}")


def segmenter(*boxes: tuple[int, int, int, int]) -> Segmenter:
    made = Segmenter(Sam2InferConfig(), ColourEncoder(), ListedProposer(boxes))
    made.remember([reference((1, 0, 0), 0), reference((0, 0, 1), 1)])
    made.finalise()
    return made


def test_segment__labels_each_mask_with_the_class_that_it_looks_like() -> None:
    image = painted((1, 0, 0))
    image[:, :, 4:] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]  # red left, blue right
    (found,) = segmenter((0, 0, 3, 8), (5, 0, 8, 8)).segment([target(image, 16, 16)])
    left_first = found.boxes[:, 0].argsort()
    assert found.labels[left_first].tolist() == [0, 1]
    assert found.masks.shape == (2, 16, 16)
    torch.testing.assert_close(found.scores, torch.ones(2), atol=0.02, rtol=0)


def test_segment__images_of_a_batch_do_not_mix() -> None:
    model = segmenter((0, 0, 8, 8))
    red, blue = (target(painted(colour), 8, 8) for colour in ((1, 0, 0), (0, 0, 1)))
    together = model.segment([red, blue])
    assert [found.labels.tolist() for found in together] == [[0], [1]]


def test_segment__nothing_proposed_is_an_empty_prediction() -> None:
    (found,) = segmenter().segment([target(painted((1, 0, 0)), 20, 30)])
    assert found.masks.shape == (0, 20, 30)


def test_segment__a_mask_like_no_class_is_dropped() -> None:
    (found,) = segmenter((0, 0, 8, 8)).segment([target(painted((0, 1, 0)), 8, 8)])
    assert len(found) == 0


def test_segment__before_finalise_is_an_error() -> None:
    model = Segmenter(Sam2InferConfig(), ColourEncoder(), ListedProposer([]))
    with pytest.raises(InputError, match="finalise"):
        model.segment([target(painted((1, 0, 0)), 8, 8)])


def test_merge__sorts_by_decayed_score_and_keeps_the_limit() -> None:
    whole, half, alone = rectangle(0, 0, 7, 7), rectangle(0, 0, 7, 3), rectangle(12, 12, 15, 15)
    entering = candidates(
        whole, half, alone, ious=[0.9, 0.8, 0.7], scores=[0.5, 0.9, 0.6], labels=[0, 0, 0]
    )
    found = Segmenter(Sam2InferConfig(num_out_instance=2)).merge(
        entering, (16, 16)
    )  # `half` lies inside `whole`: its score falls to 0
    torch.testing.assert_close(found.scores, torch.tensor([0.6, 0.5]))
    assert found.boxes.tolist() == [[12, 12, 15, 15], [0, 0, 7, 7]]


def test_merge__rescores_as_the_settings_say_or_with_the_given_rescorer() -> None:
    nested = [rectangle(0, 0, 7, 7), rectangle(0, 0, 7, 3)]
    entering = candidates(*nested, ious=[0.9, 0.8], scores=[0.5, 0.9], labels=[0, 0])
    diffusion = Segmenter(Sam2InferConfig(merging="diffusion")).merge(entering, (16, 16))
    torch.testing.assert_close(diffusion.scores, torch.tensor([0.5, 0.9 * 0.3**0.5]))
    unchanged = Segmenter(Sam2InferConfig(), rescorer=lambda *given: given[-1])
    torch.testing.assert_close(unchanged.merge(entering, (16, 16)).scores, torch.tensor([0.9, 0.5]))


def test_merge__drops_a_mask_that_falls_between_the_pixels() -> None:
    speck = rectangle(3, 3, 3, 3)
    entering = candidates(speck, ious=[0.9], scores=[0.5], labels=[0])
    found = Segmenter(Sam2InferConfig()).merge(entering, (2, 2))
    assert len(found) == 0


def test_merge__of_nothing_is_an_empty_prediction() -> None:
    nothing = candidates(rectangle(0, 0, 1, 1), ious=[0.9], scores=[0.5], labels=[0])[
        torch.zeros(1, dtype=torch.bool)
    ]
    found = Segmenter(Sam2InferConfig()).merge(nothing, (20, 30))
    assert found.masks.shape == (0, 20, 30)
    assert found.boxes.shape == (0, 4)


def test_remember__order_of_references_does_not_matter() -> None:
    references = [reference((1, 0, 0), 0, 0), reference((1, 1, 0), 0, 1), reference((0, 0, 1), 1)]
    prototypes = []
    for order in (references, references[::-1]):
        model = Segmenter(Sam2InferConfig(), ColourEncoder())
        for each in order:
            model.remember([each])
        model.finalise()
        prototypes.append(model.prototypes)
    assert torch.equal(*prototypes)


def hair() -> Tensor:
    mask = torch.zeros(SIDE, SIDE)
    mask[1, :4] = 1.0  # nearest reads rows 0, 2, 4, 6
    return mask


def test_reference_weights__of_a_hair_are_the_patches_it_touches_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    thin = Reference(painted((1, 0, 0)), hair(), 0, 0, 1, 0, "annotation 9 of image a.png")
    with caplog.at_level(logging.WARNING):
        weights = reference_weights(thin, GRID)
    assert weights.nonzero()[:, 0].tolist() == [0, 1]
    assert "annotation 9 of image a.png vanishes" in caplog.text


def test_reference_weights__of_an_empty_mask_are_an_error() -> None:
    empty = Reference(painted((1, 0, 0)), torch.zeros(SIDE, SIDE), 0, 0, 1, 0, "annotation 9")
    with pytest.raises(InputError, match="annotation 9 is empty"):
        reference_weights(empty, GRID)
