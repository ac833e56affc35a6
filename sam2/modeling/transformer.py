"""The two-way transformer of the mask decoder: tokens and image update each other."""

from __future__ import annotations

from collections.abc import Sequence
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
    at_shared,
    by_image,
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

    def begin(
        self, prompts: Tensor, shared: SharedLayer, at_once: int
    ) -> tuple[Tensor, list[PromptedImage]]:
        """The first layer: prompts are the tokens, and all see the same image.

        Args:
            prompts: Tokens, (B, T, C).
            shared: From `share`.
            at_once: Prompts whose image tokens change together from here on.

        Returns:
            Tokens (B, T, C), and image tokens, those of a few prompts each.
        """
        tokens = self.norm1(self.self_attn(prompts, prompts))
        learnt = self.cross_attn_token_to_image.attend_shared(
            tokens + prompts, shared.keys, shared.values
        )
        tokens = self._digest(tokens + learnt)
        image_to_token, located = self.cross_attn_image_to_token, shared.queries.located
        keys, codes = image_to_token(tokens + prompts, tokens)
        images = []
        for some_keys, some_codes in zip(keys.split(at_once), codes.split(at_once), strict=True):
            weights = image_to_token.weigh(at_shared(some_keys, located))
            images.append(PromptedImage.begin(shared.level, weights, some_codes, self.norm4))
        return tokens, images

    def forward(
        self,
        tokens: Tensor,
        prompts: Tensor,
        images: Sequence[PromptedImage],
        shared: SharedLayer,
    ) -> tuple[Tensor, list[PromptedImage]]:
        """A later layer.

        Args:
            tokens: Tokens, (B, T, C).
            prompts: Tokens as they entered the first layer; they serve as positions, (B, T, C).
            images: Image tokens, of a few prompts each.
            shared: From `share`.

        Returns:
            Tokens (B, T, C) and image tokens.
        """
        tokens = self.norm1(tokens + self.self_attn(tokens + prompts, tokens))
        learnt = self.cross_attn_token_to_image(
            tokens + prompts, images, shared.keys, shared.values
        )
        tokens = self._digest(tokens + learnt)
        image_to_token = self.cross_attn_image_to_token
        keys, codes = image_to_token(tokens + prompts, tokens)
        learnt_images = []
        for image, some_keys, some_codes in by_image(images, keys, codes):
            weights = image_to_token.weigh(shared.queries.dot(some_keys, image))
            learnt_images.append(image.learn(shared.level, weights, some_codes, self.norm4))
        return tokens, learnt_images

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
        self, prompts: Tensor, shared: SharedImage, wanted: slice, at_once: int
    ) -> tuple[Tensor, list[PromptedImage]]:
        """Let prompts and image update each other.

        Args:
            prompts: Tokens, (B, T, C).
            shared: The image, from `share`.
            wanted: Which of the tokens are read afterwards; only they take the last look.
            at_once: Prompts whose image tokens change together.

        Returns:
            The wanted tokens (B, t, C), and image tokens, those of `at_once` prompts each.
        """
        first, *later = self.layers
        tokens, images = first.begin(prompts, shared.layers[0], at_once)
        for layer, known in zip(later, shared.layers[1:], strict=True):
            tokens, images = layer(tokens, prompts, images, known)
        tokens = tokens[:, wanted]
        learnt = self.final_attn_token_to_image(
            tokens + prompts[:, wanted], images, shared.last_keys, shared.last_values
        )
        return self.norm_final_attn(tokens + learnt), images
