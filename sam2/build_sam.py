"""Models by the name of a preset, with the weights of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam2.checkpoint import incompatible_keys, kind_of, read_checkpoint, unwrap
from sam2.image_model import DecoderName, Sam2ImageModel
from sam2.modeling.hiera import Hiera
from sam2.modeling.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.mask_decoder import MaskDecoder
from sam2.modeling.prompt_encoder import PromptEncoder
from sam2.presets import ONLY_IN_2_1, PRESETS, Preset, how_to_get, missing_weights

COARSEST_STRIDE = 32


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
    repair = how_to_get(name, path)
    if not path.is_file():
        raise FileNotFoundError(missing_weights(name, path))
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
