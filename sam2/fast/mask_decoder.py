"""The mask decoder that scores before it draws, on image tokens of low rank.

The IoU head reads tokens alone, so only masks that are kept are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sam2.fast.low_rank import LowRankTokens, by_image, prompts_per_chunk
from sam2.fast.transformer import FastTwoWayTransformer, SharedImage
from sam2.fast.upscaling import FastUpscaling, SharedUpscaling
from sam2.modeling.mask_decoder import NUM_MASK_TOKENS, MaskDecoder

IOU_AND_MASK_TOKENS = slice(1, 2 + NUM_MASK_TOKENS)
"""The tokens that are read: behind the one for the object score, before those of the prompt."""

TRANSFORMER_CHUNK = {"cpu": 2**22, "other": 2**30}
"""Elements of image tokens, were they written out, that change together: a few prompts, whose
weights a cache holds, or all that are decoded."""


@dataclass(frozen=True)
class PrecomputedImage:
    """One image as the fast decoder takes it, the same for all prompts."""

    transformer: SharedImage
    upscaling: SharedUpscaling


@dataclass(frozen=True)
class ScoredPrompts:
    """Scored masks that are not drawn yet."""

    image: LowRankTokens
    """Image tokens, each prompt's own."""
    hyper_in: Tensor
    """What each mask multiplies the upscaled image with, (B, 4, C/8)."""
    ious: Tensor
    """Predicted IoU of each mask, (B, 4) float32."""


class FastMaskDecoder:
    """The masks of a `MaskDecoder`, with its parameters; for inference, no gradient passes.

    Args:
        decoder: The plain decoder.
    """

    def __init__(self, decoder: MaskDecoder) -> None:
        self.decoder = decoder
        self.transformer = FastTwoWayTransformer(decoder.transformer)
        self.upscaling = FastUpscaling(decoder.output_upscaling)

    def compile(self) -> None:
        """Compile what is worth it, when it first runs."""
        self.transformer.forward = torch.compile(self.transformer.forward, dynamic=False)  # type: ignore[method-assign]
        # The last few of the kept masks are another number each time.
        self.upscaling.forward = torch.compile(self.upscaling.forward, dynamic=True)  # type: ignore[method-assign]

    @torch.no_grad()
    def precompute(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        high_res_features: tuple[Tensor, Tensor],
    ) -> PrecomputedImage:
        """Do once per image what does not depend on a prompt; arguments as `MaskDecoder` has."""
        tokens, pe = (x[0].flatten(1).T.contiguous() for x in (image_embeddings, image_pe))
        shared = self.transformer.precompute(tokens, pe)  # of (P, C) each
        feat_s0, feat_s1 = high_res_features
        upscaling = self.upscaling.precompute(shared.last, feat_s0[0], feat_s1[0])
        return PrecomputedImage(shared, upscaling)

    @torch.no_grad()
    def predict_masks(self, image: PrecomputedImage, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Draw all four masks of every prompt.

        Args:
            image: From `precompute`.
            prompts: Tokens of the prompts, (B, T, C).

        Returns:
            Mask logits (B, 4, 4h, 4w) and predicted IoUs (B, 4).
        """
        masks, ious = [], []
        for scored in self._score(image, prompts):
            rows = torch.arange(len(scored.ious), device=prompts.device)
            masks.append(self.upscaling.draw(scored.image, rows, scored.hyper_in, image.upscaling))
            ious.append(scored.ious)
        return torch.cat(masks), torch.cat(ious)

    @torch.no_grad()
    def best_masks(
        self, image: PrecomputedImage, prompts: Tensor, multimask_output: bool, iou_threshold: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw the mask with the best predicted IoU of every prompt, where it is good enough.

        Args:
            image: From `precompute`.
            prompts: Tokens of the prompts, (B, T, C).
            multimask_output: Whether to choose among masks 1 to 3, or take mask 0.
            iou_threshold: Masks with a predicted IoU at or below it are not drawn.

        Returns:
            Mask logits (M, 4h, 4w), their IoUs (M,), and the best IoU of every prompt (B,).
        """
        wanted = MaskDecoder.wanted_masks(multimask_output)
        parts = [
            self._best_of(image, scored, wanted, iou_threshold)
            for scored in self._score(image, prompts)
        ]
        masks, kept_ious, ious = map(torch.cat, zip(*parts, strict=True))
        return masks, kept_ious, ious

    def _best_of(
        self, image: PrecomputedImage, scored: ScoredPrompts, wanted: slice, iou_threshold: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        ious, best = scored.ious[:, wanted].max(dim=1)  # (B,) each
        kept = (ious > iou_threshold).nonzero()[:, 0]  # (M,), the only wait for the device
        hyper_in = scored.hyper_in[:, wanted][kept, best[kept]]  # (M, C/8)
        masks = self.upscaling.draw(scored.image, kept, hyper_in[:, None], image.upscaling)
        return masks[:, 0], ious[kept], ious

    def _score(self, image: PrecomputedImage, prompts: Tensor) -> list[ScoredPrompts]:
        """Decode prompts up to the scores of their masks; in order, in parts of a few prompts."""
        tokens = self.decoder.prepend_output_tokens(prompts)  # (B, 6 + T, C)
        shared = image.transformer
        chunk_size = prompts_per_chunk(TRANSFORMER_CHUNK, tokens.device, shared.last.tokens.numel())
        tokens, images = self.transformer.forward(tokens, shared, IOU_AND_MASK_TOKENS, chunk_size)
        hyper_in = self.decoder.hypernetworks(tokens[:, 1:])
        ious = self.decoder.predict_ious(tokens[:, 0])
        return [ScoredPrompts(*part) for part in by_image(images, hyper_in, ious)]
