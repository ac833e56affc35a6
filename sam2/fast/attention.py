"""Attention between tokens and image, for image tokens of low rank; shapes as in `low_rank`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2.fast.low_rank import (
    LowRankTokens,
    Projection,
    ProjectionWithPE,
    SharedTokens,
    by_image,
)
from sam2.modeling.transformer import Attention


def precompute_keys(
    attention: Attention, shared: SharedTokens, image_pe: Tensor
) -> ProjectionWithPE:
    """Keys of what all prompts share, for tokens to attend to.

    The bias of the keys adds a constant to a row of logits, which no softmax can see.

    Args:
        attention: From tokens to image.
        shared: Of the image tokens.
        image_pe: Positions of the image tokens, (P, C).
    """
    return _with_pe(attention, attention.k_proj, shared, image_pe, bias=None)


def precompute_values(attention: Attention, shared: SharedTokens) -> Projection:
    """Values of what all prompts share; arguments as for `precompute_keys`."""
    projection = attention.v_proj
    tokens = attention.separate_heads(F.linear(shared.tokens, projection.weight)).contiguous()
    offset = attention.separate_heads(projection(shared.offset[None]))
    return Projection(_by_head(attention, projection), tokens, offset)


def precompute_queries(
    attention: Attention, shared: SharedTokens, image_pe: Tensor
) -> ProjectionWithPE:
    """Queries of what all prompts share, with which the image attends to tokens."""
    projection = attention.q_proj
    return _with_pe(attention, projection, shared, image_pe, projection.bias)


def attend_to_shared(
    attention: Attention, q: Tensor, keys: ProjectionWithPE, values: Projection
) -> Tensor:
    """Let tokens attend to an image that all prompts share, as queries of one attention.

    Args:
        attention: From tokens to image.
        q: Tokens plus their positions, (B, T, C).
        keys: From `precompute_keys`.
        values: From `precompute_values`.

    Returns:
        What the tokens learn, (B, T, C).
    """
    queries = attention.separate_heads(attention.q_proj(q.flatten(0, 1)))  # (H, B * T, D)
    # As a batch of one: only then is the attention fused.
    seen = F.scaled_dot_product_attention(
        queries[None], keys.first_layer.mT.contiguous()[None], values.tokens[None]
    )[0]
    seen = seen + values.offset  # (H, B * T, D)
    return attention.out_proj(seen.transpose(0, 1).flatten(1)).view_as(q)


def attend_to_image(
    attention: Attention,
    q: Tensor,
    images: Sequence[LowRankTokens],
    keys: ProjectionWithPE,
    values: Projection,
) -> Tensor:
    """Let tokens attend to image tokens that differ between prompts, those of a few prompts each.

    Other arguments and what is returned are as for `attend_to_shared`.
    """
    queries = attention.separate_heads(attention.q_proj(q)) * _scale(attention)  # (B, H, T, D)
    seen = [
        values.mean(keys.dot(rows, image).softmax(dim=-1), image)  # shares (H * T, b, P)
        for image, rows in by_image(images, queries)
    ]
    return attention.out_proj(torch.cat(seen).transpose(1, 2).flatten(2))


def keys_and_values(attention: Attention, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """What the image attends to, and what it learns there.

    Args:
        attention: From image to tokens.
        k: Tokens plus their positions, (B, T, C).
        v: Tokens, (B, T, C).

    Returns:
        Scaled keys (B, H, T, D), whose products with the queries are the logits, and values, each
        followed by 1, (B, H, T, D + 1).
    """
    keys = attention.separate_heads(attention.k_proj(k)) * _scale(attention)
    return keys, F.pad(attention.separate_heads(attention.v_proj(v)), (0, 1), value=1)


def attention_weights(attention: Attention, logits: Tensor) -> Tensor:
    """How much each position learns from each token of a head, both (H * T, B, P).

    With the positions last, a CPU has a fast softmax over tokens.
    """
    return logits.unflatten(0, (attention.num_heads, -1)).softmax(dim=1).flatten(0, 1)


def out_proj_by_head(attention: Attention) -> Tensor:
    """What values followed by 1 are multiplied with, [Wo_h, bo / H], (H, D + 1, C).

    The answer concat_h(A_h V_h) Wo + bo is the sum over h of A_h (V_h Wo_h + bo / H), as weights of
    a head sum to 1.
    """
    heads, projection = attention.num_heads, attention.out_proj
    weight = projection.weight.unflatten(1, (heads, -1)).permute(1, 2, 0)  # (H, D, C)
    return torch.cat([weight, projection.bias.expand(heads, 1, -1) / heads], dim=1)


def _with_pe(
    attention: Attention,
    projection: nn.Linear,
    shared: SharedTokens,
    image_pe: Tensor,
    bias: Tensor | None,
) -> ProjectionWithPE:
    tokens, located = (
        attention.separate_heads(F.linear(x, projection.weight, added)).mT.contiguous()
        for x, added in ((shared.tokens, None), (image_pe + shared.offset, bias))
    )  # (H, D, P) each
    return ProjectionWithPE(_by_head(attention, projection), tokens, located)


def _by_head(attention: Attention, projection: nn.Linear) -> Tensor:
    """The weight of an input projection, one matrix per head, (H, D, C)."""
    return projection.weight.unflatten(0, (attention.num_heads, -1))


def _scale(attention: Attention) -> float:
    """Factor on the logits, one over the root of D."""
    return (attention.q_proj.out_features // attention.num_heads) ** -0.5
