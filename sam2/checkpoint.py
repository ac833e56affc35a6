"""Checkpoint files: reading them, and telling whether and why one does not fit."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam2.presets import NOT_LOADED

OTHER_KINDS = {
    "mem_feats": "a memory checkpoint",
    "mem_feats_ins_avg": "a memory checkpoint",
    "cls_token": "a plain vision transformer such as DINOv2",
    "image_encoder.patch_embed.proj.weight": "the first SAM",
    "vision_encoder.backbone.patch_embed.projection.weight": "SAM 2 for transformers",
}
"""Last part of a tensor name -> what a checkpoint with such a tensor is."""


def read_checkpoint(path: Path, repair: str) -> Mapping[str, Any]:
    """Read a checkpoint file: tensors and plain containers, no code.

    Args:
        path: The file.
        repair: What to do where it cannot be read, the end of the error's sentence.

    Returns:
        Its dictionary, on the CPU, mapped into memory where the format allows.

    Raises:
        ValueError: It is no checkpoint, or a part of one.
    """
    try:
        # Only today's format, a zip file, can be mapped.
        mmap = zipfile.is_zipfile(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # a pickle of arbitrary bytes may raise anything
        raise ValueError(
            f"{path} is not a PyTorch checkpoint of tensors, or not all of it; {repair}"
        ) from error
    if not isinstance(checkpoint, Mapping):
        raise ValueError(
            f"{path} holds one {type(checkpoint).__name__}, no named tensors; {repair}"
        )
    return checkpoint


def unwrap(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the tensors out of `{"model": tensors}`; official SAM 2 files have this wrapping."""
    model = checkpoint.get("model")
    return model if isinstance(model, Mapping) else checkpoint


def incompatible_keys(own: Mapping[str, Tensor], state: Mapping[str, Any]) -> str:
    """Tell what keeps weights from being loaded.

    Args:
        own: The model's tensors.
        state: The checkpoint's, which may hold more by the names in `NOT_LOADED`.

    Returns:
        Missing, unexpected and wrongly shaped tensors, up to three names of each; empty where all
        fits.
    """
    extra = [str(name) for name in state if name not in own]
    problems = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in extra if not name.startswith(NOT_LOADED)],
        "of another shape": [
            name
            for name, tensor in own.items()
            if name in state and getattr(state[name], "shape", None) != tensor.shape
        ],
    }
    return ", ".join(
        f"{len(names)} {problem} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for problem, names in problems.items()
        if names
    )


def kind_of(checkpoint: Mapping[str, Any]) -> str | None:
    """Tell what a checkpoint that is not SAM 2's holds, where its names give it away."""
    for name in _names(checkpoint):
        for ending, kind in OTHER_KINDS.items():
            if name.endswith(ending):
                return kind
    return None


def _names(checkpoint: Mapping[str, Any]) -> Iterator[str]:
    """Names at every level of nested dictionaries, each of which is looked into once."""
    seen, waiting = {id(checkpoint)}, [checkpoint]
    while waiting:
        level = waiting.pop()
        yield from (str(name) for name in level)
        inner = [value for value in level.values() if isinstance(value, Mapping)]
        waiting += [value for value in inner if id(value) not in seen]
        seen |= {id(value) for value in inner}
