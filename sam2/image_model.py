"""The image half of SAM 2 as one object: encode an image once, decode many prompts.

Coordinates are pixels of the model's square input frame, x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sam2.fast import FastMaskDecoder
from sam2.fast.threads import map_in_threads
from sam2.modeling.image_encoder import ImageEncoder
from sam2.modeling.mask_decoder import MaskDecoder
from sam2.modeling.prompt_encoder import PromptEncoder

MASK_STRIDE = 4
"""Pixels of the input frame per pixel of a mask."""

PLAIN_CHUNK = 2**27
"""Elements of upscaled features that the plain decoder makes together, at most: 64 prompts at image
size 1024, with 2 GB in float32; a GPU is busy, and a small one has memory left."""

DecoderName = Literal["auto", "plain", "fast"]


@dataclass(frozen=True)
class ImageFeatures:
    """Encoded images, C the width of the model and S the side of its input frame."""

    embedding: Tensor
    """(B, C, S/16, S/16)"""
    high_res_0: Tensor
    """(B, C/8, S/4, S/4)"""
    high_res_1: Tensor
    """(B, C/4, S/8, S/8)"""

    def __getitem__(self, index: int) -> ImageFeatures:
        """One image, as a batch of one."""
        return ImageFeatures(
            self.embedding[index][None], self.high_res_0[index][None], self.high_res_1[index][None]
        )

    def __len__(self) -> int:
        return len(self.embedding)


class Sam2ImageModel(nn.Module):
    """Image encoder, prompt encoder and mask decoder.

    Args:
        image_encoder: From images to a feature pyramid.
        prompt_encoder: From points and boxes to tokens.
        mask_decoder: From both to masks.
        image_size: Side of the square input frame in pixels.
    """

    def __init__(
        self,
        image_encoder: ImageEncoder,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        image_size: int,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.sam_prompt_encoder = prompt_encoder
        self.sam_mask_decoder = mask_decoder
        self.fast_decoder = FastMaskDecoder(mask_decoder)  # no module: it has no parameters
        self.decoder: DecoderName = "auto"
        """Which one draws: "plain", as in the papers, "fast", for inference alone, see `sam2.fast`,
        or "auto", the fast one on a CPU and the plain one elsewhere."""
        self.image_size = image_size
        self.mask_size = image_size // MASK_STRIDE
        self.best_iou: Tensor | None = None
        """Best predicted IoU that `generate_masks` has seen, also of masks it dropped, (1,)."""

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.sam_prompt_encoder.no_mask_embed.weight.dtype

    def compile_parts(self) -> None:
        """Compile the image encoder, and the decoder that is used, when they first run."""
        self.image_encoder.compile(dynamic=False)
        self.sam_mask_decoder.transformer.compile(dynamic=False)
        self.sam_mask_decoder.output_upscaling.compile(dynamic=False)
        self.fast_decoder.compile()

    def encode(self, images: Tensor) -> ImageFeatures:
        """Encode images, the expensive half; prompts are cheap from then on.

        Args:
            images: ImageNet-normalised RGB, (B, 3, S, S).

        Returns:
            Features of all images. Nothing is added to the embedding (no `no_mem_embed`).

        Raises:
            ValueError: The images have another size than the model.
        """
        side = self.image_size
        if images.shape[1:] != (3, side, side):
            raise ValueError(
                f"images must be (B, 3, {side}, {side}), got {tuple(images.shape)}; "
                "resize them, or build the model with another image_size"
            )
        pyramid = self.image_encoder(images)
        return ImageFeatures(
            embedding=pyramid.stride_16,
            high_res_0=self.sam_mask_decoder.conv_s0(pyramid.stride_4),
            high_res_1=self.sam_mask_decoder.conv_s1(pyramid.stride_8),
        )

    def predict_points(self, features: ImageFeatures, points: Tensor) -> tuple[Tensor, Tensor]:
        """Draw all four masks of every point; all points are decoded together.

        Args:
            features: Of one image.
            points: One positive point per prompt, (P, 2) xy in pixels. The prompt encoder adds 0.5
                to both coordinates: give the index of a pixel, not its centre.

        Returns:
            Mask logits (P, 4, h, w), positive inside, and their predicted IoUs (P, 4) in [0, 1].
        """
        return self.predict_masks(features, self.sam_prompt_encoder.points(points))

    def predict_boxes(self, features: ImageFeatures, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Draw all four masks of every box; all boxes are decoded together.

        Args:
            features: Of one image.
            boxes: One box per prompt, (P, 4) xyxy in pixels; 0.5 is added as in `predict_points`.

        Returns:
            Mask logits (P, 4, h, w), positive inside, and their predicted IoUs (P, 4) in [0, 1].
            Where one mask is wanted, mask 0 is the one to take: a box leaves little doubt.
        """
        return self.predict_masks(features, self.sam_prompt_encoder.boxes(boxes))

    def predict_masks(self, features: ImageFeatures, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Draw all four masks of prompts of any sort; all are decoded together.

        Args:
            features: Of one image.
            prompts: Tokens from the prompt encoder, (P, T, C).

        Returns:
            Mask logits (P, 4, h, w), positive inside, and their predicted IoUs (P, 4) in [0, 1].
        """
        image = self._decoder_image(features)
        if self._uses_fast_decoder(features):
            return self.fast_decoder.predict_masks(self.fast_decoder.precompute(*image), prompts)
        return self.sam_mask_decoder.predict_masks(*image, prompts)

    def generate_masks(
        self,
        features: ImageFeatures,
        prompts: Tensor,
        iou_threshold: float,
        chunk_size: int,
        threads: int = 1,
        multimask_output: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Draw the best mask of every prompt, by predicted IoU, where it is good enough.

        Args:
            features: Of one image.
            prompts: Tokens from the prompt encoder, (P, T, C).
            iou_threshold: Masks with a predicted IoU at or below it are dropped; -1 keeps all.
            chunk_size: Prompts decoded together, at most. What one makes of the image takes 2 MB in
                the fast decoder (float32, image size 1024), and a few times that while it changes.
            threads: Chunks decoded at the same time, on a CPU.
            multimask_output: Whether to choose among masks 1 to 3, as for points, or to take
                mask 0, as for boxes.

        Returns:
            Mask logits (M, h, w), positive inside, and their predicted IoUs (M,), in the order of
            the prompts.
        """
        if not self._uses_fast_decoder(features):
            chunk_size = min(chunk_size, max(1, PLAIN_CHUNK // features.high_res_0.numel()))
        best = self._best_masks(features, multimask_output, iou_threshold)
        decoded = map_in_threads(best, prompts.split(chunk_size), threads)
        logits, ious, all_ious = map(torch.cat, zip(*decoded, strict=True))
        if len(all_ious):
            seen = all_ious if self.best_iou is None else torch.cat([self.best_iou, all_ious])
            self.best_iou = seen.max(dim=0, keepdim=True).values
        return logits, ious

    def _best_masks(
        self, features: ImageFeatures, multimask_output: bool, iou_threshold: float
    ) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
        """From a chunk of prompts to masks and IoUs of those that pass, and the IoUs of all."""
        image, fast = self._decoder_image(features), self.fast_decoder
        if self._uses_fast_decoder(features):
            known = fast.precompute(*image)
            return lambda chunk: fast.best_masks(known, chunk, multimask_output, iou_threshold)
        decoder = self.sam_mask_decoder
        return lambda chunk: best_masks(iou_threshold, *decoder(*image, chunk, multimask_output))

    def _uses_fast_decoder(self, features: ImageFeatures) -> bool:
        if self.decoder == "auto":
            return features.embedding.device.type == "cpu"
        return self.decoder == "fast"

    def _decoder_image(
        self, features: ImageFeatures
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """The image as both decoders take it: embeddings, positions, high-resolution features."""
        if len(features) != 1:
            raise ValueError(
                f"prompts belong to one image, got features of {len(features)}; pass features[i]"
            )
        no_mask = self.sam_prompt_encoder.no_mask_embed.weight[..., None, None]  # (1, C, 1, 1)
        image_pe = self.sam_prompt_encoder.get_dense_pe(*features.embedding.shape[2:])
        high_res_features = features.high_res_0, features.high_res_1
        return features.embedding + no_mask, image_pe, high_res_features


def best_masks(iou_threshold: float, masks: Tensor, ious: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the mask with the best predicted IoU of every prompt, where it is good enough.

    Args:
        iou_threshold: Masks with a predicted IoU at or below it are dropped.
        masks: Logits, (P, Q, h, w).
        ious: Of the masks, (P, Q).

    Returns:
        Masks (M, h, w), their IoUs (M,), and the best IoU of every prompt (P,).
    """
    best_ious, best = ious.max(dim=1)
    kept = (best_ious > iou_threshold).nonzero()[:, 0]  # (M,)
    return masks[kept, best[kept]], best_ious[kept], best_ious
