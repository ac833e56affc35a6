"""The mask decoder: from an encoded image and prompts to masks with a predicted IoU each.

It scores before it draws: the IoU head reads tokens alone, so who wants one mask of four, or none,
pays for no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2.modeling.mlp import MLP
from sam2.modeling.prompted_image import PromptedImage, by_image, prompts_at_once
from sam2.modeling.transformer import SharedImage, TwoWayTransformer
from sam2.modeling.upscaling import SkipFeatures, Upscaling

NUM_MASKS = 4
"""One mask for prompts that leave no doubt, three for a whole, its part and its subpart."""

IOU_AND_MASKS = slice(1, 2 + NUM_MASKS)
"""The tokens that are read: behind the one for the object score, before those of the prompt."""

CHANGED_AT_ONCE = {"cpu": 2**22, "other": 2**30}
"""Elements of image tokens, were they written out, that change together: a few prompts, whose
weights a cache holds, or all that are decoded."""


@dataclass(frozen=True)
class DecoderImage:
    """One image as the decoder wants it, the same for all prompts."""

    shared: SharedImage
    skips: SkipFeatures


@dataclass(frozen=True)
class ScoredPrompts:
    """Scored masks that are not drawn yet."""

    image: PromptedImage
    """Image tokens, each prompt's own."""
    kernels: Tensor
    """From the hypernetworks: what each mask multiplies the upscaled image with, (B, 4, C/8)."""
    ious: Tensor
    """Predicted IoU of each mask, (B, 4) float32: half precision would make many of them equal."""


class MaskDecoder(nn.Module):
    """Two-way transformer, IoU head, hypernetworks and upscaling.

    Args:
        channels: Width of tokens.
        heads: Heads of every attention.
        mlp_dim: Hidden width of the transformer's MLPs.
        depth: Layers of the transformer.
    """

    def __init__(self, channels: int, heads: int, mlp_dim: int, depth: int) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(depth, channels, heads, mlp_dim)
        self.iou_token = nn.Embedding(1, channels)
        self.mask_tokens = nn.Embedding(NUM_MASKS, channels)
        self.obj_score_token = nn.Embedding(1, channels)
        self.output_upscaling = Upscaling(channels)
        self.conv_s0 = nn.Conv2d(channels, channels // 8, kernel_size=1)
        self.conv_s1 = nn.Conv2d(channels, channels // 4, kernel_size=1)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP((channels, channels, channels, channels // 8), F.relu) for _ in range(NUM_MASKS)
        )
        self.iou_prediction_head = MLP((channels, channels, channels, NUM_MASKS), F.relu)

    def prepare(
        self, embedding: Tensor, positions: Tensor, high_res_0: Tensor, high_res_1: Tensor
    ) -> DecoderImage:
        """Do once per image what does not depend on a prompt.

        Args:
            embedding: Image embedding plus the embedding of the mask prompt, (C, h, w).
            positions: Position encoding of its cells, (P, C).
            high_res_0: Stride 4, (C/8, 4h, 4w).
            high_res_1: Stride 8, (C/4, 2h, 2w).

        Returns:
            What `score` and `draw` want to know of the image.
        """
        tokens = embedding.flatten(1).T.contiguous()  # (P, C)
        shared = self.transformer.share(tokens, positions)
        skips = self.output_upscaling.lay_out(shared.last, high_res_0, high_res_1)
        return DecoderImage(shared, skips)

    def score(self, image: DecoderImage, prompts: Tensor) -> list[ScoredPrompts]:
        """Decode prompts up to the scores of their masks.

        Args:
            image: From `prepare`.
            prompts: Tokens of the prompts, (B, T, C).

        Returns:
            Four scored masks per prompt, ready to draw; in order, and in parts of a few prompts.
        """
        own = torch.cat(
            [self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight]
        )
        tokens = torch.cat([own.expand(len(prompts), -1, -1), prompts], dim=1)  # (B, 6 + T, C)
        size = image.shared.last.tokens.numel()
        at_once = prompts_at_once(CHANGED_AT_ONCE, tokens.device, size)
        tokens, images = self.transformer(tokens, image.shared, IOU_AND_MASKS, at_once)
        iou_token, mask_tokens = tokens[:, 0], tokens[:, 1:]
        kernels = torch.stack(
            [mlp(mask_tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        ious = self.iou_prediction_head(iou_token).float().sigmoid()
        return [ScoredPrompts(*part) for part in by_image(images, kernels, ious)]

    def draw(
        self, image: DecoderImage, scored: ScoredPrompts, prompts: Tensor, masks: Tensor
    ) -> Tensor:
        """Draw some of the scored masks.

        Args:
            image: From `prepare`.
            scored: From `score`.
            prompts: Index of each prompt to draw, (M,).
            masks: Which of its four masks to draw, (M, Q).

        Returns:
            Mask logits, (M, Q, 4h, 4w).
        """
        kernels = scored.kernels[prompts[:, None], masks]  # (M, Q, C/8)
        return self.output_upscaling.draw(scored.image, prompts, kernels, image.skips)

    def draw_all(self, image: DecoderImage, scored: ScoredPrompts) -> Tensor:
        """Draw every scored mask, (B, 4, 4h, 4w); arguments as for `draw`."""
        prompts = torch.arange(len(scored.ious), device=scored.ious.device)
        masks = torch.arange(NUM_MASKS, device=prompts.device).expand(len(prompts), -1)
        return self.draw(image, scored, prompts, masks)
