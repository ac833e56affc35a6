"""The two-way transformer of the mask decoder: tokens and image update each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from sam2.modeling.attention import ImageToTokenAttention, TokenSelfAttention, TokenToImageAttention
from sam2.modeling.mlp import MLP
from sam2.modeling.prompted_image import (
    Base,
    Level,
    LocatedProjection,
    Projection,
    PromptedImage,
    levels,
)


@dataclass(frozen=True)
class SharedLayer:
    """What a layer knows of an image before it sees a prompt."""

    level: Level
    keys: LocatedProjection
    values: Projection
    queries: LocatedProjection


@dataclass(frozen=True)
class SharedImage:
    """What the transformer knows of an image before it sees a prompt."""

    layers: tuple[SharedLayer, ...]
    last: Base
    last_keys: LocatedProjection
    last_values: Projection


class TwoWayLayer(nn.Module):
    """Tokens attend to each other, then to the image; the image attends to the tokens.

    Args:
        channels: Width of tokens.
        heads: Heads of every attention.
        mlp_dim: Hidden width of the tokens' MLP.
    """

    def __init__(self, channels: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.self_attn = TokenSelfAttention(channels, channels, heads)
        self.norm1 = nn.LayerNorm(channels)
        self.cross_attn_token_to_image = TokenToImageAttention(channels, channels // 2, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLP((channels, mlp_dim, channels), F.relu)
        self.norm3 = nn.LayerNorm(channels)
        self.norm4 = nn.LayerNorm(channels)
        self.cross_attn_image_to_token = ImageToTokenAttention(channels, channels // 2, heads)

    def share(self, level: Level, positions: Tensor) -> SharedLayer:
        """Work out what does not depend on a prompt.

        Args:
            level: What image tokens of all prompts have in common before this layer.
            positions: Of the image tokens, (P, C).
        """
        keys, values = self.cross_attn_token_to_image.share(level, positions)
        queries = self.cross_attn_image_to_token.share(level, positions)
        return SharedLayer(level, keys, values, queries)

    def begin(self, prompts: Tensor, shared: SharedLayer) -> tuple[Tensor, PromptedImage]:
        """The first layer: prompts are the tokens, and all see the same image.

        Args:
            prompts: Tokens, (B, T, C).
            shared: From `share`.

        Returns:
            Tokens (B, T, C), and image tokens that differ between prompts from here on.
        """
        tokens = self.norm1(self.self_attn(prompts, prompts))
        learnt = self.cross_attn_token_to_image.attend_shared(
            tokens + prompts, shared.keys, shared.values
        )
        tokens = self._digest(tokens + learnt)
        weights, codes = self.cross_attn_image_to_token.attend_shared(
            shared.queries, tokens + prompts, tokens
        )
        return tokens, PromptedImage.begin(shared.level, weights, codes, self.norm4)

    def forward(
        self, tokens: Tensor, prompts: Tensor, image: PromptedImage, shared: SharedLayer
    ) -> tuple[Tensor, PromptedImage]:
        """A later layer.

        Args:
            tokens: Tokens, (B, T, C).
            prompts: Tokens as they entered the first layer; they serve as positions, (B, T, C).
            image: Image tokens.
            shared: From `share`.

        Returns:
            Tokens (B, T, C) and image tokens.
        """
        tokens = self.norm1(tokens + self.self_attn(tokens + prompts, tokens))
        learnt = self.cross_attn_token_to_image(tokens + prompts, image, shared.keys, shared.values)
        tokens = self._digest(tokens + learnt)
        weights, codes = self.cross_attn_image_to_token(
            image, shared.queries, tokens + prompts, tokens
        )
        return tokens, image.learn(shared.level, weights, codes, self.norm4)

    def _digest(self, tokens: Tensor) -> Tensor:
        tokens = self.norm2(tokens)
        return self.norm3(tokens + self.mlp(tokens))


class TwoWayTransformer(nn.Module):
    """Layers in both directions, then a last look of the tokens at the image.

    Args:
        depth: Number of layers.
        channels: Width of tokens.
        heads: Heads of every attention.
        mlp_dim: Hidden width of the tokens' MLPs.
    """

    def __init__(self, depth: int, channels: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(channels, heads, mlp_dim) for _ in range(depth))
        self.final_attn_token_to_image = TokenToImageAttention(channels, channels // 2, heads)
        self.norm_final_attn = nn.LayerNorm(channels)

    def share(self, tokens: Tensor, positions: Tensor) -> SharedImage:
        """Do once per image what does not depend on a prompt.

        Args:
            tokens: Image tokens, (P, C).
            positions: Their positions, (P, C).

        Returns:
            The image as `forward` wants it.
        """
        layers = [cast("TwoWayLayer", layer) for layer in self.layers]
        before, last = levels(
            tokens,
            [layer.cross_attn_image_to_token.dictionary for layer in layers],
            [layer.norm4 for layer in layers],
        )
        shared = tuple(
            layer.share(level, positions) for layer, level in zip(layers, before, strict=True)
        )
        return SharedImage(shared, last, *self.final_attn_token_to_image.share(last, positions))

    def forward(
        self, prompts: Tensor, shared: SharedImage, wanted: slice
    ) -> tuple[Tensor, PromptedImage]:
        """Let prompts and image update each other.

        Args:
            prompts: Tokens, (B, T, C).
            shared: The image, from `share`.
            wanted: Which of the tokens are read afterwards; only they take the last look.

        Returns:
            The wanted tokens (B, t, C) and image tokens.
        """
        first, *later = self.layers
        tokens, image = first.begin(prompts, shared.layers[0])
        for layer, known in zip(later, shared.layers[1:], strict=True):
            tokens, image = layer(tokens, prompts, image, known)
        tokens = tokens[:, wanted]
        learnt = self.final_attn_token_to_image(
            tokens + prompts[:, wanted], image, shared.last_keys, shared.last_values
        )
        return self.norm_final_attn(tokens + learnt), image
