"""Presets, and models with the weights of a checkpoint."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam2.checkpoint import ONLY_IN_2_1, incompatible_keys, kind_of, read_checkpoint, unwrap
from sam2.image_model import DecoderName, Sam2ImageModel
from sam2.modeling.hiera import Hiera
from sam2.modeling.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.mask_decoder import MaskDecoder
from sam2.modeling.prompt_encoder import PromptEncoder

COARSEST_STRIDE = 32
OFFICIAL = "https://dl.fbaipublicfiles.com/segment_anything_2"


@dataclass(frozen=True)
class Preset:
    """Shape of a model, and where its official weights are.

    SAM 2.1 has the image half of SAM 2, trained longer: the same tensors, the same arithmetic. What
    is new in it (time positions of object pointers, an embedding for frames without the object)
    serves video. So its presets differ in their url alone, and a file of either version loads into
    the preset of its size.
    """

    embed_dim: int
    """Channels of the trunk's first stage."""
    num_heads: int
    """Attention heads of the trunk's first stage."""
    stages: tuple[int, ...]
    """Blocks per stage of the trunk."""
    global_att_blocks: tuple[int, ...]
    """Blocks of the trunk, counted over all stages, that attend over the whole map."""
    window_sizes: tuple[int, ...]
    """Side of the trunk's attention windows per stage, in positions."""
    background_size: int
    """Side of the trunk's coarse position embedding."""
    url: str | None
    """Official weights, where there are any."""
    d_model: int = 256
    """Channels of the feature pyramid and of the decoder's tokens."""
    decoder_depth: int = 2
    """Blocks of the two-way transformer."""
    decoder_num_heads: int = 8
    """Attention heads of the decoder."""
    decoder_mlp_dim: int = 2048
    """Hidden channels of the decoder's MLPs."""
    image_size: int = 1024
    """Side of the square input frame in pixels."""


_TINY = Preset(
    embed_dim=96,
    num_heads=1,
    stages=(1, 2, 7, 2),
    global_att_blocks=(5, 7, 9),
    window_sizes=(8, 4, 14, 7),
    background_size=7,
    url=f"{OFFICIAL}/072824/sam2_hiera_tiny.pt",
)
_SMALL = replace(
    _TINY,
    stages=(1, 2, 11, 2),
    global_att_blocks=(7, 10, 13),
    url=f"{OFFICIAL}/072824/sam2_hiera_small.pt",
)
_BASE_PLUS = Preset(
    embed_dim=112,
    num_heads=2,
    stages=(2, 3, 16, 3),
    global_att_blocks=(12, 16, 20),
    window_sizes=(8, 4, 14, 7),
    background_size=14,
    url=f"{OFFICIAL}/072824/sam2_hiera_base_plus.pt",
)
_LARGE = Preset(
    embed_dim=144,
    num_heads=2,
    stages=(2, 6, 36, 4),
    global_att_blocks=(23, 33, 43),
    window_sizes=(8, 4, 16, 8),
    background_size=7,
    url=f"{OFFICIAL}/072824/sam2_hiera_large.pt",
)
_DEMO = Preset(
    embed_dim=32,
    num_heads=1,
    stages=(1, 2, 3, 1),
    global_att_blocks=(4, 5),
    window_sizes=(8, 4, 8, 4),
    background_size=7,
    url=None,
    d_model=96,
    decoder_num_heads=4,
    decoder_mlp_dim=384,
    image_size=256,
)

PRESETS: dict[str, Preset] = {
    "sam2_hiera_t": _TINY,
    "sam2_hiera_s": _SMALL,
    "sam2_hiera_b+": _BASE_PLUS,
    "sam2_hiera_l": _LARGE,
    "sam2.1_hiera_t": replace(_TINY, url=f"{OFFICIAL}/092824/sam2.1_hiera_tiny.pt"),
    "sam2.1_hiera_s": replace(_SMALL, url=f"{OFFICIAL}/092824/sam2.1_hiera_small.pt"),
    "sam2.1_hiera_b+": replace(_BASE_PLUS, url=f"{OFFICIAL}/092824/sam2.1_hiera_base_plus.pt"),
    "sam2.1_hiera_l": replace(_LARGE, url=f"{OFFICIAL}/092824/sam2.1_hiera_large.pt"),
    "sam2_hiera_demo": _DEMO,
}
"""Every model by name."""


