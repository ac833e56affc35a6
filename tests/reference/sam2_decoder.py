"""SAM 2's mask decoder as the papers describe it: nothing shared, nothing skipped, nothing fast.

Weights are looked up by name in a plain state dict, one function per box of the figure. Kirillov et
al., "Segment Anything", arXiv 2304.02643, appendix A; Ravi et al., "SAM 2", arXiv 2408.00714.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def layer_norm(weights: Weights, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def mlp(weights: Weights, name: str, x: Tensor, layers: int) -> Tensor:
    for index in range(layers - 1):
        x = linear(weights, f"{name}.layers.{index}", x).relu()
    return linear(weights, f"{name}.layers.{layers - 1}", x)


def attention(weights: Weights, name: str, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, heads, T, D)

    q = split(linear(weights, f"{name}.q_proj", q))
    k = split(linear(weights, f"{name}.k_proj", k))
    v = split(linear(weights, f"{name}.v_proj", v))
    logits = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
    out = logits.softmax(dim=-1) @ v
    return linear(weights, f"{name}.out_proj", out.transpose(1, 2).flatten(2))


def position_encoding(weights: Weights, unit: Tensor) -> Tensor:
    """Locations (..., 2) in [0, 1] as (..., C)."""
    matrix = weights["sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
    phases = 2 * math.pi * ((2 * unit - 1) @ matrix)
    return torch.cat([phases.sin(), phases.cos()], dim=-1)


def point_prompts(weights: Weights, points: Tensor, image_size: int) -> Tensor:
    """Positive points (P, 2) in pixels, each with the padding point, as (P, 2, C)."""
    click = position_encoding(weights, (points + 0.5) / image_size)
    click = click + weights["sam_prompt_encoder.point_embeddings.1.weight"]
    padding = weights["sam_prompt_encoder.not_a_point_embed.weight"].expand_as(click)
    return torch.stack([click, padding], dim=1)


def box_prompts(weights: Weights, boxes: Tensor, image_size: int) -> Tensor:
    """Boxes (P, 4) xyxy in pixels as (P, 2, C)."""
    corners = position_encoding(weights, (boxes.view(-1, 2, 2) + 0.5) / image_size)
    kinds = [weights[f"sam_prompt_encoder.point_embeddings.{kind}.weight"] for kind in (2, 3)]
    return corners + torch.cat(kinds)


def image_positions(weights: Weights, height: int, width: int) -> Tensor:
    """Positions of the image tokens, (1, C, height, width)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    unit = torch.stack([(x + 0.5) / width, (y + 0.5) / height], dim=-1)
    return position_encoding(weights, unit).permute(2, 0, 1)[None]


def two_way_transformer(
    weights: Weights, image: Tensor, positions: Tensor, prompts: Tensor, heads: int, depth: int
) -> tuple[Tensor, Tensor]:
    """Image and positions (B, P, C), prompts (B, T, C) to tokens (B, T, C), image (B, P, C)."""
    tokens = prompts
    root = "sam_mask_decoder.transformer"
    for index in range(depth):
        name = f"{root}.layers.{index}"
        if index == 0:
            tokens = attention(weights, f"{name}.self_attn", tokens, tokens, tokens, heads)
        else:
            q = tokens + prompts
            tokens = tokens + attention(weights, f"{name}.self_attn", q, q, tokens, heads)
        tokens = layer_norm(weights, f"{name}.norm1", tokens)
        q, k = tokens + prompts, image + positions
        tokens = tokens + attention(
            weights, f"{name}.cross_attn_token_to_image", q, k, image, heads
        )
        tokens = layer_norm(weights, f"{name}.norm2", tokens)
        tokens = tokens + mlp(weights, f"{name}.mlp", tokens, 2)
        tokens = layer_norm(weights, f"{name}.norm3", tokens)
        q, k = image + positions, tokens + prompts
        image = image + attention(weights, f"{name}.cross_attn_image_to_token", q, k, tokens, heads)
        image = layer_norm(weights, f"{name}.norm4", image)
    q, k = tokens + prompts, image + positions
    tokens = tokens + attention(weights, f"{root}.final_attn_token_to_image", q, k, image, heads)
    return layer_norm(weights, f"{root}.norm_final_attn", tokens), image


def upscale(weights: Weights, image: Tensor, high_res_0: Tensor, high_res_1: Tensor) -> Tensor:
    """Image (B, C, h, w) to (B, C/8, 4h, 4w)."""
    name = "sam_mask_decoder.output_upscaling"
    x = F.conv_transpose2d(image, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"], stride=2)
    x = layer_norm(weights, f"{name}.1", (x + high_res_1).permute(0, 2, 3, 1), eps=1e-6)
    x = F.gelu(x).permute(0, 3, 1, 2)
    x = F.conv_transpose2d(x, weights[f"{name}.3.weight"], weights[f"{name}.3.bias"], stride=2)
    return F.gelu(x + high_res_0)


def decode(
    weights: Weights,
    embedding: Tensor,
    high_res_0: Tensor,
    high_res_1: Tensor,
    prompts: Tensor,
    heads: int,
    depth: int,
) -> tuple[Tensor, Tensor]:
    """Prompts (B, T, C) on one image (1, C, h, w) to masks (B, 4, 4h, 4w) and IoUs (B, 4)."""
    batch, (height, width) = len(prompts), embedding.shape[-2:]
    root = "sam_mask_decoder"
    own = [
        weights[f"{root}.{name}.weight"] for name in ("obj_score_token", "iou_token", "mask_tokens")
    ]
    tokens = torch.cat([torch.cat(own).expand(batch, -1, -1), prompts], dim=1)
    image = embedding + weights["sam_prompt_encoder.no_mask_embed.weight"].view(1, -1, 1, 1)
    image = image.repeat(batch, 1, 1, 1).flatten(2).transpose(1, 2)
    positions = (
        image_positions(weights, height, width).flatten(2).transpose(1, 2).repeat(batch, 1, 1)
    )
    tokens, image = two_way_transformer(weights, image, positions, tokens, heads, depth)
    upscaled = upscale(
        weights, image.transpose(1, 2).unflatten(2, (height, width)), high_res_0, high_res_1
    )
    mask_tokens = tokens[:, 2:6]
    kernels = [
        mlp(weights, f"{root}.output_hypernetworks_mlps.{i}", mask_tokens[:, i], 3)
        for i in range(4)
    ]
    masks = torch.einsum("bmc,bchw->bmhw", torch.stack(kernels, dim=1), upscaled)
    ious = mlp(weights, f"{root}.iou_prediction_head", tokens[:, 1], 3).sigmoid()
    return masks, ious
