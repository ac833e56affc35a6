"""From settings to the parts of a `FewShotSegmenter`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from no_time_to_train.api.arguments import (
    check_encoder,
    check_kind,
    check_path,
    check_sam2,
    check_side,
    speaking_of_arguments,
    usable_device,
)
from no_time_to_train.config import (
    ColourBy,
    DataLoadConfig,
    DatasetsConfig,
    EncoderConfig,
    ModelConfig,
    Orientation,
)
from no_time_to_train.dataset.class_splits import class_names
from no_time_to_train.encoders import build_encoder, input_size
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.description import EncoderSpec
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.proposers import build_proposer

DATASETS = DatasetsConfig()
LOADING = DataLoadConfig()


@dataclass(frozen=True)
class PictureSettings:
    """How pictures are read, and predictions drawn."""

    crop_size: int
    """Side of the crops of examples, the encoder's input, in pixels."""
    image_size: int
    """Side of the square that images to segment are resized to, in pixels."""
    context_ratio: float = DATASETS.fill_memory.context_ratio
    """How much wider than the instance's box a crop is."""
    reference_orientation: Orientation = "auto"
    """Whether pictures of examples are turned as their EXIF orientation says (`auto`, `shown`) or
    read as they are stored (`stored`)."""
    target_orientation: Orientation = "auto"
    """The same of pictures to segment."""
    wanted: Sequence[str] | None = None
    """Names that classes may have; None for any."""
    batch_size: int = 1
    """Pictures that go through the image encoders together."""
    threshold: float = 0.5
    """Lowest score that predictions draw, of classes that have no threshold of their own."""
    colour_by: ColourBy = "class"
    """What predictions give a colour of its own."""


def build_presets(
    sam2: Any,
    sam2_checkpoint: Any,
    encoder: Any,
    encoder_checkpoint: Any,
    encoder_image_size: Any,
    device: str | None,
) -> tuple[Segmenter, PictureSettings]:
    """Build the networks of two presets; arguments as for `FewShotSegmenter.from_preset`.

    Raises:
        InputError: An argument is of another kind, there is no such preset, or as `build_parts`.
    """
    check_encoder(encoder)
    if encoder_image_size is not None:
        check_side(encoder_image_size, "encoder_image_size")
    sam2_checkpoint = check_path(sam2_checkpoint, "sam2_checkpoint")
    encoder_checkpoint = check_path(encoder_checkpoint, "encoder_checkpoint")
    with speaking_of_arguments():
        config = ModelConfig(
            sam2_cfg_file=check_sam2(sam2),
            sam2_ckpt_path=str(sam2_checkpoint),
            encoder_cfg=EncoderConfig(name=encoder, img_size=encoder_image_size),
            encoder_ckpt_path=str(encoder_checkpoint),
        )
        return build_parts(config, DATASETS, LOADING, None, device)


def build_parts(
    config: ModelConfig,
    datasets: DatasetsConfig,
    loading: DataLoadConfig,
    image_size: int | None,
    device: str | None,
) -> tuple[Segmenter, PictureSettings]:
    """Build both networks; arguments as for `FewShotSegmenter.from_settings`.

    Raises:
        InputError: A checkpoint is missing or of another model, or there is no such device.
    """
    where = usable_device(device)
    check_kind(config, ModelConfig, "config", ", or use from_config()")
    check_kind(datasets, DatasetsConfig, "datasets")
    check_kind(loading, DataLoadConfig, "loading")
    if image_size is not None:
        check_side(image_size, "image_size")
    encoder, proposer = build_encoder(config), build_proposer(config, image_size)
    memory = Memory.from_config(config)
    memory.encoder = EncoderSpec(config.encoder_cfg.name, input_size(encoder))
    segmenter = Segmenter(config.sam2_infer_cfgs, encoder, proposer, memory=memory)
    references = datasets.fill_memory
    settings = PictureSettings(
        crop_size=input_size(encoder),
        image_size=proposer.image_size,
        context_ratio=references.context_ratio,
        reference_orientation=references.orientation,
        target_orientation=datasets.test.orientation,
        wanted=_wanted(datasets),
        batch_size=loading.batch_size,
        threshold=config.test.vis_thr,
        colour_by=config.test.colour_by,
    )
    return segmenter.to(where), settings


def _wanted(datasets: DatasetsConfig) -> Sequence[str] | None:
    references = datasets.fill_memory
    if references.cat_names is None and references.class_split is not None:
        return class_names(references.class_split)
    return references.cat_names
