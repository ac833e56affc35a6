"""The parts of the demo's training, on numbers made by hand, and a few steps of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dinov2 import build_dinov2
from sam2 import build_sam2
from scripts.demo_models import encoder, encoder_init, optimisers, prompts, segmenter, training
from scripts.demo_models.drawing import Layout, draw_kind, draw_scene
from scripts.demo_models.segmenter_init import init_near_prompts

LARGE = 20.0
"""A logit that is certain."""
SMALL = Layout(64, counts=(1, 3), radii=(0.15, 0.4))
STRICT = segmenter.Strictness(balance=1.0, extents=1.0)


def squares() -> torch.Tensor:
    """Two objects on an 8 x 8 grid, of 16 and of 4 cells."""
    truth = torch.zeros(2, 8, 8)
    truth[0, :4, :4] = 1
    truth[1, 6:, 6:] = 1
    return truth


def test_mask_loss__is_nothing_for_the_truth_and_much_for_its_opposite() -> None:
    certain = (squares()[:, None] * 2 - 1) * LARGE
    for balance in (0.0, 0.5, 1.0):
        assert segmenter.mask_loss(certain, squares(), balance).abs().max() < 1e-6
        assert segmenter.mask_loss(-certain, squares(), balance).min() > 2 * LARGE


def test_mask_loss__of_undecided_masks_by_hand() -> None:
    """log 2 inside, log 2 outside times its weight, and dice of one half everywhere."""
    losses = segmenter.mask_loss(torch.zeros(2, 3, 8, 8), squares(), 1.0)
    for row, cells in zip(losses, (16, 4), strict=True):
        dice = 1 - (2 * cells / 2 + 1) / (32 + cells + 1)
        wanted = np.log(2) * (1 + (64 - cells) / cells) + dice
        assert row.tolist() == pytest.approx([wanted] * 3, rel=1e-5)


def test_extent_loss__strays_and_missing_tips_cost_what_they_do_to_boxes() -> None:
    """The first object spans 4 columns and 4 rows, the second 2 and 2."""
    certain = (squares()[:, None] * 2 - 1) * LARGE
    assert segmenter.extent_loss(certain, squares()).abs().max() < 1e-6
    stray, short = certain.clone(), certain.clone()
    stray[0, 0, 6, 6] = LARGE  # 7 columns and 7 rows, two of each empty
    short[1, 0, 7] = -LARGE  # 2 columns and 1 row
    wanted = 1 - 2 * 8 / (14 + 8), 1 - 2 * 3 / (3 + 4)
    found = segmenter.extent_loss(stray, squares())[0], segmenter.extent_loss(short, squares())[1]
    assert torch.cat(found).tolist() == pytest.approx(wanted, rel=1e-5)


def test_plan__one_fall_of_the_rate_and_a_strictness_that_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strict = segmenter.Strictness(0.5, 1), segmenter.Strictness(1, 3)
    phases = [segmenter.Phase(segmenter.FEW, 500, 1, each, 1) for each in strict]
    monkeypatch.setattr(segmenter, "PHASES", phases)
    plan = segmenter.plan()
    assert [phase for phase, _, _ in plan] == [phases[0]] * 500 + [phases[1]] * 500
    assert [each.balance for _, _, each in plan[:500:200]] == pytest.approx([0, 0.25, 0.5])
    assert [each.balance for _, _, each in plan[500::200]] == pytest.approx([0.5, 0.75, 1.0])
    assert [each.extents for _, _, each in plan[500::200]] == pytest.approx([1, 2, 3])
    rates = [rate for _, rate, _ in plan]
    assert rates[250] == pytest.approx(segmenter.RATE * 0.5 * (1 + np.cos(np.pi / 4)))
    assert rates[500] < rates[600] > rates[-1]


def test_mask_ious__by_hand() -> None:
    half = torch.full((2, 1, 8, 8), -1.0)
    half[0, 0, :4, :2] = 1  # 8 of 16 cells
    half[1, 0, 7:, 6:] = 1  # 2 of 4 cells, and
    half[1, 0, :2, 0] = 1  # 2 elsewhere
    assert segmenter.mask_ious(half, squares()).flatten().tolist() == pytest.approx([0.5, 1 / 3])


def test_expected_ious__by_hand() -> None:
    """Two cells of 0.75 are called mask, four of 0.25 are not: 1.5 of 2 + 1 cells."""
    logits = torch.full((1, 1, 8, 8), -LARGE * 10)
    logits[0, 0, 0, :2], logits[0, 0, 1, :4] = np.log(3), -np.log(3)
    assert segmenter.expected_ious(logits).item() == pytest.approx(1.5 / 3)


def test_draw_prompts__answers_hold_their_clicks_and_boxes() -> None:
    rng = np.random.default_rng(0)
    kinds = [draw_kind(rng) for _ in range(3)]
    scene = draw_scene(rng, kinds, Layout(128, counts=(3, 5), overlap=0))
    drawn = prompts.draw_prompts(rng, scene)
    assert drawn is not None
    assert drawn.truth.shape == (prompts.CLICKS + prompts.BOXES, 32, 32)
    for (x, y), truth in zip(drawn.clicks.long(), drawn.truth, strict=False):
        label = scene.labels[y, x]
        assert label > 0
        assert truth.sum() * 16 == (scene.labels == label).sum()
    for (left, top, right, bottom), truth in zip(
        drawn.boxes / 4, drawn.truth[prompts.CLICKS :], strict=True
    ):
        rows, columns = truth.nonzero().T
        found = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        given = torch.stack([left, top, right, bottom])
        assert (found - given).abs().max() < 0.08 * (found[2:] - found[:2]).max() + 1
    assert all(scene.labels[y, x] == 0 for x, y in drawn.background.long())


def test_draw_scene__rows_hold_objects_of_one_kind_side_by_side() -> None:
    rng = np.random.default_rng(0)
    kinds = [draw_kind(rng) for _ in range(4)]
    layout = Layout(256, radii=(0.05, 0.06), rows=1.0)
    scenes = [draw_scene(rng, kinds, layout) for _ in range(8)]
    assert all(len(set(scene.kinds)) == 1 for scene in scenes)
    assert len({scene.kinds[0] for scene in scenes}) > 1
    assert all(15 <= len(scene.kinds) <= 30 for scene in scenes)
    assert np.mean([min(scene.visible) for scene in scenes]) > 0.5, "they hardly overlap"


def test_draw_prompts__nothing_where_there_is_no_object() -> None:
    rng = np.random.default_rng(0)
    scene = draw_scene(rng, [draw_kind(rng)], Layout(64, counts=(0, 0)))
    assert prompts.draw_prompts(rng, scene) is None


def test_kind_loss__by_hand() -> None:
    """Scale 10 and offset 0.5: odds of e^(10 (cos - 0.5)) against none of the kinds."""
    cosines = torch.tensor([[0.9, 0.3], [0.4, 0.5], [0.7, 0.7]])
    kinds = torch.tensor([0, encoder.OTHER, encoder.MIXED])
    right = -np.log(np.exp(4) / (np.exp(4) + np.exp(-2) + 1))
    none = -np.log(1 / (np.exp(-1) + 1 + 1))
    loss = encoder.kind_loss(encoder.CosineLogits(), cosines, kinds)
    assert loss.item() == pytest.approx(right + none, rel=1e-5)


def test_draw_kinds__half_of_them_resemble_another() -> None:
    kinds = encoder.draw_kinds(np.random.default_rng(0), 8)
    twins = [
        sum(
            (
                one.outline is other.outline,
                one.surface.pattern is other.surface.pattern
                and one.surface.noise is other.surface.noise,
                one.surface.colours is other.surface.colours,
            )
        )
        for one, other in zip(kinds[:4], kinds[4:], strict=True)
    ]
    assert twins == [2, 2, 2, 2]


def test_draw_target__weights_are_means_over_masks() -> None:
    rng = np.random.default_rng(0)
    view = encoder.draw_target(rng, encoder.draw_kinds(rng, 8), 84, grey=0)
    assert view.weights.shape == (len(view.kinds), 36)
    assert view.weights.sum(dim=1).tolist() == pytest.approx([1] * len(view.kinds), abs=1e-5)
    assert view.weights.min() >= 0


def test_lr_factor__warms_up_and_falls_to_nothing() -> None:
    assert training.lr_factor(0, 0.0) == pytest.approx(1 / training.WARM_UP)
    assert training.lr_factor(10**6, 0.5) == pytest.approx(0.5)
    assert training.lr_factor(10**6, 1.0) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("shape", [(24, 24), (12, 48), (48, 12)])
def test_orthogonal__singular_values_come_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(optimisers.orthogonal(torch.randn(shape)))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_muon__steps_as_the_one_of_torch_in_bfloat16_does() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(12, 48)) for _ in range(2))
    muon = optimisers.Muon([ours], share=1.0)
    muon.param_groups[0]["lr"] = 0.1
    reference = torch.optim.Muon(
        [theirs], 0.1, optimisers.WEIGHT_DECAY, 0.95, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(5):
        ours.grad = theirs.grad = torch.randn(12, 48)
        muon.step()
        reference.step()
    moved = (theirs - 1).square().mean().sqrt()
    assert (ours - theirs).square().mean().sqrt() < 0.02 * moved, "bfloat16 has 8 bits"


def flat(*colour: float) -> torch.Tensor:
    return torch.tensor(colour)[:, None, None].expand(3, 28, 28)


def test_init_colour_histogram__features_tell_colours_apart() -> None:
    torch.manual_seed(0)
    red, dull_red, blue, grey = (
        flat(1.5, -1, -1),
        flat(1.3, -1, -1),
        flat(-1, -1, 1.5),
        flat(0, 0, 0),
    )
    model = build_dinov2("dinov2_demo")
    encoder_init.init_colour_histogram(model, torch.stack([red, blue, grey]))
    features = torch.nn.functional.normalize(
        model(torch.stack([red, dull_red, blue, grey])).mean(1), dim=1
    )
    cosines = features[0] @ features.T
    assert cosines[1] > 0.8
    assert cosines[2:].max() < 0.2


def test_init_near_prompts__a_token_looks_where_it_was_put() -> None:
    torch.manual_seed(0)
    model = build_sam2("sam2_hiera_demo")
    init_near_prompts(model)
    grid = model.sam_prompt_encoder.get_dense_pe(16, 16)[0].flatten(1).T  # (256, C)
    click = model.sam_prompt_encoder.points(torch.tensor([[72.0, 136.0]]))[0]  # (tokens, C)
    attention = model.sam_mask_decoder.transformer.layers[0].cross_attn_token_to_image
    near = (attention.q_proj(click) @ attention.k_proj(grid).T).max(0).values.argmax()
    assert divmod(near.item(), 16) == (136 // 16, 72 // 16)


def test_segmenter__trains_and_writes_an_official_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase = segmenter.Phase(SMALL, steps=2, batch=2, strictness=STRICT, iou_weight=1)
    monkeypatch.setattr(segmenter, "PHASES", (phase, phase))
    path = tmp_path / "sam2.pt"
    segmenter.save(segmenter.train(0, path), path)
    model = build_sam2("sam2_hiera_demo", path)
    again = segmenter.train(0, path)
    torch.manual_seed(0)
    start = segmenter.TrainingModule(build_sam2("sam2_hiera_demo")).model
    init_near_prompts(start)
    assert not torch.equal(again.image_encoder.trunk.pos_embed, start.image_encoder.trunk.pos_embed)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name].half().float()), name


@pytest.mark.parametrize(
    ("subject", "phase", "drawn_before"),
    [
        (encoder, encoder.Phase(side=56, kinds=6, scenes=2, steps=4), 1),
        (segmenter, segmenter.Phase(SMALL, steps=4, batch=2, strictness=STRICT, iou_weight=1), 0),
    ],
)
def test_training__goes_on_where_it_was_stopped(
    subject: Any, phase: Any, drawn_before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "PHASES", (phase,))
    monkeypatch.setattr(training, "LOG_EVERY", 2)
    whole = subject.train(5, tmp_path / "whole.pth").state_dict()

    real, path, calls = subject.draw_batch, tmp_path / "stopped.pth", []

    def stops(*given: object) -> object:
        calls.append(given)
        if len(calls) == drawn_before + 4:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(subject, "draw_batch", stops)
    with pytest.raises(KeyboardInterrupt):
        subject.train(5, path)
    with pytest.raises(SystemExit, match="is of seed 5, not of 6"):
        subject.train(6, path)
    calls.clear()
    again = subject.train(5, path).state_dict()
    assert len(calls) == drawn_before + 2, "two of four steps were kept"
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    assert not list(tmp_path.iterdir()), "what was unfinished is gone"


def test_encoder__trains_and_writes_an_official_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase = encoder.Phase(side=56, kinds=6, scenes=2, steps=2)
    monkeypatch.setattr(encoder, "PHASES", (phase, encoder.Phase(84, kinds=6, scenes=2, steps=1)))
    monkeypatch.setattr("sys.argv", ["encoder.py", "--seed", "3", "--out", str(tmp_path / "d.pth")])
    encoder.main()
    model = build_dinov2("dinov2_demo", checkpoint=tmp_path / "d.pth")
    again = encoder.train(3, tmp_path / "again.pth")
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name].half().float()), name
