"""The two-way transformer of the mask decoder: tokens and image update each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from sam2.modeling.attention import ImageToTokenAttention, TokenSelfAttention, TokenToImageAttention
from sam2.modeling.mlp import MLP


@dataclass(frozen=True)
class SharedImage:
    """An image that no prompt has changed yet, and what the first layer projects from it."""

    tokens: Tensor  # (P, C)
    positions: Tensor  # (P, C)
    keys: Tensor  # (heads, P, D)
    values: Tensor  # (heads, P, D)
    queries: Tensor  # (heads, P, D)


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

    def share(self, tokens: Tensor, positions: Tensor) -> SharedImage:
        """Project image tokens and positions (P, C) once, for `begin`."""
        located = tokens + positions
        keys, values = self.cross_attn_token_to_image.share(tokens, located)
        queries = self.cross_attn_image_to_token.share(located)
        return SharedImage(tokens, positions, keys, values, queries)

    def begin(self, prompts: Tensor, shared: SharedImage) -> tuple[Tensor, Tensor]:
        """The first layer: prompts are the tokens, and all see the same image.

        Args:
            prompts: Tokens, (B, T, C).
            shared: What `share` returned.

        Returns:
            Tokens (B, T, C), and image tokens (B, P, C) that differ between prompts from here on.
        """
        tokens = self.norm1(self.self_attn(prompts, prompts))
        learnt = self.cross_attn_token_to_image.attend_shared(
            tokens + prompts, shared.keys, shared.values
        )
        tokens = self._digest(tokens + learnt)
        image = self.cross_attn_image_to_token.attend_shared(
            shared.tokens, shared.queries, tokens + prompts, tokens
        )
        return tokens, self.norm4(image)

    def forward(
        self, tokens: Tensor, prompts: Tensor, image: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A later layer.

        Args:
            tokens: Tokens, (B, T, C).
            prompts: Tokens as they entered the first layer; they serve as positions, (B, T, C).
            image: Image tokens, (B, P, C).
            positions: Positions of the image tokens, (P, C).

        Returns:
            Tokens (B, T, C) and image tokens (B, P, C).
        """
        tokens = self.norm1(tokens + self.self_attn(tokens + prompts, tokens))
        located = image + positions
        learnt = self.cross_attn_token_to_image(tokens + prompts, image, located)
        tokens = self._digest(tokens + learnt)
        image = self.cross_attn_image_to_token(image, located, tokens + prompts, tokens)
        return tokens, self.norm4(image)

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
        return self.layers[0].share(tokens, positions)

    def forward(self, prompts: Tensor, shared: SharedImage, wanted: slice) -> tuple[Tensor, Tensor]:
        """Let prompts and image update each other.

        Args:
            prompts: Tokens, (B, T, C).
            shared: The image, from `share`.
            wanted: Which of the tokens are read afterwards; only they take the last look.

        Returns:
            The wanted tokens (B, t, C) and image tokens (B, P, C).
        """
        first, *later = self.layers
        tokens, image = first.begin(prompts, shared)
        for layer in later:
            tokens, image = layer(tokens, prompts, image, shared.positions)
        tokens = tokens[:, wanted]
        learnt = self.final_attn_token_to_image(
            tokens + prompts[:, wanted], image, image + shared.positions
        )
        return self.norm_final_attn(tokens + learnt), image
