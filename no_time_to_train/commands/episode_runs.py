"""Episodes through the networks: from a drawn episode to pixels that agree."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from no_time_to_train.api.segmenter import FewShotSegmenter
from no_time_to_train.coco.annotations import CocoAnnotations, Id, image_path
from no_time_to_train.commands.episode_log import EpisodeLog
from no_time_to_train.dataset.episodes import Episode, class_mask
from no_time_to_train.dataset.images import read_entry
from no_time_to_train.evaluation.episodes import PixelCounts, count_pixels
from no_time_to_train.settings import Settings

PROGRESS_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What there is to do."""

    annotations: CocoAnnotations
    episodes: Sequence[Episode]
    image_folder: Path
    threshold: float
    """Lowest score of an instance that belongs to the mask."""


def run_episodes(task: Task, log: EpisodeLog, settings: Settings, device: str | None) -> None:
    """Run those that the log does not have yet.

    Args:
        task: All of them.
        log: Keeps each as soon as it is finished.
        settings: Of the networks and the method.
        device: As for `FewShotSegmenter`.

    Raises:
        InputError: Weights or an image cannot be read, or the log cannot be written.
    """
    segmenter = _segmenter(settings, device)
    progress = _Progress(len(log.done), len(task.episodes))
    for episode in task.episodes[len(log.done) :]:
        log.append(episode, _run_episode(segmenter, task, episode))
        progress.add()


def _segmenter(settings: Settings, device: str | None) -> FewShotSegmenter:
    # The fold says which classes there are, whatever the settings were written for.
    references = replace(settings.datasets.fill_memory, class_split=None, cat_names=None)
    return FewShotSegmenter.from_settings(
        settings.model,
        replace(settings.datasets, fill_memory=references),
        settings.loading,
        settings.image_size,
        settings.device if device is None else device,
    )


def _run_episode(segmenter: FewShotSegmenter, task: Task, episode: Episode) -> PixelCounts:
    """Learn the class from the supports alone, and compare what is found in the query."""
    segmenter.forget()
    for support in episode.supports:
        mask = class_mask(task.annotations, support, episode.category_id)
        segmenter.remember(_pixels(task, support), mask, "support")
    segmenter.finalise()
    prediction = segmenter.segment(_pixels(task, episode.query))
    found = prediction.masks[prediction.scores >= task.threshold].any(dim=0).numpy()
    truth = class_mask(task.annotations, episode.query, episode.category_id)
    return count_pixels(episode.category_id, truth, found)


def _pixels(task: Task, image_id: Id) -> npt.NDArray[np.uint8]:
    entry = task.annotations.images[image_id]
    picture, _ = read_entry(entry, image_path(task.image_folder, entry.file_name))
    return np.asarray(picture)


class _Progress:
    """Tells at times how many episodes are done, and how long the others will take."""

    def __init__(self, done: int, count: int) -> None:
        self._before = self._done = done
        self._count = count
        self._started = self._told = time.monotonic()

    def add(self) -> None:
        """Count an episode."""
        self._done += 1
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS:
            self._told = now
            speed = (self._done - self._before) / (now - self._started)
            minutes = (self._count - self._done) / speed / 60
            logger.info(
                "%d of %d episodes, %.3g a second, %.0f min left",
                self._done,
                self._count,
                speed,
                minutes,
            )
