"""The image as each prompt changed it, without a copy of the image for each prompt.

Every layer adds to the image tokens what they learn from T tokens through H heads, a product of
rank H * T (64), and normalises them. Neither asks for the sum: with B prompts, P positions, C
channels and K rows so far, the tokens of one prompt stay

    diag(scale) base + weights^T values        (P, C), base the same for all prompts.

What a linear map makes of the base is worked out once per image, and per prompt only what it makes
of the values. At image size 1024 a copy of the tokens has 4 MB, 64 rows of weights have 1 MB: there
is less to multiply, and less to carry between memory and cache.

The values a layer adds are codes, which differ between prompts, times a dictionary, which does not:
a dictionary meets the base once per image, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Level:
    """What image tokens of all prompts have in common between two normalisations."""

    base: Tensor
    """(P, C)"""
    power: Tensor
    """Mean square of the base less its mean, (P,) float32."""
    crossings: tuple[Tensor, ...]
    """Dictionaries of all learnt until the next normalisation times the base, both less their mean,
    divided by C: (H, G, P) float32 each."""


def levels(
    tokens: Tensor, dictionaries: Sequence[Tensor], norms: Sequence[nn.LayerNorm]
) -> tuple[Level, ...]:
    """What all prompts share before each layer, and after the last.

    Args:
        tokens: Image tokens before the first layer, (P, C).
        dictionaries: What the codes of each layer multiply, (H, G, C).
        norms: The normalisation that ends each layer.
    """
    found: list[Level] = []
    known: list[Tensor] = []
    for dictionary, norm in zip(dictionaries, norms, strict=True):
        centred, known = _centre(tokens), [_centre(each) for each in (*known, dictionary)]
        power = centred.float().square().mean(-1)
        crossings = (each.float() @ centred.float().mT / centred.shape[-1] for each in known)
        found.append(Level(tokens, power, tuple(crossings)))
        tokens = centred * norm.weight
        known = [*(each * norm.weight for each in known), norm.bias[None, None]]
    return *found, Level(tokens, tokens.float().square().mean(-1), ())


@dataclass(frozen=True)
class PromptedImage:
    """Image tokens of B prompts, see above."""

    level: Level
    scale: Tensor
    """(B, P)"""
    weights: Tensor
    """(B, K, P)"""
    values: Tensor
    """(B, K, C)"""
    codes: tuple[Tensor, ...]
    """What made the values out of the level's dictionaries, (B, H, T, G) each."""

    def __getitem__(self, prompts: Tensor) -> PromptedImage:
        """Some of the prompts."""
        return PromptedImage(
            self.level,
            self.scale[prompts],
            self.weights[prompts],
            self.values[prompts],
            tuple(code[prompts] for code in self.codes),
        )

    @classmethod
    def begin(
        cls, level: Level, weights: Tensor, codes: Tensor, dictionary: Tensor
    ) -> PromptedImage:
        """The bare base with the first product added to it; shapes as for `add`."""
        ones = torch.ones_like(weights[:, 0])
        return cls(level, ones, weights, _values(codes, dictionary), (codes,))

    def add(self, weights: Tensor, codes: Tensor, dictionary: Tensor) -> PromptedImage:
        """Add a product to the tokens.

        Args:
            weights: (B, H * T, P)
            codes: (B, H, T, G)
            dictionary: (H, G, C); codes times it are the values.
        """
        return PromptedImage(
            self.level,
            self.scale,
            torch.cat([self.weights, weights], dim=1),
            torch.cat([self.values, _values(codes, dictionary)], dim=1),
            (*self.codes, codes),
        )

    def normalise(self, norm: nn.LayerNorm, after: Level) -> PromptedImage:
        """Apply a layer norm to every token.

        Its mean goes by centring base and values. Its variance is the mean square of
        r x + a^T V, with r the scale, x the base and a the weights at one position:
        r^2 x^2 + 2 r a V x + a V V^T a, each divided by C.

        Args:
            norm: The norm.
            after: The level behind it.
        """
        values = _centre(self.values)
        factor = self._variance(values).add(norm.eps).rsqrt().to(self.scale.dtype)  # (B, P)
        ones = torch.ones_like(factor[:, None])
        offset = norm.bias.expand(len(values), 1, -1)
        return PromptedImage(
            level=after,
            scale=self.scale * factor,
            weights=torch.cat([self.weights * factor[:, None], ones], dim=1),
            values=torch.cat([values * norm.weight, offset], dim=1),
            codes=(*self.codes, ones.new_ones(len(ones), 1, 1, 1)),
        )

    def _variance(self, values: Tensor) -> Tensor:
        """Variance of every token, (B, P), from centred values (B, K, C).

        In float32: it is a sum of terms that may be larger than itself.
        """
        values, weights, scale = values.float(), self.weights.float(), self.scale.float()
        gram = values @ values.mT / values.shape[-1]  # (B, K, K)
        own = (weights * torch.bmm(gram, weights)).sum(1)
        rows = [codes.shape[1] * codes.shape[2] for codes in self.codes]
        learnt = zip(weights.split(rows, 1), self.codes, self.level.crossings, strict=True)
        products = [
            at_shared(codes.float(), crossing) * some.unflatten(1, codes.shape[1:3]).transpose(0, 1)
            for some, codes, crossing in learnt
        ]  # (H, B, T, P) each
        crossed = torch.stack([product.sum((0, 2)) for product in products]).sum(0)
        return own + 2 * scale * crossed + scale.square() * self.level.power

    def project(self, matrix: Tensor, projected_base: Tensor, offset: Tensor) -> Tensor:
        """Multiply every token by a matrix and add an offset.

        Args:
            matrix: (C, D)
            projected_base: The base's tokens times the matrix, (P, D).
            offset: (P, D)

        Returns:
            (B, P, D)
        """
        found = torch.addcmul(offset, self.scale[..., None], projected_base)
        return torch.baddbmm(found, self.weights.mT, self.values @ matrix)


