"""The classes that a segmenter knows: told, given thresholds, forgotten, stored and loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from no_time_to_train.api.arguments import check_class, check_path, check_score
from no_time_to_train.files import check_regular_file
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import read_memory, write_memory
from no_time_to_train.memory.editing import remove_classes
from no_time_to_train.models.segmenter import Segmenter


@dataclass(frozen=True)
class ClassInfo:
    """One class."""

    name: str
    references: int
    """Number of examples that it is made of."""
    threshold: float
    """Lowest score that predictions draw of it."""


class ClassMemory:
    """What `FewShotSegmenter` does that needs no picture."""

    def __init__(self, segmenter: Segmenter, threshold: float) -> None:
        """Take up what holds the memory.

        Args:
            segmenter: With an encoder.
            threshold: Lowest score that is drawn, of classes that have none of their own.
        """
        self._segmenter = segmenter
        self._threshold = threshold
        self._thresholds: dict[str, float] = {}
        self._lock = RLock()

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
                ClassInfo(name, len(references), self._thresholds.get(name, self._threshold))
                for name, references in zip(memory.class_names, memory.by_class(), strict=True)
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

    def forget(self, *names: str) -> None:
        """Forget classes; the networks stay, and so do other classes, finalised where they were.

        Args:
            names: Of the classes; without any, all are forgotten.

        Raises:
            InputError: There is no such class; then none is forgotten.
        """
        with self._lock:
            memory = self._segmenter.memory
            known = [check_class(name, self.class_names) for name in names]
            if set(known) in (set(), set(memory.class_names)):
                self._set_memory(memory.emptied())
                return
            remove_classes(memory, known)
            self._segmenter.set_memory(memory)
            for name in known:
                self._thresholds.pop(name, None)

    def finalise(self) -> None:
        """Make classes of the examples; more may be remembered later, and this repeated.

        Raises:
            InputError: Nothing was remembered.
        """
        with self._lock:
            self._segmenter.finalise()

    def save(self, path: str | Path) -> None:
        """Store the memory, finalised where it is; the command line reads it too.

        Args:
            path: Of the checkpoint; `.safetensors` at its end stores in that format.

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
        memory.class_names = list(file.shown_names)
        with self._lock:
            self._set_memory(memory)

    def _set_memory(self, memory: Memory) -> None:
        self._segmenter.set_memory(memory)
        self._thresholds.clear()
