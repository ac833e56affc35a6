"""The two-way transformer of the mask decoder: prompt tokens and image update each other.

Kirillov et al., "Segment Anything", arXiv 2304.02643, appendix A. Shapes: B prompts, T tokens of a
prompt, P = h * w positions of the image embedding, C channels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sam2.modeling.mlp import MLP


class Attention(nn.Module):
    """Multi-head attention whose queries, keys and values may be narrower than its input.

    Args:
        embedding_dim: Channels of input and output.
        num_heads: Number of heads.
        downsample_rate: How many times fewer channels queries, keys and values have, all heads
            together.
    """

    def __init__(self, embedding_dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        self.num_heads = num_heads
        internal_dim = embedding_dim // downsample_rate
        self.q_proj = nn.Linear(embedding_dim, internal_dim)
        self.k_proj = nn.Linear(embedding_dim, internal_dim)
        self.v_proj = nn.Linear(embedding_dim, internal_dim)
        self.out_proj = nn.Linear(internal_dim, embedding_dim)

    def separate_heads(self, x: Tensor) -> Tensor:
        """Split the channels of (..., T, C) among the heads, (..., num_heads, T, C / num_heads)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(-3, -2)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend; what has a batch of one is the same for all prompts.

        Args:
            q: What asks, (B, T, C) or (1, T, C).
            k: What is asked, (B, P, C) or (1, P, C).
            v: What is learnt, like `k`.

        Returns:
            One answer per query, (B, T, C).
        """
        batch = len(q) if len(k) == 1 else len(k)
        q, k, v = (
            self.separate_heads(x).expand(batch, -1, -1, -1)
            for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v))
        )
        out = F.scaled_dot_product_attention(q, k, v)  # (B, num_heads, T, C / num_heads)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class TwoWayAttentionBlock(nn.Module):
    """Self-attention of tokens, tokens to image, an MLP on tokens, and image to tokens.

    Args:
        embedding_dim: Channels of tokens and image.
        num_heads: Heads of every attention.
        mlp_dim: Hidden channels of the MLP.
        skip_first_layer_pe: Whether this is the first layer, whose tokens are their own positions.
    """

    def __init__(
        self, embedding_dim: int, num_heads: int, mlp_dim: int, skip_first_layer_pe: bool = False
    ) -> None:
        super().__init__()
        self.self_attn = Attention(embedding_dim, num_heads)
        self.norm1 = nn.LayerNorm(embedding_dim)
        self.cross_attn_token_to_image = Attention(embedding_dim, num_heads, downsample_rate=2)
        self.norm2 = nn.LayerNorm(embedding_dim)
        self.mlp = MLP((embedding_dim, mlp_dim, embedding_dim), F.relu)
        self.norm3 = nn.LayerNorm(embedding_dim)
        self.norm4 = nn.LayerNorm(embedding_dim)
        self.cross_attn_image_to_token = Attention(embedding_dim, num_heads, downsample_rate=2)
        self.skip_first_layer_pe = skip_first_layer_pe

    def forward(
        self, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update both.

        Args:
            queries: Tokens, (B, T, C).
            keys: Image, (B, P, C), or (1, P, C) while it is the same for all prompts.
            query_pe: Positions of the tokens, (B, T, C).
            key_pe: Positions of the image, (1, P, C).

        Returns:
            Tokens (B, T, C) and image (B, P, C).
        """
        if self.skip_first_layer_pe:
            queries = self.norm1(self.self_attn(queries, queries, queries))
        else:
            located = queries + query_pe
            queries = self.norm1(queries + self.self_attn(located, located, queries))

        attended = self.cross_attn_token_to_image(queries + query_pe, keys + key_pe, keys)
        queries = self.norm2(queries + attended)
        queries = self.norm3(queries + self.mlp(queries))

        attended = self.cross_attn_image_to_token(keys + key_pe, queries + query_pe, queries)
        keys = self.norm4(keys + attended)
        return queries, keys


class TwoWayTransformer(nn.Module):
    """A stack of two-way blocks, and a last attention from tokens to the image.

    Args:
        depth: Number of blocks.
        embedding_dim: Channels of tokens and image.
        num_heads: Heads of every attention.
        mlp_dim: Hidden channels of the MLPs.
    """

    def __init__(self, depth: int, embedding_dim: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(
                embedding_dim, num_heads, mlp_dim, skip_first_layer_pe=(index == 0)
            )
            for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(embedding_dim, num_heads, downsample_rate=2)
        self.norm_final_attn = nn.LayerNorm(embedding_dim)

    def forward(
        self, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Let tokens and image update each other.

        Args:
            image_embedding: The image, the same for all prompts, (1, C, h, w).
            image_pe: Its positions, (1, C, h, w).
            point_embedding: Tokens, which are positions of their own, (B, T, C).

        Returns:
            Tokens (B, T, C) and image (B, P, C), each prompt's own.
        """
        queries = point_embedding
        keys, key_pe = (x.flatten(2).transpose(1, 2) for x in (image_embedding, image_pe))
        for layer in self.layers:
            queries, keys = layer(queries, keys, point_embedding, key_pe)
        attended = self.final_attn_token_to_image(queries + point_embedding, keys + key_pe, keys)
        return self.norm_final_attn(queries + attended), keys
