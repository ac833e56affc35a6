"""From image tokens to mask pixels: two transposed convolutions, written as matrix products.

With kernel 2 and stride 2, a transposed convolution maps every position to four subpixels of its
own: one matrix product with four times the columns, then a shuffle of pixels, which can wait until
only the mask is left.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from types import ModuleType
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2.fast.low_rank import LowRankTokens, SharedTokens, prompts_per_chunk
from sam2.modeling.mask_decoder import OutputUpscaling
from sam2.modeling.mlp import gelu_

logger = logging.getLogger(__name__)

UPSCALING_CHUNK = {"cpu": 2**21, "other": 2**27}
"""Elements of upscaled features made together: what a cache holds, and what keeps a GPU busy.

At image size 1024 they are those of 1 prompt, and of 64. Larger blocks of CPU memory go back to the
system after each use and are fetched again piece by piece, which costs more than the arithmetic.
"""


@dataclass(frozen=True)
class SharedUpscaling:
    """What all masks share: features plus biases, in the order of the products."""

    order: Tensor
    """Where the pixels of a mask, row by row, lie in the order of the products, (4h, 4w) int64."""
    to_stride_8: Tensor  # the first convolution as a matrix, (C, 4 * C/4)
    to_stride_4: Tensor  # the second, (C/4, 4 * C/8)
    stride_16: Tensor  # (P, 4 * C/4), last dimension (dy, dx, channel): of the shared tokens
    stride_8: Tensor  # (P, 4 * C/4), likewise, with the offset of image tokens
    stride_4: Tensor  # (4 P, 4 * C/8), the same one level finer
    kernels: ModuleType | None
    """`numba_kernels`, where they can be used."""


class FastUpscaling:
    """The upscaling, without parameters of its own.

    Args:
        output_upscaling: Whose parameters it reads.
    """

    def __init__(self, output_upscaling: OutputUpscaling) -> None:
        self.output_upscaling = output_upscaling

    def precompute(self, shared: SharedTokens, feat_s0: Tensor, feat_s1: Tensor) -> SharedUpscaling:
        """Bring what all masks share into the order of the products, once per image.

        Args:
            shared: What image tokens of all prompts have in common after the transformer.
            feat_s0: Stride 4, (C/8, 4h, 4w).
            feat_s1: Stride 8, (C/4, 2h, 2w).
        """
        first, _, second = self._layers
        height, width = feat_s1.shape[1] // 2, feat_s1.shape[2] // 2
        stride_8 = feat_s1.unflatten(2, (width, 2)).unflatten(1, (height, 2))
        stride_8 = stride_8.permute(1, 3, 2, 4, 0) + first.bias  # (h, w, dy, dx, C/4)
        stride_8 = stride_8.reshape(height * width, -1)
        stride_4 = feat_s0.unflatten(2, (width, 2, 2)).unflatten(1, (height, 2, 2))
        # (C/8, h, dy, dy', w, dx, dx') to (h, w, dy, dx, dy', dx', C/8)
        stride_4 = stride_4.permute(1, 4, 2, 5, 3, 6, 0) + second.bias
        to_stride_8 = subpixel_matrix(first)
        return SharedUpscaling(
            order=_pixel_order(height, width, stride_4.device),
            to_stride_8=to_stride_8,
            to_stride_4=subpixel_matrix(second),
            stride_16=shared.tokens @ to_stride_8,
            stride_8=stride_8 + shared.offset @ to_stride_8,
            stride_4=stride_4.reshape(4 * height * width, -1),
            kernels=numba_kernels() if is_supported(stride_4) else None,
        )

    def draw(
        self, image: LowRankTokens, prompts: Tensor, hyper_in: Tensor, shared: SharedUpscaling
    ) -> Tensor:
        """Draw masks of some prompts, a few at a time.

        Args:
            image: Image tokens of all prompts after the transformer.
            prompts: Index of the prompt of each of M draws, (M,).
            hyper_in: What the upscaled features are multiplied with, a row per mask, (M, Q, C/8).
            shared: From `precompute`.

        Returns:
            Mask logits, (M, Q, 4h, 4w).
        """
        if shared.kernels is not None:
            return self._draw_with(shared.kernels, image, prompts, hyper_in, shared)
        chunk_size = prompts_per_chunk(UPSCALING_CHUNK, hyper_in.device, shared.stride_4.numel())
        chunks = zip(prompts.split(chunk_size), hyper_in.split(chunk_size), strict=True)
        return torch.cat([self.forward(image[some], rows, shared) for some, rows in chunks])

    def forward(self, image: LowRankTokens, hyper_in: Tensor, shared: SharedUpscaling) -> Tensor:
        """Draw masks of all prompts of an image together, (B, Q, 4h, 4w); else as `draw`."""
        norm = self._layers[1]
        x = image.project(shared.to_stride_8, shared.stride_16, shared.stride_8)  # (B, P, 4 * C/4)
        x = x.unflatten(-1, (4, -1))  # (B, P, 4, C/4)
        x = F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        x = gelu_(x).flatten(1, 2)  # (B, 4 P, C/4)
        matrix = shared.to_stride_4.expand(len(x), -1, -1)
        x = gelu_(torch.bmm(x, matrix).add_(shared.stride_4))  # (B, 4 P, 4 * C/8)
        x = x.unflatten(-1, (4, -1)).flatten(1, 2)  # (B, 16 P, C/8)
        masks = torch.bmm(hyper_in, x.transpose(1, 2))  # (B, Q, 16 P)
        return masks[..., shared.order]

    def _draw_with(
        self,
        kernels: ModuleType,
        image: LowRankTokens,
        prompts: Tensor,
        hyper_in: Tensor,
        shared: SharedUpscaling,
    ) -> Tensor:
        """As `draw`, one prompt after the other, with `numba_kernels`."""
        norm = self._layers[1]
        masks = hyper_in.new_empty(*hyper_in.shape[:2], *shared.order.shape)
        weights, updates = image.factors(shared.to_stride_8)
        for prompt, rows, drawn in zip(prompts.tolist(), hyper_in, masks, strict=True):
            x = weights[prompt] @ updates[prompt]  # (P, 4 * C/4)
            kernels.activate(x, shared.stride_16, image.scale[prompt], shared.stride_8, norm)
            x = x.view(-1, len(norm.weight)) @ shared.to_stride_4  # (4 P, 4 * C/8)
            kernels.contract(x, shared.stride_4, rows, drawn)
        return masks

    @property
    def _layers(self) -> tuple[nn.ConvTranspose2d, nn.LayerNorm, nn.ConvTranspose2d]:
        first, norm, _, second, _ = self.output_upscaling
        layers = first, norm, second
        return cast("tuple[nn.ConvTranspose2d, nn.LayerNorm, nn.ConvTranspose2d]", layers)


def is_supported(x: Tensor) -> bool:
    """Whether `numba_kernels` can take a tensor: float32 on a CPU."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


