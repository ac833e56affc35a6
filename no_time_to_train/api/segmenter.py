"""The method for people who write Python: remember a few examples, then segment pictures."""

from __future__ import annotations

from pathlib import Path
from threading import RLock

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from no_time_to_train.api.arguments import (
    check_config,
    check_name,
    check_path,
    check_preset,
    check_side,
    read_configs,
    usable_device,
)
from no_time_to_train.api.prediction import ImagePrediction
from no_time_to_train.config import EncoderConfig, ModelConfig, Sam2Name
from no_time_to_train.dataset.crops import crop_and_resize, crop_box
from no_time_to_train.dataset.images import (
    as_rgb,
    read_image,
    rgb_from_array,
    to_pixels,
    to_tensor,
)
from no_time_to_train.dataset.instance_masks import to_mask
from no_time_to_train.encoders import build_encoder, input_size
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file
from no_time_to_train.memory.bank import MemoryBank
from no_time_to_train.memory.checkpoint import (
    MemoryFile,
    MemoryInfo,
    read_memory,
    write_memory,
)
from no_time_to_train.memory.layout import Kind
from no_time_to_train.memory.tensors import (
    bank_from_tensors,
    bank_to_tensors,
    statistics_from_tensors,
    statistics_to_tensors,
)
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.proposers import build_proposer
from no_time_to_train.structures import Reference, Target

Picture = str | Path | Image.Image | npt.NDArray[np.uint8]
"""A file or PIL image, turned as its EXIF says, or an array (H, W, 3) uint8, RGB, as it is."""

CONTEXT_RATIO = 0.2


