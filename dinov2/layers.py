"""Parts of a DINOv2 block, named so that official checkpoints fit."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LAYER_NORM_EPS = 1e-6


class PatchEmbed(nn.Module):
    """Project non-overlapping patches to tokens.

    Args:
        patch_size: Side of a patch in pixels.
        embed_dim: Channels of a token.
    """

    def __init__(self, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (B, 3, H, W) into tokens (B, N, C), row-major."""
        return self.proj(images).flatten(2).transpose(1, 2)  # (B, N, C)


class Attention(nn.Module):
    """Multi-head self-attention with one fused projection to queries, keys and values."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix tokens (B, N, C) with each other."""
        qkv = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1))  # (B, N, 3, heads, D)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D)
        mixed = F.scaled_dot_product_attention(query, key, value)  # (B, heads, N, D)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # (B, N, C)


class LayerScale(nn.Module):
    """Residual with a learned factor per channel (Touvron et al., arXiv 2103.17239)."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(embed_dim))

    def forward(self, tokens: Tensor, learnt: Tensor) -> Tensor:
        """Add scaled channels of what was learnt to tokens, both (B, N, C)."""
        return torch.addcmul(tokens, learnt, self.gamma)


class Mlp(nn.Module):
    """Two linear layers, four times as wide between them, with GELU."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, 4 * embed_dim)
        self.fc2 = nn.Linear(4 * embed_dim, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform each of tokens (B, N, C) on its own."""
        # In place: a new block of this size is fetched from the system piece by piece.
        return self.fc2(torch.ops.aten.gelu_(self.fc1(tokens)))


class SwiGlu(nn.Module):
    """Gated feed-forward network (Shazeer, arXiv 2002.05202) with both input projections in one.

    Its hidden width is two thirds of the MLP's, which keeps the parameter count, rounded up to a
    multiple of 8.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        hidden = (4 * embed_dim * 2 // 3 + 7) // 8 * 8
        self.w12 = nn.Linear(embed_dim, 2 * hidden)
        self.w3 = nn.Linear(hidden, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform each of tokens (B, N, C) on its own."""
        gate, value = self.w12(tokens).chunk(2, dim=-1)  # each (B, N, hidden)
        return self.w3(F.silu(gate) * value)  # (B, N, C)


FEED_FORWARD: dict[str, type[Mlp] | type[SwiGlu]] = {"mlp": Mlp, "swiglu": SwiGlu}


class Block(nn.Module):
    """One pre-norm transformer block.

    Args:
        embed_dim: Channels of a token.
        num_heads: Attention heads.
        ffn: Key of FEED_FORWARD.
    """

    def __init__(self, embed_dim: int, num_heads: int, ffn: str) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(embed_dim, num_heads)
        self.ls1 = LayerScale(embed_dim)
        self.norm2 = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.mlp = FEED_FORWARD[ffn](embed_dim)
        self.ls2 = LayerScale(embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Refine tokens (B, N, C)."""
        tokens = self.ls1(tokens, self.attn(self.norm1(tokens)))
        return self.ls2(tokens, self.mlp(self.norm2(tokens)))


def resize_positions(positions: Tensor, grid: tuple[int, int], antialias: bool) -> Tensor:
    """Stretch a square grid of learned positions over another grid, bicubically.

    The published networks differ here, and their features with them: those with registers resize
    with antialias; the plain ones scale by (rows + 0.1) / side, once a guard against rounding.

    Args:
        positions: One per patch of the trained size, (1, P, C), row-major.
        grid: (rows, columns) of patches wanted.
        antialias: Whether to resize the way the networks with registers do.

    Returns:
        One position per patch, (1, rows * columns, C), in the dtype of `positions`.
    """
    side = round(positions.shape[1] ** 0.5)
    if grid == (side, side):
        return positions
    image = positions.float().unflatten(1, (side, side)).permute(0, 3, 1, 2)  # (1, C, side, side)
    if antialias:
        image = F.interpolate(image, size=grid, mode="bicubic", antialias=True)
    else:
        scale = ((grid[0] + 0.1) / side, (grid[1] + 0.1) / side)
        image = F.interpolate(image, scale_factor=scale, mode="bicubic")  # (1, C, rows, columns)
    return image.flatten(2).transpose(1, 2).to(positions.dtype)  # (1, rows * columns, C)
