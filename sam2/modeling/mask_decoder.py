"""The mask decoder: from an encoded image and prompts to masks with a predicted IoU each.

Kirillov et al., "Segment Anything", arXiv 2304.02643, appendix A; Ravi et al., "SAM 2", arXiv
2408.00714, which adds the high-resolution features. Shapes: B prompts, T tokens of a prompt, C
channels, h w the image embedding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2.modeling.mlp import MLP
from sam2.modeling.transformer import TwoWayTransformer

NUM_MULTIMASK_OUTPUTS = 3
"""A whole, its part and its subpart, for prompts that leave a doubt."""

NUM_MASK_TOKENS = 1 + NUM_MULTIMASK_OUTPUTS
"""Mask 0 is the one for prompts without doubt."""


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of a map."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise every position of (B, C, h, w)."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class OutputUpscaling(nn.Sequential):
    """Four-fold upscaling; features of the image encoder are added at both resolutions.

    Args:
        transformer_dim: Channels C of the image after the transformer.
    """

    def __init__(self, transformer_dim: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(transformer_dim, transformer_dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(transformer_dim // 4, eps=1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(transformer_dim // 4, transformer_dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )

    def forward(self, src: Tensor, feat_s0: Tensor, feat_s1: Tensor) -> Tensor:  # type: ignore[override]
        """Upscale.

        Args:
            src: Image after the transformer, (B, C, h, w).
            feat_s0: Features of stride 4, (1, C/8, 4h, 4w).
            feat_s1: Features of stride 8, (1, C/4, 2h, 2w).

        Returns:
            (B, C/8, 4h, 4w)
        """
        first, norm, gelu, second, _ = self
        upscaled = gelu(norm(first(src) + feat_s1))  # (B, C/4, 2h, 2w)
        return gelu(second(upscaled) + feat_s0)


class MaskDecoder(nn.Module):
    """Two-way transformer, upscaling, hypernetworks and IoU head.

    Args:
        transformer_dim: Channels C of tokens and image.
        num_heads: Heads of every attention.
        mlp_dim: Hidden channels of the transformer's MLPs.
        depth: Blocks of the transformer.
    """

    def __init__(self, transformer_dim: int, num_heads: int, mlp_dim: int, depth: int) -> None:
        super().__init__()
        dim = transformer_dim
        self.transformer = TwoWayTransformer(depth, dim, num_heads, mlp_dim)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(NUM_MASK_TOKENS, dim)
        self.obj_score_token = nn.Embedding(1, dim)
        self.output_upscaling = OutputUpscaling(dim)
        self.conv_s0 = nn.Conv2d(dim, dim // 8, kernel_size=1)
        self.conv_s1 = nn.Conv2d(dim, dim // 4, kernel_size=1)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP((dim, dim, dim, dim // 8), F.relu) for _ in range(NUM_MASK_TOKENS)
        )
        self.iou_prediction_head = MLP((dim, dim, dim, NUM_MASK_TOKENS), F.relu)

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        high_res_features: tuple[Tensor, Tensor],
        sparse_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Draw the masks that a prompt calls for.

        Args:
            image_embeddings: One image plus the embedding of the mask prompt, (1, C, h, w).
            image_pe: Its positions, (1, C, h, w).
            high_res_features: From `conv_s0` and `conv_s1`, (1, C/8, 4h, 4w) and (1, C/4, 2h, 2w).
            sparse_prompt_embeddings: Tokens of points or boxes, (B, T, C).
            multimask_output: Whether to draw masks 1 to 3, for prompts that leave a doubt, or mask
                0 alone.

        Returns:
            Mask logits (B, 3 or 1, 4h, 4w), positive inside, and predicted IoUs (B, 3 or 1).
        """
        masks, iou_pred = self.predict_masks(
            image_embeddings, image_pe, high_res_features, sparse_prompt_embeddings
        )
        wanted = self.wanted_masks(multimask_output)
        return masks[:, wanted], iou_pred[:, wanted]

    @staticmethod
    def wanted_masks(multimask_output: bool) -> slice:
        """Which of the four masks `forward` returns."""
        return slice(1, None) if multimask_output else slice(0, 1)

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        high_res_features: tuple[Tensor, Tensor],
        sparse_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Draw all four masks, (B, 4, 4h, 4w), with IoUs (B, 4); arguments as for `forward`."""
        tokens = self.prepend_output_tokens(sparse_prompt_embeddings)  # (B, 6 + T, C)
        hs, src = self.transformer(image_embeddings, image_pe, tokens)  # (B, 6 + T, C), (B, P, C)
        iou_token_out, mask_tokens_out = hs[:, 1], hs[:, 2 : 2 + NUM_MASK_TOKENS]

        src = src.transpose(1, 2).unflatten(2, image_embeddings.shape[-2:])  # (B, C, h, w)
        upscaled = self.output_upscaling(src, *high_res_features)  # (B, C/8, 4h, 4w)
        hyper_in = self.hypernetworks(mask_tokens_out)  # (B, 4, C/8)
        masks = (hyper_in @ upscaled.flatten(2)).unflatten(2, upscaled.shape[-2:])
        return masks, self.predict_ious(iou_token_out)

    def prepend_output_tokens(self, sparse_prompt_embeddings: Tensor) -> Tensor:
        """Put the learnt tokens (object score, IoU, masks) before the prompt's, (B, 6 + T, C)."""
        own = (self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight)
        output_tokens = torch.cat(own).expand(len(sparse_prompt_embeddings), -1, -1)
        return torch.cat([output_tokens, sparse_prompt_embeddings], dim=1)

    def hypernetworks(self, mask_tokens_out: Tensor) -> Tensor:
        """What each mask multiplies the upscaled image with: (B, 4, C) to (B, 4, C/8)."""
        mlps = self.output_hypernetworks_mlps
        return torch.stack([mlp(mask_tokens_out[:, i]) for i, mlp in enumerate(mlps)], dim=1)

    def predict_ious(self, iou_token_out: Tensor) -> Tensor:
        """IoUs (B, 4) from the IoU token (B, C), in float32: half precision makes many equal."""
        return self.iou_prediction_head(iou_token_out).float().sigmoid()
