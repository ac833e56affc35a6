"""What becomes of the scores of overlapping masks, by hand and through the table."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from no_time_to_train.config import DiffusionConfig, Sam2InferConfig
from no_time_to_train.errors import InputError
from no_time_to_train.models.mask_ops import mask_boxes
from no_time_to_train.models.rescoring import (
    RESCORERS,
    build_rescorer,
    diffusion_decay,
    overlap_matrix,
)

LINES = {  # first and last cell of 20, best first
    "A": (0, 9),
    "B": (0, 9),
    "C": (2, 7),
    "D": (5, 14),
    "E": (0, 8),
    "F": (16, 19),
}


def lines() -> Tensor:
    """The masks of LINES, (6, 20)."""
    cells = torch.arange(20)
    return torch.stack([(cells >= first) & (cells <= last) for first, last in LINES.values()])


def rescored(
    settings: Sam2InferConfig, masks: Tensor, labels: list[int], features: Tensor
) -> Tensor:
    """Scores of 1 each after merging of masks (M, P)."""
    masks = masks[:, None]  # (M, 1, P)
    rescore = build_rescorer(settings)
    scores = torch.ones(len(masks))
    return rescore(masks, mask_boxes(masks), torch.tensor(labels), features, scores)


def alike(count: int) -> Tensor:
    return torch.tensor([[1.0, 0.0]]).repeat(count, 1)


def diffusion(**settings: object) -> Sam2InferConfig:
    return Sam2InferConfig(merging="diffusion", diffusion=DiffusionConfig(**settings))


EXPECTED = {
    "soft": (Sam2InferConfig(merging="soft"), [1, 0, 0, 0.5**0.5, 0, 1]),
    "semantic_soft": (Sam2InferConfig(), [1, 0, 0, 0.5**0.5, 0, 1]),
    "hard": (Sam2InferConfig(merging="hard"), [1, 0, 0, 1, 0, 1]),
    "harder": (Sam2InferConfig(merging="hard", hard_thr=0.5), [1, 0, 0, 0, 0, 1]),
    "released": (diffusion(normalise=False), [1, 0.547723, 0.3, 0.680515, 0, 1]),
    "paper": (diffusion(), [1, 0.547723, 0.441588, 0.716589, 0.399875, 1]),
    "power": (diffusion(power=1), [1, 0.3, 0.195, 0.5135, 0.1599, 1]),
    "alone": (diffusion(alpha=0), [1, 0, 0, 0.5**0.5, 0, 1]),
}


@pytest.mark.parametrize(("settings", "expected"), EXPECTED.values(), ids=list(EXPECTED))
def test_rescorers__give_the_factors_counted_by_hand(
    settings: Sam2InferConfig, expected: list[float]
) -> None:
    found = rescored(settings, lines(), [0] * 6, alike(6))
    torch.testing.assert_close(found, torch.tensor(expected).float(), rtol=0, atol=1e-6)


def test_overlap_matrix__is_the_share_inside_each_better_mask() -> None:
    masks = lines()[:, None]
    expected = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0.5, 0.5, 0.3, 0]]
    assert overlap_matrix(masks, mask_boxes(masks))[:4, :4].tolist() == expected


SUPPRESSION = {
    "released": (False, [0, 0.7, 0.91, 0.5369, 1.163587, 0]),
    "paper": (True, [0, 0.7, 0.805, 0.4865, 0.8401, 0]),
}


@pytest.mark.parametrize(("normalise", "expected"), SUPPRESSION.values(), ids=list(SUPPRESSION))
def test_diffusion_decay__is_the_limit_of_the_published_iteration(
    normalise: bool, expected: list[float]
) -> None:
    masks = lines()[:, None]
    overlaps = overlap_matrix(masks, mask_boxes(masks))  # float64
    sums = overlaps.sum(dim=1, keepdim=True)
    graph = overlaps / sums.clamp(min=1e-9) if normalise else overlaps
    suppression = torch.full((6,), 1 / 6, dtype=torch.float64)
    for _ in range(30):
        suppression = 0.3 * graph @ suppression + 0.7 * overlaps.amax(dim=1)
    torch.testing.assert_close(suppression, torch.tensor(expected).double(), rtol=0, atol=1e-6)
    factors = diffusion_decay(overlaps, alpha=0.3, power=0.5, normalise=normalise)
    torch.testing.assert_close(factors, (1 - suppression).clamp(min=0).sqrt())


def test_diffusion__of_thousands_of_duplicates_stays_finite_and_spares_what_stands_alone() -> None:
    overlaps = torch.ones(3000, 3000).tril(diagonal=-1)
    overlaps[-1] = 0
    factors = diffusion_decay(overlaps, alpha=1, power=0.5, normalise=False)
    assert factors[[0, -1]].tolist() == [1, 1]
    factors = diffusion_decay(overlaps, alpha=0.5, power=0.5, normalise=False)
    assert factors[[0, 2999]].tolist() == [1, 1]
    assert (factors[3:-1] == 0).all()


@pytest.mark.parametrize(
    "settings", [Sam2InferConfig(), diffusion(alpha=0, semantic=True)], ids=["soft", "diffusion"]
)
def test_semantic__an_overlap_counts_by_the_cosine(settings: Sam2InferConfig) -> None:
    masks = torch.tensor([[True, True, False, False], [False, True, True, False]])
    features = torch.tensor([[1.0, 0.0], [0.6, 0.8]])  # cosine 0.6
    found = rescored(settings, masks, [0, 0], features)
    torch.testing.assert_close(found, torch.tensor([1.0, (1 - 0.5 * 0.6) ** 0.5]))


@pytest.mark.parametrize("merging", ["semantic_soft", "soft", "hard", "diffusion"])
def test_rescorers__other_classes_do_not_count(merging: str) -> None:
    masks = torch.ones(2, 4, dtype=torch.bool)
    found = rescored(Sam2InferConfig(merging=merging), masks, [0, 1], alike(2))
    assert found.tolist() == [1.0, 1.0]


def test_semantic_soft__identical_masks_give_zero_and_never_nan() -> None:
    features = F.normalize(torch.full((2, 3), 0.1), dim=1)
    found = rescored(Sam2InferConfig(), torch.ones(2, 4, dtype=torch.bool), [0, 0], features)
    assert found[0] == 1
    assert found[1] == pytest.approx(0, abs=1e-3)


def test_build_rescorer__takes_any_row_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_area(
        masks: Tensor, boxes: Tensor, labels: Tensor, features: Tensor, scores: Tensor
    ) -> Tensor:
        return scores * masks.flatten(1).float().mean(dim=1)

    monkeypatch.setitem(RESCORERS, "by_area", lambda settings: by_area)
    found = rescored(Sam2InferConfig(merging="by_area"), lines(), [0] * 6, alike(6))
    torch.testing.assert_close(found, torch.tensor([0.5, 0.5, 0.3, 0.5, 0.45, 0.2]))


def test_build_rescorer__names_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"one of semantic_soft, soft, hard, diff.*, got 'sofft'"):
        build_rescorer(Sam2InferConfig(merging="sofft"))


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("alpha", 1.5, r"sam2_infer_cfgs.diffusion.alpha must lie between 0 and 1, got 1.5"),
        ("power", -1, r"sam2_infer_cfgs.diffusion.power must be 0 or more, got -1"),
        ("power", float("nan"), r"sam2_infer_cfgs.diffusion.power must be 0 or more, got nan"),
    ],
)
def test_diffusion_config__has_bounds(setting: str, value: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DiffusionConfig(**{setting: value})


@pytest.mark.parametrize("threshold", [0.0, 1.01, float("nan")])
def test_hard_threshold__has_bounds(threshold: float) -> None:
    with pytest.raises(InputError, match=r"hard_thr must (lie between 0 and 1|be above 0), got "):
        Sam2InferConfig(hard_thr=threshold)
