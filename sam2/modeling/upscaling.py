"""From image tokens to mask pixels: two transposed convolutions, written as matrix products.

With kernel 2 and stride 2, a transposed convolution maps every position to four subpixels of its
own: one matrix product with four times the columns, then a shuffle of pixels, which can wait until
only the mask is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from sam2.modeling import fused
from sam2.modeling.mlp import gelu_
from sam2.modeling.prompted_image import Base, PromptedImage, prompts_at_once

DRAWN_AT_ONCE = {"cpu": 2**21, "other": 2**27}
"""Elements of upscaled features made at once: what a cache holds, and what keeps a GPU busy.

At image size 1024 they are those of 1 prompt, and of 64. Larger blocks of CPU memory go back to the
system after each use and are fetched again page by page, which costs more than the arithmetic.
"""


@dataclass(frozen=True)
class SkipFeatures:
    """What all masks share: features plus biases, in the order of the products."""

    order: Tensor
    """Where the pixels of a mask, row by row, lie in the order of the products, (4h, 4w) int64."""
    to_stride_8: Tensor  # the first convolution as a matrix, (C, 4 * C/4)
    to_stride_4: Tensor  # the second, (C/4, 4 * C/8)
    stride_16: Tensor  # (P, 4 * C/4), last dimension (dy, dx, channel): the base of image tokens
    stride_8: Tensor  # (P, 4 * C/4), likewise, with the offset of image tokens
    stride_4: Tensor  # (4 P, 4 * C/8), the same one level finer


class InPlaceGELU(nn.Module):
    """`gelu_` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Change x, of any shape, and return it."""
        return gelu_(x)


def subpixel_matrix(convolution: nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution's weight as (C_in, 4 * C_out), columns by (dy, dx, channel)."""
    return convolution.weight.permute(0, 2, 3, 1).flatten(1)


class Upscaling(nn.ModuleList):
    """Four-fold upscaling with features of the image encoder added at both levels.

    Args:
        channels: Width C of an image token; C/4 after the first convolution, C/8 after the second.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(
            [
                nn.ConvTranspose2d(channels, channels // 4, kernel_size=2, stride=2),
                nn.LayerNorm(channels // 4, eps=1e-6),
                InPlaceGELU(),
                nn.ConvTranspose2d(channels // 4, channels // 8, kernel_size=2, stride=2),
            ]
        )

    def lay_out(self, base: Base, high_res_0: Tensor, high_res_1: Tensor) -> SkipFeatures:
        """Bring what all masks share into the order of the products, once per image.

        Args:
            base: What image tokens of all prompts have in common after the transformer.
            high_res_0: Stride 4, (C/8, 4h, 4w).
            high_res_1: Stride 8, (C/4, 2h, 2w).

        Returns:
            What `forward` adds at both levels, the same for all masks of the image.
        """
        first, _, _, second = self._layers
        height, width = high_res_1.shape[1] // 2, high_res_1.shape[2] // 2
        stride_8 = high_res_1.unflatten(2, (width, 2)).unflatten(1, (height, 2))
        stride_8 = stride_8.permute(1, 3, 2, 4, 0) + first.bias  # (h, w, dy, dx, C/4)
        stride_8 = stride_8.reshape(height * width, -1)
        stride_4 = high_res_0.unflatten(2, (width, 2, 2)).unflatten(1, (height, 2, 2))
        # (C/8, h, dy, dy', w, dx, dx') to (h, w, dy, dx, dy', dx', C/8)
        stride_4 = stride_4.permute(1, 4, 2, 5, 3, 6, 0) + second.bias
        to_stride_8 = subpixel_matrix(first)
        return SkipFeatures(
            order=_pixel_order(height, width, stride_4.device),
            to_stride_8=to_stride_8,
            to_stride_4=subpixel_matrix(second),
            stride_16=base.tokens @ to_stride_8,
            stride_8=stride_8 + base.offset @ to_stride_8,
            stride_4=stride_4.reshape(4 * height * width, -1),
        )

    def draw(
        self, image: PromptedImage, prompts: Tensor, kernels: Tensor, skips: SkipFeatures
    ) -> Tensor:
        """Draw masks of some prompts, a few at a time.

        Args:
            image: Image tokens of all prompts after the transformer.
            prompts: Index of the prompt of each of M draws, (M,).
            kernels: What the upscaled features are multiplied with, one row per mask, (M, Q, C/8).
            skips: From `lay_out`.

        Returns:
            Mask logits, (M, Q, 4h, 4w).
        """
        if fused.serves(kernels):
            return self._fused(image, prompts, kernels, skips)
        at_once = prompts_at_once(DRAWN_AT_ONCE, kernels.device, skips.stride_4.numel())
        drawn = [
            self(image[some], kernel, skips)
            for some, kernel in zip(prompts.split(at_once), kernels.split(at_once), strict=True)
        ]
        return torch.cat(drawn)

    def forward(self, image: PromptedImage, kernels: Tensor, skips: SkipFeatures) -> Tensor:
        """Draw masks of all prompts of an image at once, (B, Q, 4h, 4w); otherwise as `draw`."""
        _, norm, gelu, _ = self._layers
        x = image.project(skips.to_stride_8, skips.stride_16, skips.stride_8)  # (B, P, 4 * C/4)
        x = gelu(norm(x.unflatten(-1, (4, -1)))).flatten(1, 2)  # (B, 4 P, C/4)
        matrix = skips.to_stride_4.expand(len(x), -1, -1)
        x = gelu(torch.bmm(x, matrix).add_(skips.stride_4))  # (B, 4 P, 4 * C/8)
        x = x.unflatten(-1, (4, -1)).flatten(1, 2)  # (B, 16 P, C/8)
        masks = torch.bmm(kernels, x.transpose(1, 2))  # (B, Q, 16 P)
        return masks[..., skips.order]

    def _fused(
        self, image: PromptedImage, prompts: Tensor, kernels: Tensor, skips: SkipFeatures
    ) -> Tensor:
        """As `draw`, one by one, see `fused`."""
        norm = self._layers[1]
        masks = kernels.new_empty(*kernels.shape[:2], *skips.order.shape)
        weights, values = image.factors(skips.to_stride_8)
        for prompt, kernel, drawn in zip(prompts.tolist(), kernels, masks, strict=True):
            x = weights[prompt] @ values[prompt]  # (P, 4 * C/4)
            fused.activate(x, skips.stride_16, image.scale[prompt], skips.stride_8, norm)
            x = x.view(-1, len(norm.weight)) @ skips.to_stride_4  # (4 P, 4 * C/8)
            fused.contract(x, skips.stride_4, kernel, drawn)
        return masks

    @property
    def _layers(self) -> tuple[nn.ConvTranspose2d, nn.LayerNorm, InPlaceGELU, nn.ConvTranspose2d]:
        return cast(
            "tuple[nn.ConvTranspose2d, nn.LayerNorm, InPlaceGELU, nn.ConvTranspose2d]", tuple(self)
        )


def _pixel_order(height: int, width: int, device: torch.device) -> Tensor:
    """Where each pixel, by row and column, lies in the order of the products, (4h, 4w)."""
    places = torch.arange(16 * height * width, device=device)
    places = places.view(height, width, 2, 2, 2, 2)  # (h, w, dy, dx, dy', dx')
    # to rows (h, dy, dy') and columns (w, dx, dx')
    return places.permute(0, 2, 4, 1, 3, 5).reshape(4 * height, 4 * width)
