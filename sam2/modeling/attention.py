"""The three attentions of the mask decoder, arranged for few prompt tokens and many image tokens.

Shapes: B prompts, T tokens per prompt (8), P positions of the image (4096), C channels, H heads, D
channels of one head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2.modeling.prompted_image import (
    Base,
    LocatedProjection,
    Projection,
    PromptedImage,
    by_image,
)


class Attention(nn.Module):
    """The projections of a multi-head attention.

    Args:
        channels: Width of what goes in and what comes out.
        inner: Width of queries, keys and values, all heads together.
        heads: Number of heads.
    """

    def __init__(self, channels: int, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(channels, inner)
        self.k_proj = nn.Linear(channels, inner)
        self.v_proj = nn.Linear(channels, inner)
        self.out_proj = nn.Linear(inner, channels)

    @property
    def scale(self) -> float:
        """Factor on the logits, one over the root of D."""
        return (self.q_proj.out_features // self.heads) ** -0.5

    def split(self, x: Tensor) -> Tensor:
        """Separate the heads of (..., T, H * D) as (..., H, T, D)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def by_head(self, projection: nn.Linear) -> Tensor:
        """The weight of an input projection, one matrix per head, (H, D, C)."""
        return projection.weight.unflatten(0, (self.heads, -1))

    def locate(
        self, projection: nn.Linear, base: Base, positions: Tensor, bias: Tensor | None
    ) -> LocatedProjection:
        """Work out what an input projection makes of a base and of positions (P, C)."""
        of_base, of_positions = (
            self.split(F.linear(x, projection.weight, added)).mT.contiguous()  # (H, D, P)
            for x, added in ((base.tokens, None), (positions + base.offset, bias))
        )
        return LocatedProjection(self.by_head(projection), of_base, of_positions)


class TokenSelfAttention(Attention):
    """Attention among the tokens of a prompt."""

    def forward(self, located: Tensor, values: Tensor) -> Tensor:
        """Attend with queries and keys from `located` and values from `values`, all (B, T, C)."""
        queries, keys = self.split(self.q_proj(located)), self.split(self.k_proj(located))
        out = F.scaled_dot_product_attention(queries, keys, self.split(self.v_proj(values)))
        return self.out_proj(out.transpose(1, 2).flatten(2))


class TokenToImageAttention(Attention):
    """Tokens attend to the image."""

    def share(self, base: Base, positions: Tensor) -> tuple[LocatedProjection, Projection]:
        """Keys and values of what all prompts share.

        The bias of the keys adds a constant to a row of logits, which no softmax can see.

        Args:
            base: Of the image tokens.
            positions: Of the image tokens, (P, C).
        """
        values = self.split(F.linear(base.tokens, self.v_proj.weight)).contiguous()
        offset = self.split(self.v_proj(base.offset[None]))
        return (
            self.locate(self.k_proj, base, positions, bias=None),
            Projection(self.by_head(self.v_proj), values, offset),
        )

    def attend_shared(self, tokens: Tensor, keys: LocatedProjection, values: Projection) -> Tensor:
        """Attend to the bare base; the tokens of all prompts are queries of one attention.

        Args:
            tokens: Tokens plus their prompts, (B, T, C).
            keys: From `share`.
            values: From `share`.

        Returns:
            What the tokens learn, (B, T, C).
        """
        queries = self.split(self.q_proj(tokens.flatten(0, 1)))  # (H, B * T, D)
        # As a batch of one: only then is the attention fused.
        seen = F.scaled_dot_product_attention(
            queries[None], keys.located.mT.contiguous()[None], values.base[None]
        )[0]
        seen = seen + values.offset  # (H, B * T, D)
        return self.out_proj(seen.transpose(0, 1).flatten(1)).view_as(tokens)

    def forward(
        self,
        tokens: Tensor,
        images: Sequence[PromptedImage],
        keys: LocatedProjection,
        values: Projection,
    ) -> Tensor:
        """Attend to image tokens that differ between prompts.

        Args:
            tokens: Tokens plus their prompts, (B, T, C).
            images: Image tokens, of a few prompts each.
            keys: From `share`.
            values: From `share`.

        Returns:
            What the tokens learn, (B, T, C).
        """
        queries = self.split(self.q_proj(tokens)) * self.scale  # (B, H, T, D)
        seen = [
            values.mean(keys.dot(rows, image).softmax(dim=-1), image)  # shares (H * T, b, P)
            for image, rows in by_image(images, queries)
        ]
        return self.out_proj(torch.cat(seen).transpose(1, 2).flatten(2))


class ImageToTokenAttention(Attention):
    """The image attends to the tokens."""

    def share(self, base: Base, positions: Tensor) -> LocatedProjection:
        """Queries of what all prompts share.

        Args:
            base: Of the image tokens.
            positions: Of the image tokens, (P, C).
        """
        return self.locate(self.q_proj, base, positions, self.q_proj.bias)

    def forward(self, located: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What an image attends to, and what it learns there.

        Args:
            located: Tokens plus their prompts, (B, T, C).
            tokens: Tokens, (B, T, C).

        Returns:
            Scaled keys (B, H, T, D), whose products with the queries are the logits, and codes
            [V_h, 1], (B, H, T, D + 1), that multiply the dictionary.
        """
        keys = self.split(self.k_proj(located)) * self.scale
        return keys, F.pad(self.split(self.v_proj(tokens)), (0, 1), value=1)

    def weigh(self, logits: Tensor) -> Tensor:
        """How much each position learns from each token, logits (H * T, B, P) to weights A_h.

        With the positions last, a CPU has a fast softmax over tokens.
        """
        return logits.unflatten(0, (self.heads, -1)).softmax(dim=1).flatten(0, 1)

    @property
    def dictionary(self) -> Tensor:
        """What codes multiply, (H, D + 1, C): [Wo_h, bo / H].

        The answer concat_h(A_h V_h) Wo + bo is the sum over h of A_h (V_h Wo_h + bo / H).
        """
        weight = self.out_proj.weight.unflatten(1, (self.heads, -1)).permute(1, 2, 0)  # (H, D, C)
        bias = self.out_proj.bias.expand(self.heads, 1, -1) / self.heads
        return torch.cat([weight, bias], dim=1)