@dataclass(frozen=True)
class LocatedProjection:
    """What a linear map by heads makes of image tokens plus positions; D channels a head."""

    matrix: Tensor
    """(H, D, C)"""
    base: Tensor
    """Of the base, (H, D, P)."""
    positions: Tensor
    """Of the positions, with the bias where it counts, (H, D, P)."""
    located: Tensor
    """Of both together, for a layer that sees the bare base, (H, D, P)."""

    def dot(self, rows: Tensor, image: PromptedImage) -> Tensor:
        """Inner products of rows (B, H, T, D) with projected tokens, (B, H * T, P)."""
        at_base, at_positions = at_shared(rows, self.base), at_shared(rows, self.positions)
        found = torch.addcmul(at_positions, image.scale[:, None], at_base)  # (H, B, T, P)
        folded = torch.matmul(rows, self.matrix).flatten(1, 2)  # (B, H * T, C)
        shared = found.transpose(0, 1).flatten(1, 2)
        return torch.baddbmm(shared, folded @ image.values.mT, image.weights)


@dataclass(frozen=True)
class Projection:
    """What a linear map by heads makes of image tokens alone, without its bias."""

    matrix: Tensor
    """(H, D, C)"""
    base: Tensor
    """Of the base, (H, P, D)."""

    def sum(self, shares: Tensor, image: PromptedImage) -> Tensor:
        """Sums of projected tokens, each taken with its share (B, H, T, P), (B, H, T, D)."""
        scaled = (shares * image.scale[:, None, None]).transpose(0, 1)  # (H, B, T, P)
        of_base = torch.bmm(scaled.flatten(1, 2), self.base)  # (H, B * T, D)
        of_rows = shares.flatten(1, 2) @ image.weights.mT @ image.values  # (B, H * T, C)
        of_rows = torch.matmul(of_rows.unflatten(1, shares.shape[1:3]), self.matrix.mT)
        return of_rows + of_base.unflatten(1, (len(shares), shares.shape[2])).transpose(0, 1)


def at_shared(rows: Tensor, shared: Tensor) -> Tensor:
    """Multiply rows of each prompt (B, H, T, D) with what all share (H, D, P), (H, B, T, P)."""
    by_head = rows.transpose(0, 1).flatten(1, 2)  # (H, B * T, D)
    return torch.bmm(by_head, shared).unflatten(1, (len(rows), rows.shape[2]))


def _values(codes: Tensor, dictionary: Tensor) -> Tensor:
    return torch.matmul(codes, dictionary).flatten(1, 2)  # (B, H * T, C)


def _centre(rows: Tensor) -> Tensor:
    return rows - rows.mean(-1, keepdim=True)
