"""Where the segmenter starts: a decoder that looks at its prompt before it has learnt anything.

In an attention whose queries and keys share one projection, what is near in position attends to
each other; with an output projection that undoes the one of the values, what is seen arrives as it
is. So, from the first step, every token of a click carries the image at the click, and what is left
to learn is what to make of it (mimetic initialisation: Trockman and Kolter, arXiv 2305.09828).
"""

from __future__ import annotations

import torch
from torch import nn

from sam2.image_model import Sam2ImageModel
from sam2.modeling.transformer import Attention

NEAR, EVEN = 2.5, 0.3
"""Sharpness of attention from tokens to the image, and among the tokens of a prompt."""
FAINT = 0.1
"""Weight of what should not disturb at first."""
EMBEDDING_STD, POSITION_STD, COARSE = 0.1, 0.5, 0.4


def init_near_prompts(model: Sam2ImageModel) -> None:
    """Draw all weights afresh, in place, from torch's global generator."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=EMBEDDING_STD)
    nn.init.normal_(model.image_encoder.trunk.pos_embed, std=POSITION_STD)
    transformer = model.sam_mask_decoder.transformer
    with torch.no_grad():
        for coarse in model.image_encoder.neck.convs[:2]:
            coarse.conv.weight.mul_(COARSE)  # positions must not drown in the image
        for layer in transformer.layers:
            _share_projections(layer.self_attn, EVEN)
            _share_projections(layer.cross_attn_token_to_image, NEAR)
            _share_projections(layer.cross_attn_image_to_token, NEAR)
            layer.cross_attn_image_to_token.out_proj.weight.mul_(FAINT)
            layer.mlp.layers[-1].weight.mul_(FAINT)
        _share_projections(transformer.final_attn_token_to_image, NEAR)


def _share_projections(attention: Attention, sharpness: float) -> None:
    """Queries and keys by one projection, values back by the transpose of theirs."""
    nn.init.orthogonal_(attention.q_proj.weight, sharpness)
    attention.k_proj.weight.copy_(attention.q_proj.weight)
    nn.init.orthogonal_(attention.v_proj.weight)
    attention.out_proj.weight.copy_(attention.v_proj.weight.T)
