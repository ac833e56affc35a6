"""The image as each prompt changed it, without a copy of the image for each prompt.

Every layer adds to the image tokens what they learn from T tokens through H heads, a product of
rank H * T (64), and normalises them. Neither asks for the sum: with B prompts, P positions, C
channels and K rows so far, the tokens of one prompt stay

    diag(scale) (base + weights^T values) + offset        (P, C), base and offset the same for all.

A norm does not see how long its input is: with weights relative to the scale, it changes the scale,
the few values, and what all prompts share. What a linear map makes of the base is worked out once
per image, and per prompt only what it makes of the values. At image size 1024 a copy of the tokens
has 4 MB, 64 rows of weights have 1 MB: there is less to multiply, and less to carry between memory
and cache. For the same reason rows of positions lie as (K, B, P), which a product with what all
prompts share gives, by heads, and one of each prompt's own takes, as (B, K, P), without a copy; and
sums go on where they began.

The values a layer adds are codes, which differ between prompts, times a dictionary, which does not:
a dictionary meets the base once per image, too. The weights of a head sum to 1 and the last code of
each token is 1, so the offset before a layer is a part of the layer's dictionary.
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
class Base:
    """What image tokens of all prompts have in common."""

    tokens: Tensor
    """(P, C)"""
    offset: Tensor
    """(C,)"""


@dataclass(frozen=True)
class Level(Base):
    """The same with what the next layer, which ends in a norm, asks of it."""

    dictionary: Tensor
    """What the codes of the layer multiply, offset included, (H, G, C)."""
    power: Tensor
    """Mean square of the tokens less their mean, (P,) float32."""
    crossings: Tensor
    """Dictionaries of this layer and the L - 1 before it times the tokens, both less their mean,
    divided by C: (L * H, G, P) float32."""


def levels(
    tokens: Tensor, dictionaries: Sequence[Tensor], norms: Sequence[nn.LayerNorm]
) -> tuple[tuple[Level, ...], Base]:
    """What all prompts share before each layer, and after the last.

    Args:
        tokens: Image tokens before the first layer, (P, C).
        dictionaries: What the codes of each layer multiply, (H, G, C).
        norms: The normalisation that ends each layer.
    """
    found: list[Level] = []
    known = tokens.new_empty(0, *dictionaries[0].shape[1:])  # (L * H, G, C)
    offset = torch.zeros_like(tokens[0])
    for dictionary, norm in zip(dictionaries, norms, strict=True):
        last = dictionary[:, -1:] + offset / len(dictionary)
        dictionary = torch.cat([dictionary[:, :-1], last], dim=1)
        centred, known = _centre(tokens), _centre(torch.cat([known, dictionary]))
        power = centred.float().square().mean(-1)
        crossings = known.float() @ centred.float().mT / centred.shape[-1]
        found.append(Level(tokens, offset, dictionary, power, crossings))
        tokens, known, offset = centred * norm.weight, known * norm.weight, norm.bias
    return tuple(found), Base(tokens, offset)


@dataclass(frozen=True)
class PromptedImage:
    """Image tokens of B prompts after L layers, see above."""

    scale: Tensor
    """(B, P)"""
    weights: Tensor
    """(K, B, P)"""
    values: Tensor
    """(B, K, C)"""
    codes: Tensor
    """What made the values out of dictionaries, (B, L * H, T, G)."""

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, prompts: Tensor) -> PromptedImage:
        """Some of the prompts; one alone is not copied."""
        some = slice(first := int(prompts), first + 1) if len(prompts) == 1 else prompts
        return PromptedImage(
            self.scale[some], self.weights[:, some], self.values[some], self.codes[some]
        )

    @classmethod
    def begin(
        cls, level: Level, weights: Tensor, codes: Tensor, norm: nn.LayerNorm
    ) -> PromptedImage:
        """The first layer, in which all prompts see the bare base; arguments as for `learn`."""
        ones = torch.ones_like(weights[0])
        return cls(ones, weights, _values(codes, level), codes)._normalised(level, norm)

    def learn(
        self, level: Level, weights: Tensor, codes: Tensor, norm: nn.LayerNorm
    ) -> PromptedImage:
        """Add a product to the tokens and normalise them.

        Args:
            level: Of the layer.
            weights: (H * T, B, P), those of a head sum to 1.
            codes: (B, H, T, G), the last of each token is 1; times the level's dictionary they are
                the values.
            norm: The norm.
        """
        return PromptedImage(
            self.scale,
            _append(self.weights, weights, self.scale),
            torch.cat([self.values, _values(codes, level)], dim=1),
            torch.cat([self.codes, codes], dim=1),
        )._normalised(level, norm)

    def _normalised(self, level: Level, norm: nn.LayerNorm) -> PromptedImage:
        """The tokens behind a norm; their offset is in the values."""
        values, scale = _centre(self.values), self.scale.float()
        variance = scale.square() * self._variance(values, level)  # (B, P)
        scale = (scale * (variance + norm.eps).rsqrt()).to(self.scale.dtype)
        return PromptedImage(scale, self.weights, values * norm.weight, self.codes)

    def _variance(self, values: Tensor, level: Level) -> Tensor:
        """Variance of every token before it is scaled, (B, P), from centred values (B, K, C).

        With x the base, V the values and a the weights at one position, it is the mean square of
        x + a^T V: x^2 + 2 a V x + a V V^T a, each divided by C. In float32: it is a sum of terms
        that may be larger than itself.
        """
        values, weights = values.float(), self.weights.float()
        gram = values @ values.mT / values.shape[-1]  # (B, K, K)
        crossed = at_shared(self.codes.float(), level.crossings)  # (K, B, P)
        crossed = _add_products(crossed, gram, weights, beta=2)
        return crossed.mul_(weights).sum(0) + level.power

    def project(self, matrix: Tensor, projected_base: Tensor, offset: Tensor) -> Tensor:
        """Multiply every token by a matrix and add an offset.

        Args:
            matrix: (C, D)
            projected_base: The base's tokens times the matrix, (P, D).
            offset: What to add, the base's offset times the matrix in it, (P, D).

        Returns:
            (B, P, D)
        """
        found = torch.baddbmm(projected_base, *self.factors(matrix))
        return torch.addcmul(offset, self.scale[..., None], found)

    def factors(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (B, P, K) and values times a matrix (C, D), (B, K, D).

        Their product is what the matrix makes of all that was added to the base.
        """
        return self.weights.permute(1, 2, 0), self.values @ matrix


