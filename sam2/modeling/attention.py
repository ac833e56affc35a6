"""The three attentions of the mask decoder, arranged for few prompt tokens and many image tokens.

Shapes: B prompts, T tokens per prompt (8), P positions of the image (4096), C channels, D channels
of one head. In formulas a subscript h is one head, Wq, Wk, Wv, Wo are the projections, bq ... bo
their biases, X image tokens and A attention weights, whose rows sum to 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
        """Separate the heads of (..., heads * D) as (..., heads, D)."""
        return x.unflatten(-1, (self.heads, -1))

    def by_head(self, projection: nn.Linear) -> Tensor:
        """The weight of an input projection, one matrix per head, (heads, D, C)."""
        return projection.weight.unflatten(0, (self.heads, -1))


class TokenSelfAttention(Attention):
    """Attention among the tokens of a prompt."""

    def forward(self, located: Tensor, values: Tensor) -> Tensor:
        """Attend with queries and keys from `located` and values from `values`, all (B, T, C)."""
        queries, keys, values = (
            self.split(projection(x)).transpose(1, 2)  # (B, heads, T, D)
            for projection, x in (
                (self.q_proj, located),
                (self.k_proj, located),
                (self.v_proj, values),
            )
        )
        out = F.scaled_dot_product_attention(queries, keys, values)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class TokenToImageAttention(Attention):
    """Tokens attend to the image."""

    def share(self, image: Tensor, located: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of an image that is the same for all prompts.

        Args:
            image: Image tokens, (P, C).
            located: Image tokens plus their positions, (P, C).

        Returns:
            Keys and values, (heads, P, D) each.
        """
        keys, values = self.split(self.k_proj(located)), self.split(self.v_proj(image))
        return keys.transpose(0, 1), values.transpose(0, 1)

    def attend_shared(self, tokens: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend to what `share` returned; the tokens of all prompts are queries of one attention.

        Args:
            tokens: Tokens plus their prompts, (B, T, C).
            keys: (heads, P, D).
            values: (heads, P, D).

        Returns:
            What the tokens learn, (B, T, C).
        """
        queries = self.split(self.q_proj(tokens.flatten(0, 1))).transpose(0, 1)  # (heads, B * T, D)
        out = F.scaled_dot_product_attention(queries[None], keys[None], values[None])[0]
        return self.out_proj(out.transpose(0, 1).flatten(1)).view_as(tokens)

    def forward(self, tokens: Tensor, image: Tensor, located: Tensor) -> Tensor:
        """Attend to image tokens that differ between prompts, without projecting them.

        q_h (X Wk_h)^T = (q_h Wk_h^T) X^T and A_h (X Wv_h) = (A_h X) Wv_h: the projections move to
        the few tokens. bk adds a constant to a row of logits and drops out of the softmax; bv is
        added once, since rows of A_h sum to 1.

        Args:
            tokens: Tokens plus their prompts, (B, T, C).
            image: Image tokens, (B, P, C).
            located: Image tokens plus their positions, (B, P, C).

        Returns:
            What the tokens learn, (B, T, C).
        """
        queries = self.split(self.q_proj(tokens))  # (B, T, heads, D)
        folded = torch.einsum("bthd,hdc->bthc", queries, self.by_head(self.k_proj)).flatten(1, 2)
        seen = F.scaled_dot_product_attention(
            folded[:, None], located[:, None], image[:, None], scale=self.scale
        )[:, 0]  # (B, T * heads, C)
        seen = seen.unflatten(1, (-1, self.heads))  # (B, T, heads, C)
        values = torch.einsum("bthc,hdc->bthd", seen, self.by_head(self.v_proj)).flatten(2)
        return self.out_proj(values + self.v_proj.bias)


class ImageToTokenAttention(Attention):
    """The image attends to the tokens; what it learns is added to the image tokens."""

    def share(self, located: Tensor) -> Tensor:
        """Queries of an image that is the same for all prompts.

        Args:
            located: Image tokens plus their positions, (P, C).

        Returns:
            Queries, (heads, P, D).
        """
        return self.split(self.q_proj(located)).transpose(0, 1)

    def attend_shared(
        self, image: Tensor, queries: Tensor, located_tokens: Tensor, tokens: Tensor
    ) -> Tensor:
        """Attend with the queries that `share` returned.

        Args:
            image: Image tokens, the same for all prompts, (P, C).
            queries: (heads, P, D).
            located_tokens: Tokens plus their prompts, (B, T, C).
            tokens: Tokens, (B, T, C).

        Returns:
            Image tokens with what they learnt added, (B, P, C).
        """
        keys = self.split(self.k_proj(located_tokens)) * self.scale  # (B, T, heads, D)
        logits = torch.einsum("hpd,bthd->bthp", queries, keys)
        return self._add(image.expand(len(tokens), -1, -1), logits, tokens)

    def forward(
        self, image: Tensor, located: Tensor, located_tokens: Tensor, tokens: Tensor
    ) -> Tensor:
        """Attend with image tokens that differ between prompts, without projecting them.

        (X Wq_h + bq_h) k_h^T = X (Wq_h k_h^T) + bq_h k_h^T: the projection moves to the few tokens.

        Args:
            image: Image tokens, (B, P, C).
            located: Image tokens plus their positions, (B, P, C).
            located_tokens: Tokens plus their prompts, (B, T, C).
            tokens: Tokens, (B, T, C).

        Returns:
            Image tokens with what they learnt added, (B, P, C).
        """
        keys = self.split(self.k_proj(located_tokens)) * self.scale  # (B, T, heads, D)
        folded = torch.einsum("bthd,hdc->bthc", keys, self.by_head(self.q_proj)).flatten(1, 2)
        constant = (keys * self.split(self.q_proj.bias)).sum(-1).flatten(1)  # (B, T * heads)
        logits = torch.baddbmm(constant[..., None], folded, located.mT)  # (B, T * heads, P)
        return self._add(image, logits.unflatten(1, (-1, self.heads)), tokens)

    def _add(self, image: Tensor, logits: Tensor, tokens: Tensor) -> Tensor:
        """Add concat_h(A_h V_h) Wo + bo, as sum_h A_h (V_h Wo_h + bo / heads), to image tokens.

        Logits are (B, T, heads, P): with the positions last, a CPU has a fast softmax over tokens.
        """
        weights = logits.softmax(dim=1).flatten(1, 2)  # (B, T * heads, P)
        values = self.split(self.v_proj(tokens))  # (B, T, heads, D)
        wanted = self.out_proj.weight.unflatten(1, (self.heads, -1))  # (C, heads, D)
        answers = torch.einsum("bthd,chd->bthc", values, wanted)  # (B, T, heads, C)
        answers = (answers + self.out_proj.bias / self.heads).flatten(1, 2)
        return torch.baddbmm(image, weights.mT, answers)
