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

    @property
    def trained_side(self) -> int:
        """Learned positions per side."""
        return self.trained_size // self.patch_size


def _official(letter: str, size: Preset, registers: int) -> Preset:
    file = f"dinov2_vit{letter}14{'_reg4' if registers else ''}_pretrain.pth"
    url = f"{_DOWNLOADS}/dinov2_vit{letter}14/{file}"
    return replace(size, registers=registers, url=url)


_SIZES = {
    "small": Preset(384, 12, 6),
    "base": Preset(768, 12, 12),
    "large": Preset(1024, 24, 16),
    "giant": Preset(1536, 40, 24, "swiglu"),
}

PRESETS: dict[str, Preset] = {
    **{f"dinov2_{size}": _official(size[0], row, 0) for size, row in _SIZES.items()},
    **{f"dinov2_{size}_reg4": _official(size[0], row, 4) for size, row in _SIZES.items()},
    "dinov2_demo": Preset(192, 4, 3, trained_size=252),
}
"""Presets by name: small, base, large and giant, each plain and with 4 registers, and the demo."""


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
