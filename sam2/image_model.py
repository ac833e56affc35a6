"""The image half of SAM 2 as one object: encode an image once, decode many prompts.

Coordinates are pixels of the model's square input frame, x to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from sam2.modeling.image_encoder import ImageEncoder
from sam2.modeling.mask_decoder import DecoderImage, MaskDecoder, ScoredPrompts
from sam2.modeling.prompt_encoder import PromptEncoder
from sam2.threads import map_in_threads

MASK_STRIDE = 4
"""Pixels of the input frame per pixel of a mask."""


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


class ImageModel(nn.Module):
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
        self.image_size = image_size
        self.mask_size = image_size // MASK_STRIDE
        self.best_iou: Tensor | None = None
        """Best predicted IoU that `best_masks` has seen, also of masks that it dropped, (1,)."""

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.sam_prompt_encoder.no_mask_embed.weight.dtype

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
        """Draw all four masks of every point; all points are decoded at once.

        Args:
            features: Of one image.
            points: One positive point per prompt, (P, 2) xy in pixels. The prompt encoder adds 0.5
                to both coordinates: give the index of a pixel, not its centre.

        Returns:
            Mask logits (P, 4, h, w), positive inside, and their predicted IoUs (P, 4) in [0, 1].
        """
        return self.predict_prompts(features, self.sam_prompt_encoder.points(points))

    def predict_boxes(self, features: ImageFeatures, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Draw all four masks of every box; all boxes are decoded at once.

        Args:
            features: Of one image.
            boxes: One box per prompt, (P, 4) xyxy in pixels; 0.5 is added as in `predict_points`.

        Returns:
            Mask logits (P, 4, h, w), positive inside, and their predicted IoUs (P, 4) in [0, 1].
            Where one mask is wanted, mask 0 is the one to take: a box leaves little doubt.
        """
        return self.predict_prompts(features, self.sam_prompt_encoder.boxes(boxes))

    def predict_prompts(self, features: ImageFeatures, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Draw all four masks of prompts of any sort; all are decoded at once.

        Args:
            features: Of one image.
            prompts: Tokens from the prompt encoder, (P, T, C).

        Returns:
            Mask logits (P, 4, h, w), positive inside, and their predicted IoUs (P, 4) in [0, 1].
        """
        image = self._prepare(features)
        parts = self.sam_mask_decoder.score(image, prompts)
        masks = [self.sam_mask_decoder.draw_all(image, part) for part in parts]
        return torch.cat(masks), torch.cat([part.ious for part in parts])

    def best_masks(
        self,
        features: ImageFeatures,
        points: Tensor,
        iou_threshold: float,
        chunk_size: int,
        threads: int = 1,
    ) -> tuple[Tensor, Tensor]:
        """Draw the best of masks 1 to 3 of every point, by predicted IoU, where it is good enough.

        Args:
            features: Of one image.
            points: As in `predict_points`, (P, 2) in pixels, 0.5 added likewise.
            iou_threshold: Masks with a predicted IoU at or below it are dropped undrawn.
            chunk_size: Points decoded at once. What one makes of the image takes 2 MB (fp32, image
                size 1024), and a few times that while it changes.
            threads: Chunks decoded side by side, on a CPU.

        Returns:
            Mask logits (M, h, w), positive inside, and their predicted IoUs (M,), in the order of
            the points.
        """
        image = self._prepare(features)

        def decode(chunk: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
            prompts = self.sam_prompt_encoder.points(chunk)
            parts = self.sam_mask_decoder.score(image, prompts)
            return [self._best_of(image, part, iou_threshold) for part in parts]

        decoded = map_in_threads(decode, points.split(chunk_size), threads)
        logits, ious, all_ious = map(torch.cat, zip(*chain.from_iterable(decoded), strict=True))
        if len(all_ious):
            seen = all_ious if self.best_iou is None else torch.cat([self.best_iou, all_ious])
            self.best_iou = seen.max(dim=0, keepdim=True).values
        return logits, ious

    def _best_of(
        self, image: DecoderImage, scored: ScoredPrompts, iou_threshold: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks and IoUs of the prompts that pass, and the IoUs of all, (P,)."""
        ious, best = scored.ious[:, 1:].max(dim=1)  # (P,) each
        kept = (ious > iou_threshold).nonzero()[:, 0]  # (M,), the only wait for the device
        masks = self.sam_mask_decoder.draw(image, scored, kept, 1 + best[kept, None])
        return masks[:, 0], ious[kept], ious

    def _prepare(self, features: ImageFeatures) -> DecoderImage:
        if len(features) != 1:
            raise ValueError(
                f"prompts belong to one image, got features of {len(features)}; pass features[i]"
            )
        embedding = features.embedding[0]  # (C, h, w)
        no_mask = self.sam_prompt_encoder.no_mask_embed.weight[0, :, None, None]
        positions = self.sam_prompt_encoder.grid(*embedding.shape[1:])  # (P, C)
        return self.sam_mask_decoder.prepare(
            embedding + no_mask, positions, features.high_res_0[0], features.high_res_1[0]
        )
