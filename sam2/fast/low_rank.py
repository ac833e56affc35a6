"""Image tokens of many prompts as a low-rank change of what all share; see the package's docstring.

Shapes: B prompts, T tokens of a prompt (8), P positions of the image (4096), C channels, H heads, D
channels of a head, K rows so far (64 a layer), L layers so far.

At image size 1024 a copy of the image tokens has 4 MB, 64 rows of weights have 1 MB: there is less
to multiply, and less to carry between memory and cache. For the same reason rows of positions lie
as (K, B, P), which a product with what all prompts share gives, by heads, and one of each prompt's
own takes, as (B, K, P), without a copy; and sums go on where they began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

ROW_GAP = 16
"""Elements between rows of weights, at least a line of a cache."""


@dataclass(frozen=True)
class SharedTokens:
    """What image tokens of all prompts have in common: x0 and b."""

    tokens: Tensor
    """(P, C)"""
    offset: Tensor
    """(C,)"""


@dataclass(frozen=True)
class SharedLayerInput(SharedTokens):
    """The same with what the next layer, which ends in a norm, needs of it."""

    out_proj_by_head: Tensor
    """What the values of the layer are multiplied with, bias and offset included, (H, D + 1, C)."""
    mean_square: Tensor
    """Mean square of the centred tokens, (P,) float32."""
    cross_terms: Tensor
    """Output projections of this layer and the L - 1 before it times the tokens, both centred,
    divided by C: (L * H, D + 1, P) float32."""


def precompute_layer_inputs(
    tokens: Tensor, out_projs: Sequence[Tensor], norms: Sequence[nn.LayerNorm]
) -> tuple[tuple[SharedLayerInput, ...], SharedTokens]:
    """What all prompts share before each layer, and after the last.

    Args:
        tokens: Image tokens before the first layer, (P, C).
        out_projs: Output projection of each layer's image-to-token attention, (H, D + 1, C).
        norms: The norm that ends each layer.
    """
    found: list[SharedLayerInput] = []
    known = tokens.new_empty(0, *out_projs[0].shape[1:])  # (L * H, D + 1, C)
    offset = torch.zeros_like(tokens[0])
    for out_proj, norm in zip(out_projs, norms, strict=True):
        bias = out_proj[:, -1:] + offset / len(out_proj)
        out_proj = torch.cat([out_proj[:, :-1], bias], dim=1)
        centred, known = _centre(tokens), _centre(torch.cat([known, out_proj]))
        mean_square = centred.float().square().mean(-1)
        cross_terms = known.float() @ centred.float().mT / centred.shape[-1]
        found.append(SharedLayerInput(tokens, offset, out_proj, mean_square, cross_terms))
        tokens, known, offset = centred * norm.weight, known * norm.weight, norm.bias
    return tuple(found), SharedTokens(tokens, offset)


@dataclass(frozen=True)
class LowRankTokens:
    """Image tokens of B prompts after L layers: s, A and U."""

    scale: Tensor
    """(B, P)"""
    weights: Tensor
    """(K, B, P)"""
    updates: Tensor
    """(B, K, C)"""
    values: Tensor
    """What made the updates by output projections; the last of each is 1, (B, L * H, T, D + 1)."""

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, prompts: Tensor) -> LowRankTokens:
        """Some of the prompts; one alone is not copied."""
        some = slice(first := int(prompts), first + 1) if len(prompts) == 1 else prompts
        return LowRankTokens(
            self.scale[some], self.weights[:, some], self.updates[some], self.values[some]
        )

    @classmethod
    def first_layer(
        cls, shared: SharedLayerInput, weights: Tensor, values: Tensor, norm: nn.LayerNorm
    ) -> LowRankTokens:
        """After the first layer, before which all prompts see the same; arguments as `update`."""
        ones = torch.ones_like(weights[0])
        return cls(ones, weights, _project_out(values, shared), values)._normalised(shared, norm)

    def update(
        self, shared: SharedLayerInput, weights: Tensor, values: Tensor, norm: nn.LayerNorm
    ) -> LowRankTokens:
        """Add what the image learns from the tokens, and normalise.

        Args:
            shared: Of the layer.
            weights: Of the attention, (H * T, B, P); those of a head sum to 1.
            values: Of the attention, the last of each token 1, (B, H, T, D + 1).
            norm: The norm.
        """
        return LowRankTokens(
            self.scale,
            _append(self.weights, weights, self.scale),
            torch.cat([self.updates, _project_out(values, shared)], dim=1),
            torch.cat([self.values, values], dim=1),
        )._normalised(shared, norm)

    def _normalised(self, shared: SharedLayerInput, norm: nn.LayerNorm) -> LowRankTokens:
        """The tokens behind a norm; their offset is in the updates."""
        updates, scale = _centre(self.updates), self.scale.float()
        variance = scale.square() * self._variance(updates, shared)  # (B, P)
        scale = (scale * (variance + norm.eps).rsqrt()).to(self.scale.dtype)
        return LowRankTokens(scale, self.weights, updates * norm.weight, self.values)

    def _variance(self, updates: Tensor, shared: SharedLayerInput) -> Tensor:
        """Variance of every token before it is scaled, (B, P), from centred updates (B, K, C).

        In float32: it is a sum of terms that may be larger than itself.
        """
        updates, weights = updates.float(), self.weights.float()
        gram = updates @ updates.mT / updates.shape[-1]  # (B, K, K)
        crossed = at_shared(self.values.float(), shared.cross_terms)  # (K, B, P)
        crossed = _add_products(crossed, gram, weights, beta=2)
        return crossed.mul_(weights).sum(0) + shared.mean_square

    def project(self, matrix: Tensor, projected: Tensor, offset: Tensor) -> Tensor:
        """Multiply every token by a matrix and add an offset.

        Args:
            matrix: (C, D)
            projected: The shared tokens times the matrix, (P, D).
            offset: What to add, the shared offset times the matrix in it, (P, D).

        Returns:
            (B, P, D)
        """
        found = torch.baddbmm(projected, *self.factors(matrix))
        return torch.addcmul(offset, self.scale[..., None], found)

    def factors(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (B, P, K) and updates times a matrix (C, D), (B, K, D)."""
        return self.weights.permute(1, 2, 0), self.updates @ matrix


