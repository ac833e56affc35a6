"""Hiera: a vision transformer in four stages, each at half the resolution and twice the width.

Ryali et al., "Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles", arXiv
2306.00989; positions as in Bolya et al., "Window Attention is Bugged", arXiv 2311.05613. Maps are
(B, H, W, C) throughout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2.modeling.mlp import MLP, gelu_

LAYER_NORM_EPS = 1e-6


def halve(x: Tensor) -> Tensor:
    """Max-pool a map (B, H, W, C) to (B, H/2, W/2, C)."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), kernel_size=2).permute(0, 2, 3, 1)


def split_windows(x: Tensor, side: int) -> Tensor:
    """Cut a map into square windows, padding it with zeros to a multiple of their side.

    Args:
        x: Map, (B, H, W, C).
        side: Side of a window in positions.

    Returns:
        Windows, (B * windows, side, side, C), row by row.
    """
    _, height, width, channels = x.shape
    x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
    x = x.unflatten(2, (-1, side)).unflatten(1, (-1, side))  # (B, rows, side, columns, side, C)
    return x.transpose(2, 3).reshape(-1, side, side, channels)


def join_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """Undo `split_windows`, dropping its padding.

    Args:
        windows: Windows, (B * windows, side, side, C), row by row.
        height: Rows of the map.
        width: Columns of the map.

    Returns:
        Map, (B, height, width, C).
    """
    side = windows.shape[1]
    rows, columns = -(-height // side), -(-width // side)
    x = windows.unflatten(0, (-1, rows, columns)).transpose(
        2, 3
    )  # (B, rows, side, columns, side, C)
    return x.flatten(3, 4).flatten(1, 2)[:, :height, :width]


class PatchEmbed(nn.Module):
    """Overlapping patches of 7 x 7 pixels, one every 4 pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, kernel_size=7, stride=4, padding=3)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, H, W) as a map (B, H/4, W/4, C)."""
        return self.proj(images).permute(0, 2, 3, 1)


class MultiScaleAttention(nn.Module):
    """Self-attention over a window; with `pool`, queries, and so the output, are pooled 2 x 2."""

    def __init__(self, channels: int, channels_out: int, num_heads: int, pool: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.pool = pool
        self.qkv = nn.Linear(channels, 3 * channels_out)
        self.proj = nn.Linear(channels_out, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map windows (B, H, W, C) to (B, H, W, C_out), or (B, H/2, W/2, C_out) if pooling."""
        queries, keys, values = self.qkv(x).chunk(3, dim=-1)  # (B, H, W, C_out) each
        if self.pool:
            queries = halve(queries)
        out = F.scaled_dot_product_attention(
            self._separate_heads(queries), self._separate_heads(keys), self._separate_heads(values)
        )  # (B, num_heads, P, C_out / num_heads)
        return self.proj(out.transpose(1, 2).reshape(queries.shape))

    def _separate_heads(self, x: Tensor) -> Tensor:
        return x.flatten(1, 2).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class BlockShape(NamedTuple):
    """What one block of the trunk looks like."""

    channels: int
    channels_out: int
    num_heads: int
    window: int
    """Side of the attention window in positions; 0 attends over the whole map."""
    pool: bool
    """Whether the block halves the resolution."""


class MultiScaleBlock(nn.Module):
    """A transformer block that may attend in windows, and may trade resolution for channels."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        channels, channels_out = shape.channels, shape.channels_out
        self.window = shape.window
        self.norm1 = nn.LayerNorm(channels, eps=LAYER_NORM_EPS)
        self.attn = MultiScaleAttention(channels, channels_out, shape.num_heads, shape.pool)
        self.proj = nn.Linear(channels, channels_out) if shape.pool else None
        self.norm2 = nn.LayerNorm(channels_out, eps=LAYER_NORM_EPS)
        self.mlp = MLP((channels_out, 4 * channels_out, channels_out), gelu_)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H, W, C), or to (B, H/2, W/2, C_out) if pooling."""
        normed = self.norm1(x)
        shortcut = x if self.proj is None else halve(self.proj(normed))
        x = self._attend(normed, height=shortcut.shape[1], width=shortcut.shape[2])
        # In place: a new block of this size is fetched from the system piece by piece.
        x = x.add_(shortcut)
        return self.mlp(self.norm2(x)).add_(x)

    def _attend(self, x: Tensor, height: int, width: int) -> Tensor:
        if not self.window:
            return self.attn(x)
        return join_windows(self.attn(split_windows(x, self.window)), height, width)


def block_shapes(
    embed_dim: int,
    num_heads: int,
    stages: Sequence[int],
    global_att_blocks: Sequence[int],
    window_sizes: Sequence[int],
) -> Iterator[BlockShape]:
    """Shapes of all blocks; a later stage begins by pooling, in windows of the stage before."""
    index = 0
    for stage, depth in enumerate(stages):
        for position in range(depth):
            pool = stage > 0 and position == 0
            channels = embed_dim * 2**stage
            yield BlockShape(
                channels=channels // 2 if pool else channels,
                channels_out=channels,
                num_heads=num_heads * 2**stage,
                window=0 if index in global_att_blocks else window_sizes[stage - pool],
                pool=pool,
            )
            index += 1


class Hiera(nn.Module):
    """The trunk of the image encoder.

    Args:
        embed_dim: Channels of the first stage; each later stage has twice those before.
        num_heads: Attention heads of the first stage; doubled likewise.
        stages: Blocks per stage.
        global_att_blocks: Blocks, counted over all stages, that attend over the whole map.
        window_sizes: Side of the attention windows per stage, in positions.
        background_size: Side of the coarse position embedding.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        stages: Sequence[int],
        global_att_blocks: Sequence[int],
        window_sizes: Sequence[int],
        background_size: int,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, embed_dim, background_size, background_size))
        self.pos_embed_window = nn.Parameter(
            torch.zeros(1, embed_dim, window_sizes[0], window_sizes[0])
        )
        for positions in (self.pos_embed, self.pos_embed_window):
            nn.init.trunc_normal_(positions, std=0.02)
        shapes = block_shapes(embed_dim, num_heads, stages, global_att_blocks, window_sizes)
        self.blocks = nn.ModuleList(MultiScaleBlock(shape) for shape in shapes)
        self.channels = tuple(embed_dim * 2**stage for stage in range(len(stages)))
        self.stage_ends = frozenset(sum(stages[: stage + 1]) - 1 for stage in range(len(stages)))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Encode normalised images.

        Args:
            images: ImageNet-normalised, (B, 3, H, W), sides a multiple of 32.

        Returns:
            Output of each stage, finest first: (B, H/4, W/4, C), (B, H/8, W/8, 2C),
            (B, H/16, W/16, 4C), (B, H/32, W/32, 8C).
        """
        x = self.patch_embed(images)  # (B, H/4, W/4, C)
        x = x + self._positions(x.shape[1], x.shape[2])
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stage_ends:
                outputs.append(x)
        return outputs

    def _positions(self, height: int, width: int) -> Tensor:
        """A background over the whole map plus a tile per window, (1, height, width, C)."""
        window = self.pos_embed_window.permute(0, 2, 3, 1)
        down, right = (
            bicubic(coarse, fine, window.device)
            for coarse, fine in zip(self.pos_embed.shape[2:], (height, width), strict=True)
        )
        background = torch.einsum("ncij,hi,wj->nhwc", self.pos_embed.float(), down, right)
        tiles = window.tile(1, height // window.shape[1], width // window.shape[2], 1)
        return background.to(tiles.dtype) + tiles


def bicubic(coarse: int, fine: int, device: torch.device) -> Tensor:
    """Bicubic resizing along one axis as a matrix, (fine, coarse).

    Along both axes it is one such product after the other, which is faster over many channels.
    """
    steps = torch.eye(coarse, device=device)[None, :, :, None]  # (1, coarse, coarse, 1)
    return F.interpolate(steps, size=(fine, 1), mode="bicubic")[0, :, :, 0].T
