"""The published sizes of DINOv2, and the small one of our own demo; imports no PyTorch."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

_DOWNLOADS = "https://dl.fbaipublicfiles.com/dinov2"


@dataclass(frozen=True)
class Preset:
    """Everything that tells one vision transformer of the family from another."""

    embed_dim: int
    """Channels of a token."""
    depth: int
    """Transformer blocks."""
    num_heads: int
    """Attention heads; they share the channels."""
    ffn: Literal["mlp", "swiglu"] = "mlp"
    """Feed-forward network of a block."""
    registers: int = 0
    """Extra tokens without a position, used inside only (Darcet et al., arXiv 2309.16588)."""
    patch_size: int = 14
    """Side of a patch in pixels."""
    trained_size: int = 518
    """Side in pixels of the square images that the positions were learned on."""
    url: str | None = None
    """Where the official weights are, if there are any."""
    tensors: str | None = None
    """SHA-256, its first 16 digits, of a json of the sorted names and shapes of its tensors."""

    @property
    def trained_side(self) -> int:
        """Learned positions per side."""
        return self.trained_size // self.patch_size


def _official(letter: str, size: Preset, registers: int, tensors: str | None) -> Preset:
    file = f"dinov2_vit{letter}14{'_reg4' if registers else ''}_pretrain.pth"
    url = f"{_DOWNLOADS}/dinov2_vit{letter}14/{file}"
    return replace(size, registers=registers, url=url, tensors=tensors)


_SIZES = {
    "small": Preset(384, 12, 6, tensors="db734e2133951b72"),
    "base": Preset(768, 12, 12, tensors="eb36353830bd80b0"),
    "large": Preset(1024, 24, 16, tensors="a83671d16b827f39"),
    "giant": Preset(1536, 40, 24, "swiglu", tensors="23d076de7866de1f"),
}
_WITH_REGISTERS = {
    "small": "8c1374d9df5ca2fd",
    "base": "f6cbc068fd088895",
    "large": "bdbb2d230c58b591",
    "giant": "d80637260f215d5e",
}

PRESETS: dict[str, Preset] = {
    **{f"dinov2_{size}": _official(size[0], row, 0, row.tensors) for size, row in _SIZES.items()},
    **{
        f"dinov2_{size}_reg4": _official(size[0], row, 4, _WITH_REGISTERS[size])
        for size, row in _SIZES.items()
    },
    "dinov2_demo": Preset(192, 4, 3, trained_size=252, tensors="d83970f7b5a1bd1a"),
}
"""Presets by name: small, base, large and giant, each plain and with 4 registers, and the demo."""

# Part of official checkpoints: stands in for hidden patches during pre-training.
NOT_LOADED = ("mask_token",)


def missing_weights(name: str, path: Path) -> str:
    """What to say of weights that are not there, and how to get them."""
    url = PRESETS[name].url
    if url is None:
        return f"{path}, the weights of {name}, does not exist; check the path of the checkpoint"
    folder, file = shlex.quote(str(path.parent)), shlex.quote(str(path))
    return (
        f"{path}, the weights of {name}, does not exist; download it with "
        f"`mkdir -p {folder} && wget -O {file} {url}`"
    )