class FewShotSegmenter:
    """Finds and segments every instance of classes that a few examples show.

    segmenter = FewShotSegmenter.from_preset()
    segmenter.remember("bird.jpg", mask, "bird")
    segmenter.finalise()
    prediction = segmenter.segment("park.jpg")
    prediction.draw().save("found.png")

    It has examples (a filled memory), or finalised classes (a post-processed one), or both: classes
    made of its examples. `remember` adds an example, after which the classes have to be finalised
    again; `load` replaces all there was; `save` stores the classes where they are finalised, else
    the examples. Where an error is raised, all is as it was. Threads may share one segmenter: they
    wait for each other.
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
            InputError: A checkpoint is missing or of another model, or there is no such device.
        """
        where = usable_device(device)
        check_config(config)
        if image_size is not None:
            check_side(image_size, "image_size")
        self.config = config
        self._lock = RLock()
        self._class_names: list[str] = []
        self._segmenter = Segmenter(
            config.sam2_infer_cfgs, build_encoder(config), build_proposer(config, image_size)
        )
        self._segmenter.to(where)

    @property
    def class_names(self) -> list[str]:
        """Names by label; a copy, changing it changes no class."""
        return list(self._class_names)

    @classmethod
    def from_preset(
        cls,
        sam2: Sam2Name = "sam2_hiera_l.yaml",
        sam2_checkpoint: str | Path = ModelConfig.sam2_ckpt_path,
        encoder: str = "dinov2_large",
        encoder_checkpoint: str | Path = ModelConfig.encoder_ckpt_path,
        encoder_image_size: int | None = None,
        device: str | None = None,
    ) -> FewShotSegmenter:
        """Build from the names of two presets and their official checkpoints.

        Args:
            sam2: SAM 2 preset.
            sam2_checkpoint: Its weights.
            encoder: DINOv2 preset, or timm/NAME.
            encoder_checkpoint: Its weights; `download` lets timm fetch them.
            encoder_image_size: Side of its square input in pixels, by default its own.
            device: As in the constructor.
        """
        check_preset(sam2, "sam2")
        check_preset(encoder, "encoder")
        if encoder_image_size is not None:
            check_side(encoder_image_size, "encoder_image_size")
        config = ModelConfig(
            sam2_cfg_file=sam2,
            sam2_ckpt_path=str(check_path(sam2_checkpoint, "sam2_checkpoint")),
            encoder_cfg=EncoderConfig(name=encoder, img_size=encoder_image_size),
            encoder_ckpt_path=str(check_path(encoder_checkpoint, "encoder_checkpoint")),
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
        config, size = read_configs(paths)
        return cls(config, image_size=size, device=device)

    def remember(
        self, image: Picture, mask: npt.ArrayLike | str | Path | Image.Image, name: str
    ) -> None:
        """Learn one example; what was finalised has to be finalised again.

        Args:
            image: The picture it is in.
            mask: Of the picture's size, non-zero on the instance: an array (H, W), a PIL image
                without alpha channel, or the path of one (no JPEG); of colours any may be non-zero.
            name: Its class; spaces around it do not count.

        Raises:
            InputError: An argument is of another kind; the mask has another size than the image, or
                no pixel; the features are not finite; or the classes were loaded finalised, so that
                their examples are gone.
        """
        name = check_name(name)
        pixels = to_tensor(_open(image))  # (3, H, W)
        inside = torch.from_numpy(to_mask(mask, f"the mask of this {name}"))  # (H, W)
        if inside.shape != pixels.shape[1:]:
            raise InputError(
                f"the mask of this {name} is {tuple(inside.shape)}, but its image is "
                f"{tuple(pixels.shape[1:])} (height, width); give both the same size"
            )
        if not inside.any():
            raise InputError(f"the mask of this {name} has no pixel; mark the instance")
        with self._lock:
            self._learn(*self._crop(pixels, inside), name)

    def _learn(self, crop: torch.Tensor, mask: torch.Tensor, name: str) -> None:
        segmenter, names = self._segmenter, self._class_names
        if segmenter.statistics is not None and not segmenter.bank.summaries:
            raise InputError(
                "a memory that was saved after finalise() cannot learn; start a new one"
            )
        index = names.index(name) if name in names else len(names)
        slot = len(segmenter.bank.references_of(index))
        source = f"example {slot + 1} of {name}"
        segmenter.remember([Reference(crop, mask, index, slot, 0, slot, source)])
        segmenter.statistics = None
        if index == len(names):
            names.append(name)

    def _crop(
        self, pixels: torch.Tensor, inside: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows, columns = inside.any(dim=1).nonzero(), inside.any(dim=0).nonzero()
        x, y = int(columns[0]), int(rows[0])
        bbox = (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)
        box = crop_box(bbox, CONTEXT_RATIO, *inside.shape)
        assert self._segmenter.encoder is not None
        return crop_and_resize(pixels, inside, box, input_size(self._segmenter.encoder))

    def finalise(self) -> None:
        """Condense the examples into classes; more may be remembered later, and this repeated.

        Classes that were loaded finalised stay as they are.

        Raises:
            InputError: Nothing was remembered.
        """
        with self._lock:
            if self._segmenter.bank.summaries:
                self._segmenter.finalise()
            elif self._segmenter.statistics is None:
                raise InputError(
                    "there is nothing to finalise; call remember(image, mask, name) first"
                )

    def segment(self, image: Picture) -> ImagePrediction:
        """Find every instance of the remembered classes.

        Args:
            image: The picture to search.

        Raises:
            InputError: The classes were not finalised or loaded, or an example was remembered
                since.
        """
        picture = _open(image)
        assert self._segmenter.proposer is not None
        side = self._segmenter.proposer.image_size
        resized = picture.resize((side, side), Image.Resampling.BICUBIC)
        target = Target(to_pixels(resized), (picture.height, picture.width))
        with self._lock:
            self._check_finalised()
            (found,) = self._segmenter.segment([target])
            names = tuple(self._class_names)
        return ImagePrediction(
            found.masks.cpu(),
            found.boxes.cpu(),
            found.scores.cpu(),
            found.labels.cpu(),
            np.asarray(picture),
            names,
        )

    def _check_finalised(self) -> None:
        if self._segmenter.statistics is not None:
            return
        if self._segmenter.bank.summaries:
            raise InputError(
                "there are examples that no class is made of yet; call finalise() after the last "
                "remember(), or after load() of a memory that is only filled"
            )
        raise InputError(
            "there are no classes yet; call remember() and finalise(), or load() a memory"
        )

    def save(self, path: str | Path) -> None:
        """Store the memory, finalised where it is; the command line reads it too.

        Args:
            path: Of the checkpoint.

        Raises:
            InputError: There is nothing to store, or the place cannot be written to.
        """
        target = check_path(path)
        check_regular_file(target, "the memory")
        with self._lock:
            if self._segmenter.statistics is not None:
                tensors = statistics_to_tensors(self._segmenter.statistics)
            elif self._segmenter.bank.summaries:
                tensors = bank_to_tensors(self._segmenter.bank)
            else:
                raise InputError(
                    "there is no memory to save; call remember(image, mask, name) first"
                )
            info = MemoryInfo(self.config.encoder_cfg.name, self.class_names)
        write_memory(target, tensors, info)

    def load(self, path: str | Path) -> None:
        """Take up a memory in place of all that was remembered, finalised or loaded before.

        Args:
            path: Of a checkpoint that was saved, or that the command line has written.

        Raises:
            InputError: It is missing, unreadable, or of another encoder.
        """
        memory = read_memory(check_path(path))
        self._check_encoder(memory)
        bank, statistics = MemoryBank(), None
        if memory.kind is Kind.POSTPROCESSED:
            statistics = statistics_from_tensors(memory.tensors)
        else:
            with memory.in_use():
                bank = bank_from_tensors(memory.tensors, self._segmenter.most_patches)
        names = memory.info.class_names if memory.info else []
        with self._lock:
            if statistics is None:
                self._segmenter.statistics = None
            else:
                self._segmenter.use(statistics)
            self._segmenter.bank = bank
            self._class_names = list(names) or [f"class {i}" for i in range(memory.size.classes)]

    def _check_encoder(self, memory: MemoryFile) -> None:
        own = self.config.encoder_cfg.name
        if memory.info and memory.info.encoder != own:
            raise InputError(f"{memory.path} was filled with {memory.info.encoder}, this is {own}")
        assert self._segmenter.encoder is not None
        width = self._segmenter.encoder.width
        if memory.size.channels != width:
            raise InputError(
                f"{memory.path} holds features of {memory.size.channels} channels, but {own} makes "
                f"{width}; use the encoder that filled it"
            )


def _open(image: Picture) -> Image.Image:
    """The picture as RGB, in the orientation it is shown in."""
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        return as_rgb(image, "the image")
    return rgb_from_array(image, "the image")
