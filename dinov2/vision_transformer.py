"""The DINOv2 vision transformer (Oquab et al., arXiv 2304.07193), as far as patch features go."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dinov2.layers import LAYER_NORM_EPS, Block, PatchEmbed, resize_positions
from dinov2.presets import Preset


class VisionTransformer(nn.Module):
    """Images in, one feature per patch out.

    Args:
        preset: Sizes of the network.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        embed_dim, registers = preset.embed_dim, preset.registers
        self.embed_dim = embed_dim
        self.patch_size = preset.patch_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + preset.trained_side**2, embed_dim))
        self.register_tokens = (
            nn.Parameter(torch.zeros(1, registers, embed_dim)) if registers else None
        )
        self.patch_embed = PatchEmbed(preset.patch_size, embed_dim)
        self.blocks = nn.ModuleList(
            Block(embed_dim, preset.num_heads, preset.ffn) for _ in range(preset.depth)
        )
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        """Compute patch features.

        Args:
            images: RGB, ImageNet-normalised, (B, 3, H, W); H and W multiples of the patch size.

        Returns:
            Patch tokens after the final norm, (B, N, C), row-major: N = H W / patch size squared.

        Raises:
            ValueError: If a side of the images is no multiple of the patch size.
        """
        tokens = self._prepend_tokens(self._embed_patches(images))  # (B, 1 + registers + N, C)
        for block in self.blocks:
            tokens = block(tokens)
        patches = images.shape[-2] * images.shape[-1] // self.patch_size**2
        return self.norm(tokens[:, -patches:])  # (B, N, C)

    def _embed_patches(self, images: Tensor) -> Tensor:
        """Patches with their positions, (B, N, C)."""
        height, width = images.shape[-2:]
        check_size(height, width, self.patch_size)
        grid = (height // self.patch_size, width // self.patch_size)
        antialias = self.register_tokens is not None
        return self.patch_embed(images) + resize_positions(self.pos_embed[:, 1:], grid, antialias)

    def _prepend_tokens(self, patches: Tensor) -> Tensor:
        """The class token, which has a position, and the registers, which have none, go first."""
        first = [self.cls_token + self.pos_embed[:, :1]]  # (1, 1, C)
        if self.register_tokens is not None:
            first.append(self.register_tokens)  # (1, registers, C)
        return torch.cat([*(token.expand(len(patches), -1, -1) for token in first), patches], dim=1)


def check_size(height: int, width: int, patch_size: int) -> None:
    """Refuse images that do not divide into patches.

    Args:
        height: In pixels.
        width: In pixels.
        patch_size: Side of a patch in pixels.

    Raises:
        ValueError: If a side is no positive multiple of the patch size.
    """
    if min(height, width) < patch_size or height % patch_size or width % patch_size:
        raise ValueError(
            f"images of {height} x {width} pixels (height x width) do not divide into patches of "
            f"{patch_size} x {patch_size}; resize both sides to multiples of {patch_size}"
        )
