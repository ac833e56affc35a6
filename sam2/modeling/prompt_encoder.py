"""The prompt encoder: points, boxes and image positions in one positional encoding."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

NEGATIVE_POINT, POSITIVE_POINT, TOP_LEFT, BOTTOM_RIGHT = range(4)
"""Which point embedding means what."""


class PositionEmbeddingRandom(nn.Module):
    """Random Fourier features of a location (Tancik et al., arXiv 2006.10739)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, embed_dim // 2))

    def forward(self, xy: Tensor) -> Tensor:
        """Encode locations (..., 2), both coordinates in [0, 1], as (..., C) float32."""
        frequencies = 2 * math.pi * self.positional_encoding_gaussian_matrix.float()  # (2, C/2)
        x, y = (2 * xy.float() - 1).unsqueeze(-1).unbind(-2)  # (..., 1) each
        # Not a matrix product, which autocast would run in half precision.
        phases = x * frequencies[0] + y * frequencies[1]  # (..., C/2)
        return torch.cat([phases.sin(), phases.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Tokens for prompts and positions for image tokens.

    Args:
        embed_dim: Channels of a token.
        image_size: Side of the frame that prompts are given in, in pixels.
    """

    def __init__(self, embed_dim: int, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.pe_layer = PositionEmbeddingRandom(embed_dim)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    def points(self, xy: Tensor) -> Tensor:
        """Encode positive points, one per prompt, each with the padding point that means "no box".

        Args:
            xy: Points in pixels, (P, 2); 0.5 is added here, from a pixel's index to its centre.

        Returns:
            Tokens, (P, 2, C).
        """
        return self._padded(self._corner(xy, POSITIVE_POINT)[:, None])

    def clicks(self, xy: Tensor, positive: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Encode several points per prompt, positive or negative, with the box that they refine.

        Without boxes, each prompt ends with the padding point that means "no box".

        Args:
            xy: T points per prompt in pixels, (P, T, 2); 0.5 is added here, as in `points`.
            positive: Whether each lies on the object, or on what does not belong to it, (P, T).
            boxes: Left, top, right, bottom in pixels, (P, 4).

        Returns:
            Tokens, (P, T + 1, C), with boxes (P, T + 2, C).
        """
        chosen = positive.to(self.no_mask_embed.weight.device)[..., None]  # (P, T, 1)
        points = torch.where(
            chosen, self._corner(xy, POSITIVE_POINT), self._corner(xy, NEGATIVE_POINT)
        )
        if boxes is None:
            return self._padded(points)
        return torch.cat([points, self.boxes(boxes)], dim=1)

    def boxes(self, xyxy: Tensor) -> Tensor:
        """Encode boxes, one per prompt, as their two corners.

        Args:
            xyxy: Left, top, right, bottom in pixels, (P, 4); 0.5 is added here, as to points.

        Returns:
            Tokens, (P, 2, C).
        """
        corners = self._corner(xyxy[:, :2], TOP_LEFT), self._corner(xyxy[:, 2:], BOTTOM_RIGHT)
        return torch.stack(corners, dim=1)

    def get_dense_pe(self, height: int, width: int) -> Tensor:
        """Positions of the centres of a grid's cells, `image_pe`, (1, C, height, width)."""
        device = self.no_mask_embed.weight.device
        ys = (torch.arange(height, device=device) + 0.5) / height
        xs = (torch.arange(width, device=device) + 0.5) / width
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        return self._as_tokens(torch.stack([x, y], dim=-1)).permute(2, 0, 1)[None]

    def _padded(self, points: Tensor) -> Tensor:
        """Tokens of points (P, T, C) with the padding point behind them, (P, T + 1, C)."""
        padding = self.not_a_point_embed.weight.expand(len(points), 1, -1)
        return torch.cat([points, padding], dim=1)

    def _corner(self, xy: Tensor, kind: int) -> Tensor:
        device = self.no_mask_embed.weight.device
        unit = (xy.to(device, torch.float32) + 0.5) / self.image_size
        return self._as_tokens(unit) + self.point_embeddings[kind].weight

    def _as_tokens(self, unit: Tensor) -> Tensor:
        return self.pe_layer(unit).to(self.no_mask_embed.weight.dtype)
