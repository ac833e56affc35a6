"""The method for people who write Python: remember a few examples, then segment pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from no_time_to_train.api.arguments import check_count, check_name, check_path
from no_time_to_train.api.building import (
    DATASETS,
    LOADING,
    PictureSettings,
    build_parts,
    build_presets,
)
from no_time_to_train.api.class_memory import ClassMemory
from no_time_to_train.api.drawing import MaskDrawing
from no_time_to_train.api.examples import ExampleReader, Marks
from no_time_to_train.api.many import (
    OnBad,
    OpenedPicture,
    Progress,
    check_many,
    open_target,
    segment_stream,
)
from no_time_to_train.api.marks import Mark
from no_time_to_train.api.pictures import Picture
from no_time_to_train.api.prediction import ImagePrediction
from no_time_to_train.config import DataLoadConfig, DatasetsConfig, ModelConfig, Sam2Name
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.settings import read_configs
from no_time_to_train.structures import Reference


class FewShotSegmenter(ClassMemory):
    """Finds and segments every instance of classes that a few examples show.

    segmenter = FewShotSegmenter.from_preset()
    segmenter.remember("bird.jpg", mask, "bird")
    segmenter.finalise()
    prediction = segmenter.segment("park.jpg")
    prediction.draw().save("found.png")

    It has examples (a filled memory), or finalised classes (a post-processed one), or both: classes
    made of its examples. `remember` adds an example, after which the classes have to be finalised
    again; `load` replaces all there was, `forget` drops a class or all; `save` stores the classes
    where they are finalised, else the examples. Where an error is raised, all is as it was.
    Threads may share one segmenter: they wait for each other where the networks run.
    """

    def __init__(self, segmenter: Segmenter, settings: PictureSettings) -> None:
        """Put the parts together; `from_preset`, `from_config` and `from_settings` build them.

        Args:
            segmenter: With both networks, on the device that it is to run on.
            settings: How pictures are read, and predictions drawn.
        """
        super().__init__(segmenter, settings.threshold)
        self._settings = settings
        as_stored = settings.reference_orientation == "stored"
        self._drawing = MaskDrawing(segmenter.proposer, as_stored, self._lock)
        self._examples = ExampleReader(
            self._drawing, settings.crop_size, settings.context_ratio, as_stored
        )

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

        Raises:
            InputError: An argument is of another kind, or as by `from_settings`.
        """
        networks = sam2, sam2_checkpoint, encoder, encoder_checkpoint, encoder_image_size
        return cls(*build_presets(*networks, device))

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
        return cls(*build_parts(config, datasets, loading, image_size, device))

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
        name = check_name(name, self._settings.wanted)
        marks = Marks(mask, polygon, box)
        crop, inside = self._examples.read(image, marks, f"the mask of this {name}")
        with self._lock:
            self._learn(crop, inside, name)

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
        as_stored = self._settings.target_orientation == "stored"
        return open_target(image, as_stored, self._settings.image_size)

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
                self._settings.colour_by,
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
        size = (
            self._settings.batch_size
            if batch_size is None
            else check_count(batch_size, "batch_size")
        )
        check_many(images, progress, on_bad)
        self._segmenter.memory.check_finalised()
        return segment_stream(images, self._open, self._segment, size, progress, on_bad)

    def segment_all(self, images: Iterable[Picture]) -> Iterator[ImagePrediction]:
        """The same as `segment_many(images)`."""
        return self.segment_many(images)