def build_sam2(
    name: str,
    checkpoint: str | Path | None = None,
    image_size: int | None = None,
    decoder: DecoderName = "auto",
) -> Sam2ImageModel:
    """Build a model for inference: eval mode, no gradients.

    Args:
        name: A key of `PRESETS`, with or without `.yaml`.
        checkpoint: An official checkpoint; without one, weights are random.
        image_size: Side of the square input frame in pixels, a multiple of 32; by default the
            preset's.
        decoder: See `Sam2ImageModel`; training takes the plain one.

    Returns:
        The model, on the CPU, in float32.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: An unknown name, an impossible size, or a checkpoint of something else.
    """
    name = name.removesuffix(".yaml")
    if name not in PRESETS:
        raise ValueError(f"there is no SAM 2 model {name!r}; choose one of {', '.join(PRESETS)}")
    preset = PRESETS[name]
    side = preset.image_size if image_size is None else image_size
    if side < COARSEST_STRIDE or side % COARSEST_STRIDE:
        raise ValueError(f"image_size must be a multiple of {COARSEST_STRIDE}, got {side}")
    if checkpoint is None:
        model = _assemble(preset, side)
    else:
        model = _load(name, side, Path(checkpoint))
    model.decoder = decoder
    return model.eval().requires_grad_(False)


def identify_preset(state: Mapping[str, Any]) -> str | None:
    """Name the preset that a checkpoint's tensors belong to.

    Args:
        state: Name -> tensor, as in an official checkpoint, with or without its `{"model": ...}`.

    Returns:
        A key of `PRESETS`, or None where the tensors are not SAM 2's or of a size unknown here.
    """
    state = unwrap(state)
    size = _size(state)
    is_2_1 = any(str(name).startswith(ONLY_IN_2_1) for name in state)
    for name, preset in PRESETS.items():
        expected = (preset.embed_dim, sum(preset.stages), preset.d_model)
        if size == expected and is_2_1 == name.startswith("sam2.1"):
            return name
    return None


def _size(state: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Trunk width, trunk depth, decoder width: no two presets of one version agree in all."""
    width = state.get("image_encoder.trunk.patch_embed.proj.bias")
    token = state.get("sam_mask_decoder.iou_token.weight")
    if not (isinstance(width, Tensor) and isinstance(token, Tensor)):
        return None
    names = [str(name) for name in state]
    blocks = {
        name.split(".")[3] for name in names if name.startswith("image_encoder.trunk.blocks.")
    }
    return width.numel(), len(blocks), token.numel()


def _assemble(preset: Preset, image_size: int) -> Sam2ImageModel:
    trunk = Hiera(
        embed_dim=preset.embed_dim,
        num_heads=preset.num_heads,
        stages=preset.stages,
        global_att_blocks=preset.global_att_blocks,
        window_sizes=preset.window_sizes,
        background_size=preset.background_size,
    )
    decoder = MaskDecoder(
        transformer_dim=preset.d_model,
        num_heads=preset.decoder_num_heads,
        mlp_dim=preset.decoder_mlp_dim,
        depth=preset.decoder_depth,
    )
    return Sam2ImageModel(
        image_encoder=ImageEncoder(trunk, FpnNeck(trunk.channels, preset.d_model)),
        prompt_encoder=PromptEncoder(preset.d_model, image_size),
        mask_decoder=decoder,
        image_size=image_size,
    )


def _load(name: str, image_size: int, path: Path) -> Sam2ImageModel:
    repair = _how_to_get(name, path)
    if not path.is_file():
        raise FileNotFoundError(f"the SAM 2 checkpoint {path} does not exist; {repair}")
    checkpoint = read_checkpoint(path, repair)
    with torch.device("meta"):  # spends no time on random weights that are overwritten at once
        model = _assemble(PRESETS[name], image_size)
    own, state = model.state_dict(), unwrap(checkpoint)
    problems = incompatible_keys(own, state)
    if problems:
        diagnosis = _diagnose(checkpoint, repair)
        raise ValueError(f"{path} does not hold the weights of {name}: {problems}; {diagnosis}")
    model.to_empty(device="cpu").load_state_dict({key: state[key] for key in own})
    return model


def _diagnose(checkpoint: Mapping[str, Any], repair: str) -> str:
    """What a checkpoint that does not fit looks like, and what to do."""
    preset = identify_preset(checkpoint)
    if preset is not None:
        return f"it looks like {preset}: choose that model, or other weights ({repair})"
    kind = kind_of(checkpoint)
    return repair if kind is None else f"it looks like {kind}; {repair}"


def _how_to_get(name: str, path: Path) -> str:
    url = PRESETS[name].url
    if url is None:
        return f"there is no download for {name}"
    folder, file = shlex.quote(str(path.parent)), shlex.quote(str(path))
    return f"get it with `mkdir -p {folder} && wget -O {file} {url}`"
