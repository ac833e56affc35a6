"""The method for people who write Python: remember a few examples, then segment pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from jsonargparse import ArgumentParser
from PIL import Image

from no_time_to_train.config import EncoderConfig, EncoderName, ModelConfig, Sam2Name
from no_time_to_train.dataset.coco_results import CocoRecord, to_records
from no_time_to_train.dataset.crops import crop_and_resize, crop_box
from no_time_to_train.dataset.images import (
    as_rgb,
    read_image,
    rgb_from_array,
    to_pixels,
    to_tensor,
)
from no_time_to_train.dataset.memory_checkpoint import MemoryInfo, read_memory, write_memory
from no_time_to_train.errors import InputError
from no_time_to_train.models.memory_format import (
    bank_from_tensors,
    bank_to_tensors,
    is_postprocessed,
    statistics_from_tensors,
    statistics_to_tensors,
)
from no_time_to_train.models.networks import build_encoder, build_proposer
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.structures import Prediction, Reference, Target
from no_time_to_train.visualization.predictions import Instance, draw_instances

Picture = str | Path | Image.Image | npt.NDArray[np.uint8]
"""A file or PIL image, turned as its EXIF says, or an array (H, W, 3) uint8, RGB, as it is."""

CONTEXT_RATIO = 0.2


@dataclass(frozen=True)
class ImagePrediction(Prediction):
    """The instances found in one image, with the image and the names of the classes."""

    image: npt.NDArray[np.uint8]
    """(H, W, 3) RGB."""
    class_names: Sequence[str]
    """By label."""

    @property
    def names(self) -> list[str]:
        """Class name of each instance."""
        return [self.class_names[label] for label in self.labels.tolist()]

    def to_coco(
        self, image_id: int | str = 0, category_ids: Sequence[int] | None = None
    ) -> list[CocoRecord]:
        """Put the instances down as COCO results.

        Args:
            image_id: Of this image in the data set.
            category_ids: By label; by default the labels themselves, counted from 1.
        """
        return to_records(self, image_id, category_ids or range(1, len(self.class_names) + 1))

    def draw(self, threshold: float = 0.5) -> Image.Image:
        """Draw the instances into the image.

        Args:
            threshold: Lowest score that is drawn.
        """
        rows = zip(
            self.masks, self.boxes.tolist(), self.labels.tolist(), self.scores.tolist(), strict=True
        )
        instances = [
            Instance(mask.cpu().numpy(), tuple(box), label, score)
            for mask, box, label, score in rows
            if score > threshold
        ]
        return Image.fromarray(draw_instances(self.image, instances, self.class_names))


class FewShotSegmenter:
    """Finds and segments every instance of classes that a few examples show.

    segmenter = FewShotSegmenter.from_preset()
    segmenter.remember("bird.jpg", mask, "bird")
    segmenter.finalise()
    prediction = segmenter.segment("park.jpg")
    prediction.draw().save("found.png")
    """

    def __init__(
        self, config: ModelConfig, image_size: int | None = None, device: str | None = None
    ) -> None:
        """Build both networks.

        Args:
            config: Presets, checkpoints and settings; sizes of the memory bank do not matter here.
            image_size: Side of SAM 2's square input in pixels, by default the preset's.
            device: Such as `cpu` or `cuda:1`; by default the GPU where there is one.

        Raises:
            InputError: A checkpoint is missing or of another model.
        """
        self.config = config
        self.class_names: list[str] = []
        self._segmenter = Segmenter(
            config.sam2_infer_cfgs, build_encoder(config), build_proposer(config, image_size)
        )
        self._segmenter.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    @classmethod
    def from_preset(
        cls,
        sam2: Sam2Name = "sam2_hiera_l.yaml",
        sam2_checkpoint: str | Path = ModelConfig.sam2_ckpt_path,
        encoder: EncoderName = "dinov2_large",
        encoder_checkpoint: str | Path = ModelConfig.encoder_ckpt_path,
        encoder_image_size: int = EncoderConfig.img_size,
        device: str | None = None,
    ) -> FewShotSegmenter:
        """Build from the names of two presets and their official checkpoints.

        Args:
            sam2: SAM 2 preset.
            sam2_checkpoint: Its weights.
            encoder: DINOv2 preset.
            encoder_checkpoint: Its weights.
            encoder_image_size: Side of DINOv2's square input in pixels.
            device: As in the constructor.
        """
        config = ModelConfig(
            sam2_cfg_file=sam2,
            sam2_ckpt_path=str(sam2_checkpoint),
            encoder_cfg=EncoderConfig(name=encoder, img_size=encoder_image_size),
            encoder_ckpt_path=str(encoder_checkpoint),
        )
        return cls(config, device=device)

    @classmethod
    def from_config(cls, *paths: str | Path, device: str | None = None) -> FewShotSegmenter:
        """Build from the YAML files that the command line takes, later ones winning.

        Args:
            paths: Such as configs/matching_cdfsod_template.yaml, configs/sam2_hiera_t.yaml.
            device: As in the constructor.

        Raises:
            InputError: A file is missing, or names a setting that does not exist.
        """
        merged: dict[str, Any] = {}
        for path in paths:
            merged = _merge(merged, _init_args(Path(path)))
        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(ModelConfig, "model_cfg")
        try:
            parsed = parser.parse_object({"model_cfg": merged.get("model_cfg", {})})
        except Exception as error:
            raise InputError(f"{paths[-1]}: {' '.join(str(error).split())}") from error
        config: ModelConfig = parser.instantiate(parsed).model_cfg
        size = merged.get("dataset_cfgs", {}).get("test", {}).get("image_size")
        return cls(config, image_size=size, device=device)

    def remember(self, image: Picture, mask: npt.ArrayLike, name: str) -> None:
        """Learn one example.

        Args:
            image: The picture it is in.
            mask: (H, W) of the picture's size, non-zero on the instance.
            name: Its class.

        Raises:
            InputError: The mask has another size than the image, or no pixel; or the classes were
                loaded finalised, so that their examples are gone.
        """
        if self._segmenter.statistics is not None and not self._segmenter.bank.summaries:
            raise InputError(
                "a memory that was saved after finalise() cannot learn; start a new one"
            )
        pixels = to_tensor(_open(image))  # (3, H, W)
        inside = torch.from_numpy(np.asarray(mask) != 0)  # (H, W)
        if inside.shape != pixels.shape[1:]:
            raise InputError(
                f"the mask of this {name} is {tuple(inside.shape)}, but its image is "
                f"{tuple(pixels.shape[1:])} (height, width); give both the same size"
            )
        if not inside.any():
            raise InputError(f"the mask of this {name} has no pixel; mark the instance")
        if name not in self.class_names:
            self.class_names.append(name)
        index = self.class_names.index(name)
        slot = len(self._segmenter.bank.references_of(index))
        crop, crop_mask = self._crop(pixels, inside)
        source = f"example {slot + 1} of {name}"
        self._segmenter.remember([Reference(crop, crop_mask, index, slot, 0, slot, source)])

    def _crop(
        self, pixels: torch.Tensor, inside: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows, columns = inside.any(dim=1).nonzero(), inside.any(dim=0).nonzero()
        x, y = int(columns[0]), int(rows[0])
        bbox = (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)
        box = crop_box(bbox, CONTEXT_RATIO, *inside.shape)
        return crop_and_resize(pixels, inside, box, self.config.encoder_cfg.img_size)

    def finalise(self) -> None:
        """Condense the examples into classes; more may be remembered later, and this repeated.

        Raises:
            InputError: Nothing was remembered.
        """
        if not self._segmenter.bank.summaries:
            raise InputError("there is nothing to finalise; call remember(image, mask, name) first")
        self._segmenter.finalise()

    def segment(self, image: Picture) -> ImagePrediction:
        """Find every instance of the remembered classes.

        Args:
            image: The picture to search.

        Raises:
            InputError: The classes were not finalised or loaded.
        """
        if self._segmenter.statistics is None:
            raise InputError("there are no classes yet; call finalise(), or load() a memory")
        picture = _open(image)
        assert self._segmenter.proposer is not None
        side = self._segmenter.proposer.network.image_size
        resized = picture.resize((side, side), Image.Resampling.BICUBIC)
        target = Target(to_pixels(resized), (picture.height, picture.width))
        (found,) = self._segmenter.segment([target])
        return ImagePrediction(
            found.masks.cpu(),
            found.boxes.cpu(),
            found.scores.cpu(),
            found.labels.cpu(),
            np.asarray(picture),
            tuple(self.class_names),
        )

    def save(self, path: str | Path) -> None:
        """Store the memory; the command line reads it too.

        Args:
            path: Of the checkpoint.

        Raises:
            InputError: There is nothing to store, or the place cannot be written to.
        """
        if self._segmenter.statistics is not None:
            tensors = statistics_to_tensors(self._segmenter.statistics)
        elif self._segmenter.bank.summaries:
            tensors = bank_to_tensors(self._segmenter.bank)
        else:
            raise InputError("there is no memory to save; call remember(image, mask, name) first")
        info = MemoryInfo(self.config.encoder_cfg.name, self.class_names)
        write_memory(Path(path), tensors, info)

    def load(self, path: str | Path) -> None:
        """Take up a memory that was saved, or that the command line has written.

        Args:
            path: Of the checkpoint.

        Raises:
            InputError: It is missing, unreadable, or of another encoder.
        """
        memory = read_memory(Path(path))
        encoder = self.config.encoder_cfg.name
        if memory.info and memory.info.encoder != encoder:
            raise InputError(f"{path} was filled with {memory.info.encoder}, this is {encoder}")
        if is_postprocessed(memory.tensors):
            self._segmenter.use(statistics_from_tensors(memory.tensors))
        else:
            self._segmenter.bank = bank_from_tensors(memory.tensors, self._segmenter.most_patches)
        count = len(memory.tensors["mem_fill_counts"])
        known = memory.info.class_names if memory.info else []
        self.class_names = list(known) or [f"class {index}" for index in range(count)]


def _open(image: Picture) -> Image.Image:
    """The picture as RGB, in the orientation it is shown in."""
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        return as_rgb(image, "the image")
    return rgb_from_array(image, "the image")


def _init_args(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        init_args: Mapping[str, Any] = content.get("model", {}).get("init_args", {})
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise InputError(f"{path} is no configuration: {' '.join(str(error).split())}") from error
    return init_args


def _merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overlay.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged
