"""Train the demo's SAM 2 from nothing, on made-up scenes that grow harder as it learns.

    python -m scripts.demo_models.segmenter --seed 0 --out sam2_hiera_demo.pt

Each prompt is a click inside a visible object, a box around one, or a click on the background. Of
the three masks of a click the best carries the loss, of a box it is the single one. The IoU head
learns from every mask, and 0 for clicks on the background. Early in training, an
embedding of pixels, thrown away later, tells the image encoder what belongs together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor, nn

from sam2 import build_sam2
from sam2.image_model import MASK_STRIDE, ImageFeatures, Sam2ImageModel
from sam2.modeling.image_encoder import Pyramid
from scripts.demo_models import shapes, textures
from scripts.demo_models.drawing import Layout, draw_kind, draw_scene
from scripts.demo_models.optimisers import muon_and_adamw
from scripts.demo_models.prompts import CLICKS, Prompts, draw_prompts
from scripts.demo_models.segmenter_init import init_near_prompts
from scripts.demo_models.training import Training, half_precision, lr_factor, read_command_line

NAME = "sam2_hiera_demo"
RATE = 1.5e-3
KINDS = (1, 4)
"""Least and most kinds of objects in a scene."""
FAMILIES = shapes.TRAINED + shapes.ROUGHER
PATTERNS = textures.TRAINED + textures.BOLDER
OTHERS_SHARE, SINGLE_SHARE = 0.1, 0.2
"""Weight of all three masks beside the best, and of the single mask of a click."""
RAMP_STEPS = 400
"""Steps in which a phase grows as strict as it will be."""
EMBEDDING_WIDTH = 24


class Strictness(NamedTuple):
    """How much mistakes of masks cost."""

    balance: float
    """How the background counts, see `mask_loss`."""
    extents: float
    """Weight of `extent_loss`."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training on scenes of one sort."""

    layout: Layout
    steps: int
    batch: int
    strictness: Strictness
    """Reached after RAMP_STEPS."""
    iou_weight: float
    """Weight of the IoU head's error; more of it makes masks learn more slowly."""

    @property
    def cost(self) -> int:
        """Pixels of all its scenes; the learning rate falls by them."""
        return self.steps * self.batch * self.layout.side**2


FEW = Layout(128, counts=(1, 4), radii=(0.15, 0.4), overlap=0.3)
MORE = Layout(128, counts=(1, 10), radii=(0.08, 0.3), overlap=0.3)
MANY = Layout(256, counts=(1, 14), radii=(0.05, 0.3), overlap=0.3, rows=0.3)
SHELVES = replace(MANY, rows=0.4, grey=0.4)
PHASES = (
    Phase(FEW, steps=400, batch=16, strictness=Strictness(0.5, extents=0.5), iou_weight=2),
    Phase(MORE, steps=400, batch=16, strictness=Strictness(0.5, extents=0.5), iou_weight=2),
    Phase(MANY, steps=900, batch=8, strictness=Strictness(1, extents=1), iou_weight=20),
    Phase(SHELVES, steps=900, batch=8, strictness=Strictness(1, extents=3), iou_weight=20),
)
"""Small pictures with few large objects first."""


class PixelEmbedding(nn.Module):
    """An embedding in which pixels of one object are close; only training has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(channels, EMBEDDING_WIDTH, 1) for _ in Pyramid._fields)
        self.mix = nn.Conv2d(EMBEDDING_WIDTH, EMBEDDING_WIDTH, 3, padding=1)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.offset = nn.Parameter(torch.tensor(2.0))

    def forward(self, pyramid: Pyramid) -> Tensor:
        """Embed every cell of the mask grid, (B, C, h, w)."""
        maps = [head(level) for head, level in zip(self.heads, pyramid, strict=True)]
        size = maps[0].shape[-2:]
        fine = maps[0] + sum(F.interpolate(m, size=size, mode="bilinear") for m in maps[1:])
        return self.mix(F.gelu(fine))

    def masks(self, embedded: Tensor, clicks: Tensor) -> Tensor:
        """Logits of "one object with the click", from distances in the embedding.

        Args:
            embedded: One image, (C, h, w).
            clicks: Points, (P, 2) xy in pixels.

        Returns:
            Logits, (P, h, w).
        """
        column, row = (clicks / MASK_STRIDE).long().unbind(1)
        cells = embedded.flatten(1).T  # (h * w, C)
        clicked = embedded[:, row, column].T  # (P, C)
        squares = (cells**2).sum(1) + (clicked**2).sum(1)[:, None] - 2 * clicked @ cells.T
        return (self.offset - self.scale * squares).unflatten(1, embedded.shape[1:])


def mask_loss(logits: Tensor, truth: Tensor, balance: float) -> Tensor:
    """Cross-entropy of inside and outside, plus dice.

    Args:
        logits: (P, Q, h, w), Q masks for each prompt.
        truth: Share of each cell that the object covers, (P, h, w).
        balance: 0 gives the whole outside the weight of the whole inside, 1 gives each cell the
            same; masks that are too large cost little at 0, empty masks little at 1.

    Returns:
        Loss of every mask, (P, Q).
    """
    truth = truth[:, None].expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    inside, outside = truth.sum((2, 3)), (1 - truth).sum((2, 3))  # (P, Q)
    within = (entropy * truth).sum((2, 3)) / inside
    beyond = (entropy * (1 - truth)).sum((2, 3)) / outside * (outside / inside) ** balance
    chances = logits.sigmoid()
    shared = (chances * truth).sum((2, 3))
    dice = 1 - (2 * shared + 1) / (chances.sum((2, 3)) + inside + 1)
    return within + beyond + dice


def extent_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Dice of the sides of the boxes around masks: strays and missing tips spoil them.

    After the projection term of Tian et al., arXiv 2012.02310. Here a row or column counts as far
    as the mask has cells on both sides of it, so that a stray costs the more the farther it lies.

    Args:
        logits: (P, Q, h, w), Q masks for each prompt.
        truth: Share of each cell that the object covers, (P, h, w).

    Returns:
        Loss of every mask, (P, Q).
    """
    found, wanted = _extents(logits.sigmoid()), _extents(truth[:, None])
    shared = (found * wanted).sum(2)
    return 1 - 2 * shared / (found.square().sum(2) + wanted.square().sum(2))


def _extents(masks: Tensor) -> Tensor:
    """How far each column and row lies between the ends of masks (P, Q, h, w), (P, Q, w + h)."""
    return torch.cat([_between_ends(masks.amax(2)), _between_ends(masks.amax(3))], dim=2)


def _between_ends(shadows: Tensor) -> Tensor:
    before = shadows.cummax(-1).values
    after = shadows.flip(-1).cummax(-1).values.flip(-1)
    return torch.minimum(before, after)


def prompt_mask_loss(logits: Tensor, truth: Tensor, strictness: Strictness) -> Tensor:
    """Loss of every mask, (P, Q): both of the above."""
    inside = mask_loss(logits, truth, strictness.balance)
    return inside + strictness.extents * extent_loss(logits, truth)


def mask_ious(logits: Tensor, truth: Tensor) -> Tensor:
    """IoU of masks (P, Q, h, w) with the truth (P, h, w), (P, Q)."""
    masks, objects = logits > 0, truth[:, None] > 0.5
    union = (masks | objects).sum((2, 3))
    return (masks & objects).sum((2, 3)) / union.clamp(min=1)


def expected_ious(logits: Tensor) -> Tensor:
    """IoU of masks (P, Q, h, w) with what their own chances call the truth, (P, Q)."""
    chances = logits.sigmoid()
    masks = (logits > 0).float()
    return (chances * masks).sum((2, 3)) / torch.maximum(chances, masks).sum((2, 3))