@dataclass(frozen=True)
class LocatedProjection:
    """What a linear map by heads makes of image tokens plus positions; D channels a head."""

    matrix: Tensor
    """(H, D, C)"""
    base: Tensor
    """Of the base, (H, D, P)."""
    positions: Tensor
    """Of positions and offset, with the bias where it counts, (H, D, P)."""

    @property
    def located(self) -> Tensor:
        """Of both together, for a layer that sees the bare base, (H, D, P)."""
        return self.base + self.positions

    def dot(self, rows: Tensor, image: PromptedImage) -> Tensor:
        """Inner products of rows (B, H, T, D) with projected tokens, (H * T, B, P)."""
        found = at_shared(rows, self.base)
        folded = at_shared(rows, self.matrix).transpose(0, 1)  # (B, H * T, C)
        found = _add_products(found, folded @ image.values.mT, image.weights)
        return at_shared(rows, self.positions).addcmul_(found, image.scale)


@dataclass(frozen=True)
class Projection:
    """What a linear map by heads makes of image tokens alone."""

    matrix: Tensor
    """(H, D, C)"""
    base: Tensor
    """Of the base, (H, P, D)."""
    offset: Tensor
    """Of the offset, with the bias, (H, 1, D)."""

    def mean(self, shares: Tensor, image: PromptedImage) -> Tensor:
        """Means of projected tokens, with shares (H * T, B, P) that sum to 1, (B, H, T, D)."""
        scaled = shares * image.scale
        by_head = scaled.unflatten(0, (len(self.matrix), -1))  # (H, T, B, P)
        of_rows = scaled.transpose(0, 1) @ image.weights.permute(1, 2, 0) @ image.values
        of_rows = of_rows.transpose(0, 1).unflatten(0, by_head.shape[:2])  # (H, T, B, C)
        found = torch.bmm(by_head.flatten(1, 2), self.base)  # (H, T * B, D)
        found = torch.baddbmm(found, of_rows.flatten(1, 2), self.matrix.mT) + self.offset
        return found.unflatten(1, by_head.shape[1:3]).permute(2, 0, 1, 3)


def by_image(images: Sequence[PromptedImage], *rows: Tensor) -> list[tuple[Any, ...]]:
    """Images of a few prompts each, with the rows (B, ...) of those prompts."""
    sizes = [len(image) for image in images]
    return list(zip(images, *(each.split(sizes) for each in rows), strict=True))


def prompts_at_once(limits: dict[str, int], device: torch.device, size: int) -> int:
    """How many prompts of a size fit in the limit of a device ("cpu" or "other"), at least one."""
    return max(1, limits.get(device.type, limits["other"]) // size)


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
    if torch.is_grad_enabled():
        rows[len(known) :] = weights / scale
    else:  # without a block for the quotient
        torch.div(weights, scale, out=rows[len(known) :])
    return rows


def _values(codes: Tensor, level: Level) -> Tensor:
    return at_shared(codes, level.dictionary).transpose(0, 1)  # (B, H * T, C)


def _centre(rows: Tensor) -> Tensor:
    return rows - rows.mean(-1, keepdim=True)