@dataclass(frozen=True)
class ProjectionWithPE:
    """A projection by heads of image tokens plus their positions, `image_pe`."""

    matrix: Tensor
    """(H, D, C)"""
    tokens: Tensor
    """Of the shared tokens, (H, D, P)."""
    image_pe: Tensor
    """Of positions and the shared offset, with the bias where it counts, (H, D, P)."""

    @property
    def first_layer(self) -> Tensor:
        """Of all together, for the layer in which all prompts see the same, (H, D, P)."""
        return self.tokens + self.image_pe

    def dot(self, rows: Tensor, image: LowRankTokens) -> Tensor:
        """Inner products of rows (B, H, T, D) with projected tokens, (H * T, B, P)."""
        found = at_shared(rows, self.tokens)
        folded = at_shared(rows, self.matrix).transpose(0, 1)  # (B, H * T, C)
        found = _add_products(found, folded @ image.updates.mT, image.weights)
        return at_shared(rows, self.image_pe).addcmul_(found, image.scale)


@dataclass(frozen=True)
class Projection:
    """A projection by heads of image tokens alone."""

    matrix: Tensor
    """(H, D, C)"""
    tokens: Tensor
    """Of the shared tokens, (H, P, D)."""
    offset: Tensor
    """Of the shared offset, with the bias, (H, 1, D)."""

    def mean(self, shares: Tensor, image: LowRankTokens) -> Tensor:
        """Means of projected tokens, with shares (H * T, B, P) that sum to 1, (B, H, T, D)."""
        scaled = shares * image.scale
        by_head = scaled.unflatten(0, (len(self.matrix), -1))  # (H, T, B, P)
        of_rows = scaled.transpose(0, 1) @ image.weights.permute(1, 2, 0) @ image.updates
        of_rows = of_rows.transpose(0, 1).unflatten(0, by_head.shape[:2])  # (H, T, B, C)
        found = torch.bmm(by_head.flatten(1, 2), self.tokens)  # (H, T * B, D)
        found = torch.baddbmm(found, of_rows.flatten(1, 2), self.matrix.mT) + self.offset
        return found.unflatten(1, by_head.shape[1:3]).permute(2, 0, 1, 3)


def by_image(images: Sequence[LowRankTokens], *rows: Tensor) -> list[tuple[Any, ...]]:
    """Images of a few prompts each, with the rows (B, ...) of those prompts."""
    sizes = [len(image) for image in images]
    return list(zip(images, *(each.split(sizes) for each in rows), strict=True))


def prompts_per_chunk(elements: dict[str, int], device: torch.device, size: int) -> int:
    """How many prompts of a size the elements of a device ("cpu" or "other") hold, at least one."""
    return max(1, elements.get(device.type, elements["other"]) // size)


def at_shared(rows: Tensor, shared: Tensor) -> Tensor:
    """Multiply rows of each prompt (B, H, T, D) with what all share (H, D, P), (H * T, B, P)."""
    by_head = rows.permute(1, 2, 0, 3).flatten(1, 2)  # (H, T * B, D)
    found = torch.bmm(by_head, shared).unflatten(1, (rows.shape[2], len(rows)))
    return found.flatten(0, 1)


def _add_products(rows: Tensor, factors: Tensor, weights: Tensor, beta: float = 1) -> Tensor:
    """Rows (K, B, P) times beta, plus factors (B, K, J) @ weights (J, B, P).

    In place, for which autocast does not convert; a compiler, which places blocks itself, is given
    the sum to place: it does not follow a change of rows seen with their dimensions exchanged.
    """
    seen, factors, weights = rows.transpose(0, 1), factors.to(rows.dtype), weights.to(rows.dtype)
    add = torch.baddbmm if torch.compiler.is_compiling() else torch.Tensor.baddbmm_
    return add(seen, factors, weights.transpose(0, 1), beta=beta).transpose(0, 1)


def _append(known: Tensor, weights: Tensor, scale: Tensor) -> Tensor:
    """Rows (J, B, P) and behind them weights (K, B, P) / scale (B, P), with a gap behind each.

    Rows that lie a power of two apart compete for the same few lines of a cache.
    """
    size = scale.numel()
    rows = known.new_empty(len(known) + len(weights), size + ROW_GAP)[:, :size]
    rows = rows.unflatten(1, scale.shape)
    rows[: len(known)] = known
    torch.div(weights, scale, out=rows[len(known) :])
    return rows


def _project_out(values: Tensor, shared: SharedLayerInput) -> Tensor:
    return at_shared(values, shared.out_proj_by_head).transpose(0, 1)  # (B, H * T, C)


def _centre(rows: Tensor) -> Tensor:
    return rows - rows.mean(-1, keepdim=True)
