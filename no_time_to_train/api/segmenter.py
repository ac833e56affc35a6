"""The method for people who write Python: remember a few examples, then segment pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from threading import RLock

import numpy as np
import numpy.typing as npt
from torch import Tensor

from no_time_to_train.api.arguments import (
    check_class,
    check_config,
    check_count,
    check_name,
    check_path,
    check_preset,
    check_score,
    check_side,
    usable_device,
)
from no_time_to_train.api.classes import ClassInfo, reference_counts
from no_time_to_train.api.drawing import MaskDrawing
from no_time_to_train.api.examples import ExampleReader, Marks
from no_time_to_train.api.many import (
    OnBad,
    OpenedPicture,
    Progress,
    check_many,
    open_target,
    read_ahead,
    segment_in_batches,
    told,
)
from no_time_to_train.api.marks import Mark
from no_time_to_train.api.pictures import Picture
from no_time_to_train.api.prediction import ImagePrediction
from no_time_to_train.config import (
    ColourBy,
    DataLoadConfig,
    DatasetsConfig,
    EncoderConfig,
    ModelConfig,
    Orientation,
    Sam2Name,
)
from no_time_to_train.dataset.class_splits import class_names as class_names_of
from no_time_to_train.encoders import build_encoder, input_size
from no_time_to_train.errors import InputError, listed
from no_time_to_train.files import check_regular_file
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import read_memory, write_memory
from no_time_to_train.memory.description import EncoderSpec
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.proposers import build_proposer
from no_time_to_train.settings import read_configs
from no_time_to_train.structures import Reference

DATASETS = DatasetsConfig()
LOADING = DataLoadConfig()


class FewShotSegmenter:
    """Finds and segments every instance of classes that a few examples show.

    segmenter = FewShotSegmenter.from_preset()
    segmenter.remember("bird.jpg", mask, "bird")
    segmenter.finalise()
    prediction = segmenter.segment("park.jpg")
    prediction.draw().save("found.png")

    It has examples (a filled memory), or finalised classes (a post-processed one), or both: classes
    made of its examples. `remember` adds an example, after which the classes have to be finalised
    again; `load` replaces all there was, `forget` leaves nothing; `save` stores the classes where
    they are finalised, else the examples. Where an error is raised, all is as it was. Threads may
    share one segmenter: they wait for each other.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        crop_size: int,
        image_size: int,
        context_ratio: float = DATASETS.fill_memory.context_ratio,
        reference_orientation: Orientation = "auto",
        target_orientation: Orientation = "auto",
        wanted: Sequence[str] | None = None,
        batch_size: int = 1,
        threshold: float = 0.5,
        colour_by: ColourBy = "class",
    ) -> None:
        """Put the parts together; `from_preset`, `from_config` and `from_settings` build them.

        Args:
            segmenter: With both networks, on the device that it is to run on.
            crop_size: Side of the crops of examples, the encoder's input, in pixels.
            image_size: Side of the square that images to segment are resized to, in pixels.
            context_ratio: How much wider than the instance's box a crop is.
            reference_orientation: Whether pictures of examples are turned as their EXIF orientation
                says (`auto`, `shown`) or read as they are stored (`stored`).
            target_orientation: The same of pictures to segment.
            wanted: Names that classes may have; by default any.
            batch_size: Pictures of `segment_all` that go through the image encoders together.
            threshold: Lowest score that predictions draw by default.
            colour_by: What predictions give a colour of its own by default.
        """
        self._segmenter = segmenter
        self._image_size = image_size
        self._targets_as_stored = target_orientation == "stored"
        self._wanted = wanted
        self._batch_size = batch_size
        self._threshold = threshold
        self._thresholds: dict[str, float] = {}
        self._colour_by = colour_by
        self._lock = RLock()
        as_stored = reference_orientation == "stored"
        self._drawing = MaskDrawing(segmenter.proposer, as_stored, self._lock)
        self._examples = ExampleReader(self._drawing, crop_size, context_ratio, as_stored)

    @property
    def class_names(self) -> list[str]:
        """Names by label; a copy, changing it changes no class."""
        return list(self._segmenter.memory.class_names)

    @property
    def classes(self) -> list[ClassInfo]:
        """Name, number of examples and threshold of each class, by label."""
        with self._lock:
            memory = self._segmenter.memory
            return [
                ClassInfo(name, count, self._thresholds.get(name, self._threshold))
                for name, count in zip(memory.class_names, reference_counts(memory), strict=True)
            ]

    def set_threshold(self, name: str, threshold: float | None) -> None:
        """Say from which score on instances of one class are drawn; all are found anyway.

        It holds for later predictions, until the class is forgotten or another memory is loaded; no
        file keeps it.

        Args:
            name: Of the class.
            threshold: None stands for that of the configuration.

        Raises:
            InputError: There is no such class, or the threshold is no number.
        """
        with self._lock:
            check_class(name, self.class_names)
            if threshold is None:
                self._thresholds.pop(name, None)
            else:
                self._thresholds[name] = check_score(threshold, "threshold")

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
            device: As for `from_settings`.
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
        return cls.from_settings(config, device=device)

    @classmethod
    def from_config(cls, *paths: str | Path, device: str | None = None) -> FewShotSegmenter:
        """Build from the YAML files that the command line takes, later ones winning.

        All of their settings count that have a meaning for pictures handed over one by one: not
        the files and numbers of data sets, and of the trainer only the accelerator.

        Args:
            paths: Such as configs/matching_cdfsod_template.yaml, configs/sam2_hiera_t.yaml.
            device: As for `from_settings`; by default that of `trainer.accelerator`, if given.

        Raises:
            InputError: A file is missing, or names a setting that does not exist.
        """
        settings = read_configs([check_path(path) for path in paths])
        return cls.from_settings(
            settings.model,
            settings.datasets,
            settings.loading,
            settings.image_size,
            settings.device if device is None else device,
        )

    @classmethod
    def from_settings(
        cls,
        config: ModelConfig,
        datasets: DatasetsConfig = DATASETS,
        loading: DataLoadConfig = LOADING,
        image_size: int | None = None,
        device: str | None = None,
    ) -> FewShotSegmenter:
        """Build both networks.

        Args:
            config: Presets, checkpoints and settings; the number of classes does not matter here.
            datasets: How pictures of examples, and pictures to segment, are treated, and the names
                that classes may have; not their files, and their sizes are those of the networks.
            loading: The batch size.
            image_size: Side of SAM 2's square input in pixels, by default the preset's.
            device: Such as `cpu` or `cuda:1`; by default the GPU where there is one.

        Raises:
            InputError: A checkpoint is missing or of another model, or there is no such device.
        """
        where = usable_device(device)
        check_config(config)
        if image_size is not None:
            check_side(image_size, "image_size")
        references = datasets.fill_memory
        wanted: Sequence[str] | None = references.cat_names
        if wanted is None and references.class_split is not None:
            wanted = class_names_of(references.class_split)
        encoder, proposer = build_encoder(config), build_proposer(config, image_size)
        memory = Memory.from_config(config)
        memory.encoder = EncoderSpec(config.encoder_cfg.name, input_size(encoder))
        segmenter = Segmenter(config.sam2_infer_cfgs, encoder, proposer, memory=memory)
        return cls(
            segmenter.to(where),
            crop_size=input_size(encoder),
            image_size=proposer.image_size,
            context_ratio=references.context_ratio,
            reference_orientation=references.orientation,
            target_orientation=datasets.test.orientation,
            wanted=wanted,
            batch_size=loading.batch_size,
            threshold=config.test.vis_thr,
            colour_by=config.test.colour_by,
        )

    def fresh(self) -> FewShotSegmenter:
        """Another segmenter with the same networks and settings, which remembers nothing yet.

        Threads that use one of the two wait for each other, as the networks are the same.
        """
        parts, other = self._segmenter, copy(self)
        memory = parts.memory.emptied()
        networks = Segmenter(parts.settings, parts.encoder, parts.proposer, parts.rescore, memory)
        other._segmenter = networks.to(parts.prototypes.device)
        other._thresholds = {}
        return other

    def remember(
        self,
        image: Picture,
        mask: Mark | None = None,
        name: str | None = None,
        *,
        polygon: npt.ArrayLike | Sequence[npt.ArrayLike] | None = None,
        box: npt.ArrayLike | None = None,
    ) -> None:
        """Learn one example; what was finalised has to be finalised again.

        The instance is marked by a mask, a polygon or a box. `mask` takes all three: a picture, or
        numbers in the shape of the image, are a mask; four numbers are a box, pairs a polygon.

        Args:
            image: The picture it is in.
            mask: Of the picture's size, non-zero on the instance: an array (H, W), a PIL image
                without alpha channel, or the path of one (no JPEG), of whose colours any may be
                non-zero; or COCO run lengths {"size", "counts"}.
            name: Its class; spaces around it do not count.
            polygon: [[x, y], ...] or [x, y, x, y, ...] in pixels, or a list of such polygons.
            box: (x1, y1, x2, y2) in pixels, in which SAM 2 draws the mask, see `draw_mask`.

        Raises:
            InputError: An argument is of another kind; the mask has another size than the image, or
                no pixel; or the features are not finite.
        """
        name = check_name(name)
        if self._wanted is not None and name not in self._wanted:
            raise InputError(
                f"name is {name!r}, which is none of the classes of the configuration "
                f"({listed(self._wanted)}); change its cat_names or class_split, or the name"
            )
        marks = Marks(mask, polygon, box)
        with self._lock:
            self._learn(*self._examples.read(image, marks, f"the mask of this {name}"), name)

    def _learn(self, crop: Tensor, mask: Tensor, name: str) -> None:
        memory = self._segmenter.memory
        names = memory.class_names
        index = names.index(name) if name in names else len(names)
        slot = sum(other == index for other, _ in memory.references)
        source = f"example {slot + 1} of {name}"
        self._segmenter.remember([Reference(crop, mask, index, slot, 0, slot, source)])
        if index == len(names):
            names.append(name)

    def draw_mask(
        self,
        image: Picture,
        *,
        points: npt.ArrayLike | None = None,
        point_labels: npt.ArrayLike | None = None,
        box: npt.ArrayLike | None = None,
    ) -> npt.NDArray[np.bool_]:
        """Draw the mask of an object that clicks or a box point at, with SAM 2.

        The features of the last pictures are kept, so that the next click is drawn at once.

        Args:
            image: The picture it is in, read as pictures of examples are.
            points: Clicks, (T, 2) xy in pixels; one pair of numbers is one click.
            point_labels: (T,) 1 for a click on the object, 0 for one on what does not belong to it;
                by default all are on it.
            box: Around the object, (x1, y1, x2, y2) in pixels.

        Returns:
            (H, W), true on the object; it may have no pixel.

        Raises:
            InputError: An argument is of another kind, or lies outside the image; or the masks of
                the configuration come from a file, without SAM 2.
        """
        return self._drawing.draw(image, points, point_labels, box)

    def forget(self) -> None:
        """Go back to knowing no class; the networks stay."""
        with self._lock:
            self._set_memory(self._segmenter.memory.emptied())

    def _set_memory(self, memory: Memory) -> None:
        self._segmenter.set_memory(memory)
        self._thresholds.clear()

    def finalise(self) -> None:
        """Make classes of the examples; more may be remembered later, and this repeated.

        Classes that were loaded finalised stay as they are.

        Raises:
            InputError: Nothing was remembered.
        """
        with self._lock:
            self._segmenter.finalise()

    def segment(self, image: Picture) -> ImagePrediction:
        """Find every instance of the remembered classes.

        Args:
            image: The picture to search.

        Raises:
            InputError: The classes were not finalised or loaded, or an example was remembered
                since.
        """
        (found,) = self._segment([self._open(image)])
        return found

    def _open(self, image: Picture) -> OpenedPicture:
        return open_target(image, self._targets_as_stored, self._image_size)

    def _segment(self, pictures: Sequence[OpenedPicture]) -> list[ImagePrediction]:
        if not pictures:
            return []
        with self._lock:
            predictions = self._segmenter.segment([each.target for each in pictures])
            classes = self.classes
        names, thresholds = [each.name for each in classes], [each.threshold for each in classes]
        return [
            ImagePrediction.of(
                found,
                np.asarray(each.picture),
                names,
                thresholds,
                each.source,
                self._colour_by,
            )
            for found, each in zip(predictions, pictures, strict=True)
        ]

    def segment_many(
        self,
        images: Iterable[Picture],
        batch_size: int | None = None,
        progress: Progress = False,
        on_bad: OnBad = "raise",
    ) -> Iterator[ImagePrediction]:
        """Find every instance in each of many pictures, giving each prediction as it is found.

        The next pictures are read by threads while the networks run. Nothing but the pictures under
        way is held; a prediction knows the file it is of, see `ImagePrediction.source`.

        Args:
            images: The pictures to search; they may come from a generator.
            batch_size: Pictures that go through the image encoders together; by default that of the
                configuration.
            progress: True shows a bar with pictures a second; a function is called with the number
                of pictures done and that of all, or None where it is not known.
            on_bad: `raise` ends at a picture that cannot be read, after the predictions of those
                before it; `skip` leaves it out, with a warning in the log.

        Raises:
            InputError: As by `segment`, or an argument is of another kind.
        """
        size = self._batch_size if batch_size is None else check_count(batch_size, "batch_size")
        check_many(images, progress, on_bad)
        self._segmenter.memory.check_finalised()
        return self._segment_many(images, size, progress, on_bad)

    def _segment_many(
        self, images: Iterable[Picture], batch_size: int, progress: Progress, on_bad: OnBad
    ) -> Iterator[ImagePrediction]:
        pictures = read_ahead(images, self._open, 2 * batch_size)
        with told(progress, images) as done:
            yield from segment_in_batches(pictures, self._segment, batch_size, on_bad, done)

    def segment_all(self, images: Iterable[Picture]) -> Iterator[ImagePrediction]:
        """The same as `segment_many(images)`."""
        return self.segment_many(images)

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
            write_memory(target, self._segmenter.memory)

    def load(self, path: str | Path) -> None:
        """Take up a memory in place of all that was remembered, finalised or loaded before.

        Args:
            path: Of a checkpoint that was saved, or that the command line has written.

        Raises:
            InputError: It is missing, unreadable, or of another encoder.
        """
        segmenter, file = self._segmenter, read_memory(check_path(path))
        assert segmenter.encoder is not None and segmenter.memory.encoder is not None
        memory = file.load(segmenter.memory.emptied())
        file.check_width(segmenter.memory.encoder.name, segmenter.encoder.width)
        memory.class_names = memory.class_names or [f"class {i}" for i in range(file.size.classes)]
        with self._lock:
            self._set_memory(memory)
