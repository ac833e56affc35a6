"""What travels between the packages: references and targets in, predictions out.

Shape alphabet, here and everywhere: B images, N patches, P positions of any grid, K classes, S
shots, M masks, C channels, H W pixels, h w mask grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Reference:
    """One annotated example of a class, cropped around the instance."""

    image: Tensor
    """(3, H, W) float32 in [0, 1], RGB: the crop, resized to the encoder's square input."""
    mask: Tensor
    """(H, W) float32 in [0, 1]: the instance, resized like the crop (fractional at its border)."""
    class_index: int
    """Position of the category among the wanted categories sorted by category id."""
    slot: int
    """Which of its class's references this is, counted from 0 in the order of the reference set."""
    image_id: int | str
    """As in the COCO json."""
    index: int
    """Position in the data set."""
    source: str
    """For messages: which annotation of which image this is."""


@dataclass(frozen=True)
class Target:
    """One image to segment."""

    pixels: Tensor
    """(3, H, W) uint8, RGB, resized to the segmenter's square input."""
    original_size: tuple[int, int]
    """(height, width) in pixels, before resizing."""
    image_id: int | str = 0
    """As in the COCO json."""
    index: int = 0
    """Position in the data set."""

    @property
    def image(self) -> Tensor:
        """(3, H, W) float32 in [0, 1], four times the size of `pixels`."""
        return self.pixels.float() / 255


@dataclass(frozen=True)
class BadImage:
    """In place of a target that cannot be read."""

    index: int
    """Position in the data set."""
    image_id: int | str
    """As in the COCO json."""
    file_name: str
    """As in the COCO json."""
    reason: str
    """A sentence that names the file."""


@dataclass(frozen=True)
class Proposals:
    """Class-agnostic masks of one image."""

    logits: Tensor
    """(M, h, w) float mask logits, positive inside."""
    quality: Tensor
    """(M,) what they are ranked by: the predicted IoU, or the score that a file gives."""
    draw: Callable[[Tensor], Tensor] | None = None
    """From M' rows to their masks (M', H, W) bool at the image's size; None: logits upsampled."""


@dataclass(frozen=True)
class Candidates:
    """Proposals that a class was found for; one may stand here several times, once per label."""

    proposals: Proposals
    """What candidates are made of, P of them."""
    features: Tensor
    """(P, C) unit-length mean patch feature under each proposal."""
    rows: Tensor
    """(M,) int64, the proposal of each candidate."""
    scores: Tensor
    """(M,) similarity to the class, in [0, 1]."""
    labels: Tensor
    """(M,) class index."""

    def __getitem__(self, chosen: Tensor) -> Candidates:
        """Select and order candidates, by index or boolean mask."""
        return Candidates(
            self.proposals,
            self.features,
            self.rows[chosen],
            self.scores[chosen],
            self.labels[chosen],
        )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Prediction:
    """The instances found in one image, best first."""

    masks: Tensor
    """(M, H, W) bool, at the image's original size."""
    boxes: Tensor
    """(M, 4) int64 (x1, y1, x2, y2): first and last pixel column and row of each mask."""
    scores: Tensor
    """(M,) float32 in [0, 1]."""
    labels: Tensor
    """(M,) int64 class index."""

    def cpu(self) -> Prediction:
        """The same in the memory of the CPU."""
        return Prediction(self.masks.cpu(), self.boxes.cpu(), self.scores.cpu(), self.labels.cpu())

    def __len__(self) -> int:
        return len(self.labels)
