"""Where the encoder starts: the features of a patch are a soft histogram of its colours.

A random network must first find out that colour matters, and forgets brightness in its first layer
norm. Here the patch projection hands on the mean colour of each quarter of a patch, and the
feed-forward networks of the first blocks sort these colours into bins: bumps along random
directions of colour space, each made of three GELUs. Averaged over a mask, as the method does, that
is the histogram of an object. Texture, shape and context are left to learn.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dinov2.layers import Attention, Mlp
from dinov2.vision_transformer import VisionTransformer

PARTS = 2
"""Rows and columns of parts of a patch whose mean colour is seen."""
BINS = 64
"""Of one feed-forward network."""
BINNING_BLOCKS = 2
"""Feed-forward networks that fill bins."""
BUMP = ((1.5, 1.0), (0.0, -2.0), (-1.5, 1.0))
"""Offset and weight of the three GELUs of a bin."""
SHARPNESS, REACH = 4.0, 1.8
"""How narrow bins are, and how far from the mean colour, in standard deviations of pictures."""
CONSTANTS = (8.0, -8.0, 8.0, -8.0)
"""Channels that are the same everywhere: against them, layer norm leaves brightness alone."""
SHARP, FAINT = 1.5, 0.02
"""Of attention: how much it prefers what is alike, and how little it matters at first."""
FAINT_MLP = 0.1
"""How little feed-forward networks without bins matter at first."""
BIN_WEIGHT, OTHER_WEIGHT = 3.0, 0.15
"""Weight of bins and of all other channels in the features."""


@torch.no_grad()
def init_colour_histogram(model: VisionTransformer, images: Tensor) -> None:
    """Draw the weights afresh, in place, from torch's global generator.

    The channels of a token are, in this order: colours of parts, random filters as torch draws
    them, constants, bins.

    Args:
        model: With at least BINNING_BLOCKS blocks, and enough channels and hidden units for bins.
        images: ImageNet-normalised, (B, 3, H, W); features get a mean of zero on them.
    """
    first_bin = model.embed_dim - BINNING_BLOCKS * BINS
    constants = slice(first_bin - len(CONSTANTS), first_bin)
    _init_patch_projection(model.patch_embed.proj, constants)
    spread = (sum(c * c for c in CONSTANTS) / model.embed_dim) ** 0.5
    for number, block in enumerate(model.blocks):
        _init_attention(block.attn, constants)
        if number < BINNING_BLOCKS:
            _init_colour_bins(block.mlp, first_bin + number * BINS, spread)
        else:
            _init_mlp(block.mlp, constants)
    model.norm.weight.fill_(BIN_WEIGHT)
    model.norm.weight[:first_bin] = OTHER_WEIGHT
    model.norm.weight[constants] = 0
    model.norm.bias.zero_()
    model.norm.bias.copy_(-model(images).mean(dim=(0, 1)))


def _init_patch_projection(projection: nn.Conv2d, constants: slice) -> None:
    """Mean colours of the parts of a patch first, and no bins yet."""
    colours, size = 3, projection.kernel_size
    projection.weight[constants.start :] = 0
    projection.bias.zero_()
    projection.bias[constants] = torch.tensor(CONSTANTS)
    pixels = torch.eye(size[0] * size[1]).unflatten(1, size)  # one pixel each, (pixels, h, w)
    means = F.adaptive_avg_pool2d(pixels, PARTS).flatten(1).T.unflatten(1, size)  # (parts, h, w)
    seen = torch.einsum("phw,cd->pcdhw", means, torch.eye(colours)).flatten(0, 1)
    projection.weight[: len(seen)] = seen


def _init_attention(attention: Attention, constants: slice) -> None:
    """Patches look at those like them, and see them as they are, faintly."""
    width = attention.proj.in_features
    alike = nn.init.orthogonal_(torch.empty(width, width), SHARP)
    value = nn.init.orthogonal_(torch.empty(width, width))
    alike[:, constants], value[:, constants] = 0, 0
    attention.qkv.weight.copy_(torch.cat([alike, alike, value]))
    attention.proj.weight.copy_(FAINT * value.T)
    attention.qkv.bias.zero_()
    attention.proj.bias.zero_()


def _init_colour_bins(mlp: Mlp, first: int, spread: float) -> None:
    """Sort the colours of each part into bins, and add up the parts in channels from `first`."""
    parts, colours = PARTS * PARTS, 3
    directions = SHARPNESS * F.normalize(torch.randn(BINS, colours), dim=1)
    centres = SHARPNESS * REACH * (2 * torch.rand(BINS) - 1)
    offsets, weights = torch.tensor(BUMP).T
    units = torch.arange(BINS * parts * len(BUMP)).unflatten(0, (BINS, parts, len(BUMP)))
    for tensor in mlp.parameters():
        tensor.zero_()
    for part in range(parts):
        seen = slice(part * colours, (part + 1) * colours)
        mlp.fc1.weight[units[:, part].flatten(), seen] = spread * directions.repeat_interleave(
            len(BUMP), dim=0
        )
    mlp.fc1.bias[units] = (offsets - centres[:, None])[:, None].expand(units.shape)
    bins = torch.arange(first, first + BINS)[:, None, None].expand(units.shape)
    mlp.fc2.weight[bins, units] = weights / parts


def _init_mlp(mlp: Mlp, constants: slice) -> None:
    for layer, weight in ((mlp.fc1, 1.0), (mlp.fc2, FAINT_MLP)):
        nn.init.trunc_normal_(layer.weight, std=weight * layer.in_features**-0.5)
        layer.bias.zero_()
    mlp.fc1.weight[:, constants] = 0