@functools.cache
def numba_kernels() -> ModuleType | None:
    """The module `numba_kernels`, which imports Numba; None, said once, where that is missing.

    Said once, too, where it has to compile, for which the first mask waits.
    """
    try:
        from sam2.fast import numba_kernels
    except ImportError:
        logger.warning(
            "Numba is not installed: SAM 2's masks are drawn without compiled kernels, which takes "
            "longer; to repair that, run pip install numba"
        )
        return None
    if not numba_kernels.are_compiled():
        logger.info(
            "SAM 2's kernels are being compiled, for which the first picture waits some seconds; "
            "later runs find them"
        )
    return numba_kernels


def subpixel_matrix(convolution: nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution's weight as (C_in, 4 * C_out), columns by (dy, dx, channel)."""
    return convolution.weight.permute(0, 2, 3, 1).flatten(1)


def _pixel_order(height: int, width: int, device: torch.device) -> Tensor:
    """Where each pixel, by row and column, lies in the order of the products, (4h, 4w)."""
    places = torch.arange(16 * height * width, device=device)
    places = places.view(height, width, 2, 2, 2, 2)  # (h, w, dy, dx, dy', dx')
    # to rows (h, dy, dy') and columns (w, dx, dx')
    return places.permute(0, 2, 4, 1, 3, 5).reshape(4 * height, 4 * width)
