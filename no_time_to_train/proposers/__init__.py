"""Mask proposers: class-agnostic masks of an image.

An entry is a builder in PROPOSERS, found by `proposer_cfg.name`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

from no_time_to_train.config import ModelConfig
from no_time_to_train.errors import InputError
from no_time_to_train.proposers.file import build_file_proposer
from no_time_to_train.proposers.point_grid import build_point_grid
from no_time_to_train.proposers.proposal_file import Images
from no_time_to_train.structures import Proposals, Target

__all__ = ["PROPOSERS", "Proposer", "build_proposer", "find_proposer"]


class Proposer(Protocol):
    """Images in, class-agnostic masks out; a `torch.nn.Module`."""

    @property
    def image_size(self) -> int:
        """Side in pixels of the square that images are best resized to."""

    @property
    def best_score(self) -> float:
        """Best score of a proposal so far, also of dropped ones; 0 before the first."""

    def encode(self, images: Tensor, targets: Sequence[Target]) -> Any:
        """Do at once what can be done for several images at once.

        Args:
            images: (B, 3, H, W) float32 in [0, 1], RGB, of any size.
            targets: B, which images they are.

        Returns:
            What `propose` takes, by index.
        """

    def propose(self, features: Any) -> Proposals:
        """Propose masks for one image, each with a pixel at least."""


Builder = Callable[[ModelConfig, int | None, Images], Proposer]

PROPOSERS: dict[str, Builder] = {
    "point_grid": build_point_grid,
    "file": build_file_proposer,
}


def find_proposer(name: str) -> Builder:
    """The builder of that name.

    Raises:
        InputError: There is none.
    """
    if name not in PROPOSERS:
        raise InputError(f"proposer_cfg.name is {name!r}; give one of {', '.join(PROPOSERS)}")
    return PROPOSERS[name]


def build_proposer(
    config: ModelConfig, image_size: int | None = None, images: Images = None
) -> Proposer:
    """Build what `proposer_cfg` describes.

    Args:
        config: Proposer, networks and settings.
        image_size: Side of its square input in pixels, by default SAM 2's.
        images: By id, those that masks will be asked for, where they are known.

    Raises:
        WeightsError: A checkpoint is missing, unreadable, of another model, or not finite.
        InputError: There is no such proposer, or its file is not for these images.
    """
    return find_proposer(config.proposer_cfg.name)(config, image_size, images)
