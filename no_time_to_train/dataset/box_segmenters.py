"""From boxes to masks with SAM 2 or with the first SAM."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, is_tensor

from no_time_to_train.checkpoint_files import check_finite, load_checkpoint
from no_time_to_train.dataset.images import to_tensor
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file

logger = logging.getLogger(__name__)

SAM1_TENSOR = "image_encoder.patch_embed.proj.weight"
"""In every checkpoint of the first SAM, and in none of SAM 2."""

Masks = npt.NDArray[np.bool_]  # (P, H, W)


class BoxSegmenter(Protocol):
    """Draws what is in the boxes of an image."""

    def __call__(self, image: Image.Image, boxes: npt.NDArray[np.float32]) -> Masks:
        """Draw one mask per box.

        Args:
            image: RGB.
            boxes: (P, 4) xyxy in pixels of the image.

        Returns:
            (P, H, W), in the order of the boxes.
        """


@dataclass(frozen=True)
class Sam2Boxes:
    """SAM 2 with boxes as prompts."""

    draw: Callable[[Tensor, Tensor, tuple[int, int]], Tensor]
    """From an image (1, 3, S, S) in [0, 1], boxes (P, 4) xyxy in pixels of the image at its own
    (height, width), and that size, to mask logits (P, h, w)."""
    side: int
    """S, the side of SAM 2's square input in pixels."""
    batch_size: int
    """Masks brought to the image's size at once."""

    def __call__(self, image: Image.Image, boxes: npt.NDArray[np.float32]) -> Masks:
        """See `BoxSegmenter`."""
        square = image.resize((self.side, self.side), Image.Resampling.BICUBIC)
        size = (image.height, image.width)
        logits = self.draw(to_tensor(square)[None], torch.from_numpy(boxes), size)
        masks = []
        for chunk in logits[:, None].split(self.batch_size):
            full = F.interpolate(chunk, size, mode="bilinear", align_corners=False)
            masks.append((full[:, 0] > 0).cpu().numpy())  # (P, H, W)
        return np.concatenate(masks)


@dataclass(frozen=True)
class Sam1Boxes:
    """The first SAM with boxes as prompts, single-mask output."""

    predictor: Any
    """A `segment_anything.SamPredictor`."""
    batch_size: int
    """Boxes decoded at once."""

    def __call__(self, image: Image.Image, boxes: npt.NDArray[np.float32]) -> Masks:
        """See `BoxSegmenter`; the predictor resizes image and boxes itself."""
        self.predictor.set_image(np.array(image))
        scaled = self.predictor.transform.apply_boxes(boxes, (image.height, image.width))
        prompts = torch.from_numpy(scaled).float().to(self.predictor.device)  # (P, 4)
        masks = []
        for chunk in prompts.split(self.batch_size):
            drawn, _, _ = self.predictor.predict_torch(
                point_coords=None, point_labels=None, boxes=chunk, multimask_output=False
            )  # (P, 1, H, W) bool
            masks.append(drawn[:, 0].cpu().numpy())  # (P, H, W)
        return np.concatenate(masks)


def load_sam1(
    path: Path, state: Mapping[str, Tensor], model_type: str, device: torch.device, batch_size: int
) -> Sam1Boxes:
    """Build the first SAM from its weights with the segment-anything package.

    Args:
        path: Where the weights come from, for messages.
        state: The weights.
        model_type: vit_h, vit_l or vit_b.
        device: Where it is to run.
        batch_size: Boxes decoded at once.

    Raises:
        InputError: The package is missing, or the weights are of another model.
    """
    if SAM1_TENSOR not in state:
        raise InputError(
            f"{path} holds no weights of SAM 2 nor of the first SAM; pass an official checkpoint"
        )
    try:
        from segment_anything import SamPredictor, sam_model_registry
    except ImportError:
        raise InputError(
            f"{path} holds weights of the first SAM, whose package is not installed: run "
            "pip install segment-anything, or pass SAM 2 weights, which need nothing more"
        ) from None
    model = sam_model_registry[model_type]()
    try:
        model.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError):  # the last two where names are no text
        raise InputError(
            f"{path} does not hold the weights of --model_type {model_type}; give the type that it "
            "was downloaded for (vit_h, vit_l, vit_b), or the file of that type"
        ) from None
    return Sam1Boxes(SamPredictor(model.to(device).eval()), batch_size)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the dictionary in a checkpoint, without running anything in it.

    Raises:
        InputError: The file is missing or damaged, or holds something else, or NaN.
    """
    check_regular_file(path, "the checkpoint")
    if not path.is_file():
        raise InputError(
            f"there is no checkpoint {path}; give the weights of SAM 2 that segmentation uses, or "
            "download those of the first SAM (see README.md)"
        )
    content = load_checkpoint(path, "the checkpoint", "download it again")
    if not isinstance(content, dict):
        raise InputError(
            f"{path} holds {type(content).__name__} and no named weights; pass a SAM checkpoint"
        )
    inner = content.get("model")  # official SAM 2 files have this wrapping
    state = inner if isinstance(inner, dict) else content
    check_finite(((str(key), value) for key, value in state.items() if is_tensor(value)), path)
    return content


def usable_device(name: str) -> torch.device:
    """The device of that name; the CPU, with a warning, where a GPU is asked for and there is none.

    Raises:
        InputError: There is no such device.
    """
    if name.startswith("cuda") and not torch.cuda.is_available():
        logger.warning("there is no usable GPU for --device %s: running on the CPU, slowly", name)
        return torch.device("cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        raise InputError(f"--device {name} does not exist here; give cpu, cuda or cuda:0") from None
