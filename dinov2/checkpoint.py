"""From the name of a preset and a file of weights to a network that is ready for inference."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TypeGuard

import torch
from torch import Tensor

from dinov2.presets import NOT_LOADED, PRESETS, Preset, missing_weights
from dinov2.vision_transformer import VisionTransformer, check_size


def build_dinov2(
    name: str, img_size: int | None = None, checkpoint: str | Path | None = None
) -> VisionTransformer:
    """Build a DINOv2 network for inference: evaluation mode, no gradients, on the CPU.

    Args:
        name: A key of PRESETS.
        img_size: Side in pixels of the images it will see, where that should be checked up front.
        checkpoint: Official weights; without them the network keeps its random initial values.

    Raises:
        FileNotFoundError: If `checkpoint` does not exist; tells how to download it.
        ValueError: If the name is unknown, `img_size` is no multiple of the patch size, or the
            file holds something other than the weights of this preset.
    """
    preset = _find_preset(name)
    if img_size is not None:
        check_size(img_size, img_size, preset.patch_size)
    if checkpoint is None:
        model = VisionTransformer(preset)
    else:
        model = _load(name, Path(checkpoint))
    return model.eval().requires_grad_(False)


def identify_preset(state: dict[str, Tensor]) -> str | None:
    """Name the preset that a checkpoint holds, judged by the names and shapes of its tensors.

    Args:
        state: The content of the file.
    """
    shapes = _shapes(state)
    return next((name for name in PRESETS if _shapes(_skeleton(name).state_dict()) == shapes), None)


def _find_preset(name: str) -> Preset:
    if name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, n=1) or list(PRESETS)
        raise ValueError(f"there is no DINOv2 preset {name!r}; use {' or '.join(close)}")
    return PRESETS[name]


def _load(name: str, path: Path) -> VisionTransformer:
    """A network of preset `name` with the weights of `path`."""
    if not path.is_file():
        raise FileNotFoundError(missing_weights(name, path))
    state = _read_tensors(path)
    model = _skeleton(name)
    _check_fit(model, state, name, path)
    model.to_empty(device="cpu")
    model.load_state_dict({key: state[key] for key in model.state_dict()})
    return model


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors, and nothing that could run code, from a checkpoint; zip files stay on disk."""
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # broken files raise about anything, from KeyError to struct.error
        raise ValueError(
            f"{path} cannot be read as a PyTorch checkpoint of tensors: it is incomplete or "
            "something else; download the DINOv2 weights from their publisher"
        ) from error
    if not _is_state(content):
        raise ValueError(
            f"{path} holds {_describe(content)} instead of DINOv2 weights by name; "
            "give an official DINOv2 checkpoint"
        )
    return content


def _is_state(content: object) -> TypeGuard[dict[str, Tensor]]:
    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )


def _describe(content: object) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    if set(content) == {"model"}:
        return 'one entry "model", as SAM 2 checkpoints do,'
    if "state_dict" in content:
        return "a Lightning checkpoint, such as a memory bank,"
    return f"entries such as {', '.join(repr(key) for key in list(content)[:3])}"


def _skeleton(name: str) -> VisionTransformer:
    """A network without values."""
    with torch.device("meta"):
        return VisionTransformer(PRESETS[name])


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items() if name not in NOT_LOADED}


def _check_fit(model: VisionTransformer, state: dict[str, Tensor], name: str, path: Path) -> None:
    """Raise a ValueError that lists what differs, unless the weights are those of the model."""
    wanted, given = _shapes(model.state_dict()), _shapes(state)
    differences = {
        "missing": [key for key in wanted if key not in given],
        "unexpected": [key for key in given if key not in wanted],
        "misshapen": [
            f"{key} {given[key]} for {wanted[key]}"
            for key in wanted
            if key in given and given[key] != wanted[key]
        ],
    }
    listed = [f"{len(keys)} {kind} ({_first(keys)})" for kind, keys in differences.items() if keys]
    if not listed:
        return
    likeness = identify_preset(state)
    advice = f"it looks like {likeness}" if likeness else "it looks like no known preset"
    raise ValueError(
        f"{path} does not hold the weights of {name}: {', '.join(listed)}; {advice}, "
        "so change the name or the file"
    )


def _first(names: list[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
