"""The two-way transformer on image tokens of low rank; shapes as in `low_rank`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from sam2.fast.attention import (
    attend_to_image,
    attend_to_shared,
    attention_weights,
    keys_and_values,
    out_proj_by_head,
    precompute_keys,
    precompute_queries,
    precompute_values,
)
from sam2.fast.low_rank import (
    LowRankTokens,
    Projection,
    ProjectionWithPE,
    SharedLayerInput,
    SharedTokens,
    at_shared,
    by_image,
    precompute_layer_inputs,
)
from sam2.modeling.transformer import TwoWayAttentionBlock, TwoWayTransformer


@dataclass(frozen=True)
class SharedLayer:
    """What a layer knows of an image before it sees a prompt."""

    input: SharedLayerInput
    keys: ProjectionWithPE
    values: Projection
    queries: ProjectionWithPE


@dataclass(frozen=True)
class SharedImage:
    """What the transformer knows of an image before it sees a prompt."""

    layers: tuple[SharedLayer, ...]
    last: SharedTokens
    last_keys: ProjectionWithPE
    last_values: Projection


class FastTwoWayTransformer:
    """The transformer, without parameters of its own.

    Args:
        transformer: Whose parameters it reads.
    """

    def __init__(self, transformer: TwoWayTransformer) -> None:
        self.transformer = transformer

    @property
    def layers(self) -> list[TwoWayAttentionBlock]:
        """The blocks of the plain transformer."""
        return [cast("TwoWayAttentionBlock", layer) for layer in self.transformer.layers]

    def precompute(self, tokens: Tensor, image_pe: Tensor) -> SharedImage:
        """Do once per image what does not depend on a prompt.

        Args:
            tokens: Image tokens, (P, C).
            image_pe: Their positions, (P, C).
        """
        inputs, last = precompute_layer_inputs(
            tokens,
            [out_proj_by_head(layer.cross_attn_image_to_token) for layer in self.layers],
            [layer.norm4 for layer in self.layers],
        )
        shared = tuple(
            _precompute_layer(layer, each, image_pe)
            for layer, each in zip(self.layers, inputs, strict=True)
        )
        final = self.transformer.final_attn_token_to_image
        return SharedImage(
            shared, last, precompute_keys(final, last, image_pe), precompute_values(final, last)
        )

    def forward(
        self, point_embedding: Tensor, shared: SharedImage, wanted: slice, chunk_size: int
    ) -> tuple[Tensor, list[LowRankTokens]]:
        """Let tokens and image update each other.

        Args:
            point_embedding: Tokens, which are positions of their own, (B, T, C).
            shared: The image, from `precompute`.
            wanted: Which of the tokens are read afterwards; only they take the last attention.
            chunk_size: Prompts whose image tokens change together.

        Returns:
            The wanted tokens (B, t, C), and image tokens, those of `chunk_size` prompts each.
        """
        first, *later = self.layers
        queries, images = _first_layer(first, point_embedding, shared.layers[0], chunk_size)
        for layer, each in zip(later, shared.layers[1:], strict=True):
            queries, images = _later_layer(layer, queries, point_embedding, images, each)
        queries, query_pe = queries[:, wanted], point_embedding[:, wanted]
        final = self.transformer.final_attn_token_to_image
        attended = attend_to_image(
            final, queries + query_pe, images, shared.last_keys, shared.last_values
        )
        return self.transformer.norm_final_attn(queries + attended), images


def _precompute_layer(
    layer: TwoWayAttentionBlock, given: SharedLayerInput, image_pe: Tensor
) -> SharedLayer:
    to_image, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
    return SharedLayer(
        given,
        precompute_keys(to_image, given, image_pe),
        precompute_values(to_image, given),
        precompute_queries(to_tokens, given, image_pe),
    )


def _first_layer(
    layer: TwoWayAttentionBlock, query_pe: Tensor, shared: SharedLayer, chunk_size: int
) -> tuple[Tensor, list[LowRankTokens]]:
    """The layer in which tokens are their positions, (B, T, C), and all see the same image."""
    queries = layer.norm1(layer.self_attn(query_pe, query_pe, query_pe))
    attended = attend_to_shared(
        layer.cross_attn_token_to_image, queries + query_pe, shared.keys, shared.values
    )
    queries = _mlp_block(layer, queries + attended)
    attention = layer.cross_attn_image_to_token
    keys, values = keys_and_values(attention, queries + query_pe, queries)
    image_queries, images = shared.queries.first_layer, []
    for some_keys, some in zip(keys.split(chunk_size), values.split(chunk_size), strict=True):
        weights = attention_weights(attention, at_shared(some_keys, image_queries))
        images.append(LowRankTokens.first_layer(shared.input, weights, some, layer.norm4))
    return queries, images


def _later_layer(
    layer: TwoWayAttentionBlock,
    queries: Tensor,
    query_pe: Tensor,
    images: Sequence[LowRankTokens],
    shared: SharedLayer,
) -> tuple[Tensor, list[LowRankTokens]]:
    """A later layer; tokens and positions (B, T, C), image tokens of a few prompts each."""
    located = queries + query_pe
    queries = layer.norm1(queries + layer.self_attn(located, located, queries))
    attended = attend_to_image(
        layer.cross_attn_token_to_image, queries + query_pe, images, shared.keys, shared.values
    )
    queries = _mlp_block(layer, queries + attended)
    attention = layer.cross_attn_image_to_token
    keys, values = keys_and_values(attention, queries + query_pe, queries)
    updated = []
    for image, some_keys, some in by_image(images, keys, values):
        weights = attention_weights(attention, shared.queries.dot(some_keys, image))
        updated.append(image.update(shared.input, weights, some, layer.norm4))
    return queries, updated


def _mlp_block(layer: TwoWayAttentionBlock, queries: Tensor) -> Tensor:
    queries = layer.norm2(queries)
    return layer.norm3(queries + layer.mlp(queries))