class TrainingModule(nn.Module):
    """The model together with what only training needs."""

    def __init__(self, model: Sam2ImageModel) -> None:
        super().__init__()
        self.model = model
        self.embedding = PixelEmbedding(model.sam_mask_decoder.conv_s0.in_channels)

    def forward(
        self, batch: Sequence[Prompts], strictness: Strictness
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of the masks of a batch, error of the IoU head, and metrics to log.

        The metrics are the mean IoU of the masks chosen for clicks, of those for boxes, and of
        those from the pixel embedding.
        """
        decoder = self.model.sam_mask_decoder
        pyramid = self.model.image_encoder(torch.stack([one.image for one in batch]))
        high_res = decoder.conv_s0(pyramid.stride_4), decoder.conv_s1(pyramid.stride_8)
        features = ImageFeatures(pyramid.stride_16, *high_res)
        embedded = self.embedding(pyramid)
        rows = [self._one(one, features[i], embedded[i], strictness) for i, one in enumerate(batch)]
        losses, errors, metrics = (torch.stack(column) for column in zip(*rows, strict=True))
        return losses.mean(), errors.mean(), metrics.mean(0)

    def _one(
        self, drawn: Prompts, features: ImageFeatures, embedded: Tensor, strictness: Strictness
    ) -> tuple[Tensor, Tensor, Tensor]:
        logits, predicted = self._answer(drawn, features)
        answers = len(drawn.truth)
        losses = prompt_mask_loss(logits[:answers], drawn.truth, strictness)  # (P, 4)
        with torch.no_grad():
            ious = mask_ious(logits[:answers], drawn.truth)  # (P, 4)
            wanted = (ious + expected_ious(logits[:answers])) / 2
        wanted = F.pad(wanted, (0, 0, 0, len(predicted) - answers))  # 0 on the background
        near = self.embedding.masks(embedded, drawn.clicks)[:, None]
        near_loss = mask_loss(near, drawn.truth[:CLICKS], strictness.balance).mean()
        metrics = _metrics(ious, predicted, mask_ious(near, drawn.truth[:CLICKS]))
        return _prompt_loss(losses) + near_loss, F.mse_loss(predicted, wanted), metrics

    def _answer(self, drawn: Prompts, features: ImageFeatures) -> tuple[Tensor, Tensor]:
        """All four masks of every prompt, in the order of clicks, boxes, background."""
        encoder = self.model.sam_prompt_encoder
        prompts = (
            encoder.points(drawn.clicks),
            encoder.boxes(drawn.boxes),
            encoder.points(drawn.background),
        )
        return self.model.predict_masks(features, torch.cat(prompts))


def _prompt_loss(losses: Tensor) -> Tensor:
    """Of clicks the best of three masks counts most, of boxes the single one; (P, 4) to ()."""
    clicks, boxes = losses[:CLICKS], losses[CLICKS:]
    best, every = clicks[:, 1:].amin(1), clicks[:, 1:].mean(1)
    of_clicks = best + OTHERS_SHARE * every + SINGLE_SHARE * clicks[:, 0]
    return torch.cat([of_clicks, boxes[:, 0]]).mean()


def _metrics(ious: Tensor, predicted: Tensor, near: Tensor) -> Tensor:
    chosen = predicted[:CLICKS, 1:].argmax(1, keepdim=True)
    of_clicks = ious[:CLICKS, 1:].gather(1, chosen)
    return torch.stack([of_clicks.mean(), ious[CLICKS:, 0].mean(), near.mean()])


def draw_batch(rng: Generator, phase: Phase) -> list[Prompts]:
    """Draw as many scenes with prompts as a step of the phase takes."""
    batch: list[Prompts] = []
    while len(batch) < phase.batch:
        count = rng.integers(KINDS[0], KINDS[1] + 1)
        kinds = [draw_kind(rng, FAMILIES, PATTERNS) for _ in range(count)]
        prompts = draw_prompts(rng, draw_scene(rng, kinds, phase.layout))
        if prompts is not None:
            batch.append(prompts)
    return batch


def plan() -> list[tuple[Phase, float, Strictness]]:
    """Of every step its phase, its learning rate and its strictness.

    The rate warms up in each phase and falls once over all; the strictness moves from that of the
    phase before.
    """
    steps: list[tuple[Phase, float, Strictness]] = []
    total, done, before = sum(phase.cost for phase in PHASES), 0, (0.0, 0.0)
    for phase in PHASES:
        at = np.arange(phase.steps) / phase.steps
        rates = [RATE * lr_factor(i, (done + phase.cost * x) / total) for i, x in enumerate(at)]
        way = np.minimum(np.arange(phase.steps) / RAMP_STEPS, 1)[:, None]
        strict = (1 - way) * before + way * phase.strictness
        moving = (Strictness(*row) for row in strict.tolist())
        steps += zip([phase] * phase.steps, rates, moving, strict=True)
        done, before = done + phase.cost, phase.strictness
    return steps


def train(seed: int, out: Path) -> Sam2ImageModel:
    """Train through all phases, or through what is left of them."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    module = TrainingModule(build_sam2(NAME, decoder="plain"))
    module.train().requires_grad_(True)
    init_near_prompts(module.model)
    names = ("IoU of clicks", "of boxes", "of pixels")
    training = Training(module, muon_and_adamw(module), rng, seed, out, names)
    for phase, rate, strictness in training.remaining(plan()):
        if module.model.image_size != phase.layout.side:
            module.model = resized(module.model, phase.layout.side)
        loss, error, metrics = module(draw_batch(rng, phase), strictness)
        training.step(rate, loss + phase.iou_weight * error, *metrics)
    return module.model


def resized(model: Sam2ImageModel, side: int) -> Sam2ImageModel:
    """The model for another image size, sharing its parameters."""
    other = build_sam2(NAME, image_size=side, decoder="plain").train().requires_grad_(True)
    other.load_state_dict(model.state_dict(keep_vars=True), assign=True)
    return other


def save(model: Sam2ImageModel, path: Path) -> None:
    """Write an official checkpoint in half precision."""
    torch.save({"model": half_precision(model)}, path)


def main() -> None:
    arguments = read_command_line(__doc__)
    save(train(arguments.seed, arguments.out), arguments.out)


if __name__ == "__main__":
    main()
