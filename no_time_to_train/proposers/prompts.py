"""SAM 2's own prompts: the mask of one object that clicks or a box point at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from no_time_to_train.errors import InputError
from no_time_to_train.proposers.sam2_network import encode_images
from no_time_to_train.structures import Target
from sam2 import ImageFeatures, Sam2ImageModel


@dataclass(frozen=True)
class Prompt:
    """Clicks and a box that all mean one object; either may be missing."""

    points: Tensor
    """(T, 2) float32 xy in pixels of the image."""
    positive: Tensor
    """(T,) bool: whether each click is on the object, or on what does not belong to it."""
    box: Tensor | None
    """(4,) float32 xyxy in pixels of the image."""

    @property
    def is_ambiguous(self) -> bool:
        """Whether it may mean a whole or a part of it: a single click leaves that open."""
        return self.box is None and len(self.points) == 1


@dataclass(frozen=True)
class EncodedImage:
    """What the next prompt needs of an image."""

    features: ImageFeatures
    """Of this image alone."""
    size: tuple[int, int]
    """(height, width) in pixels; the image is squeezed into the network's square input."""


class PromptDrawer:
    """SAM 2, prompted with what people point at."""

    def __init__(self, network: Sam2ImageModel) -> None:
        """Take up SAM 2, on the device that it runs on."""
        self.network = network

    @classmethod
    def of(cls, proposer: object) -> PromptDrawer:
        """With the network of a proposer.

        Raises:
            InputError: It has none.
        """
        network = getattr(proposer, "network", None)
        if not isinstance(network, Sam2ImageModel):
            raise InputError(
                "clicks and boxes are drawn by SAM 2, which a proposal file of masks does without; "
                "set proposer_cfg.name to point_grid, or give a mask"
            )
        return cls(network)

    @property
    def image_size(self) -> int:
        """Side in pixels of SAM 2's square input."""
        return self.network.image_size

    @torch.inference_mode()
    def encode(self, target: Target) -> EncodedImage:
        """Encode an image once, for any number of prompts."""
        device = self.network.sam_prompt_encoder.no_mask_embed.weight.device
        features = encode_images(self.network, target.image[None].to(device))
        return EncodedImage(features, target.original_size)

    @torch.inference_mode()
    def draw(self, encoded: EncodedImage, prompt: Prompt) -> Tensor:
        """Draw the object that a prompt means.

        Of a single click, the best by predicted IoU of SAM 2's masks 1 to 3 is taken; of a box or
        several clicks mask 0, the one for prompts without doubt.

        Returns:
            (H, W) bool, which may be empty.
        """
        height, width = encoded.size
        scale = self.image_size / torch.tensor([width, height], dtype=torch.float32)
        box = None if prompt.box is None else (prompt.box * scale.repeat(2))[None]
        encoder = self.network.sam_prompt_encoder
        tokens = encoder.clicks((prompt.points * scale)[None], prompt.positive[None], box)
        logits, ious = self.network.predict_masks(encoded.features, tokens)  # (1, 4, h, w), (1, 4)
        index = 1 + int(ious[0, 1:].argmax()) if prompt.is_ambiguous else 0
        chosen = logits[:, index : index + 1].float()
        full = F.interpolate(chosen, encoded.size, mode="bilinear", align_corners=False)
        return full[0, 0] > 0  # (H, W)
