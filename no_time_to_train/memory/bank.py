"""The reference memory: what is filled, finalised into classes, stored and read."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from no_time_to_train.config import ModelConfig
from no_time_to_train.errors import InputError, listed
from no_time_to_train.memory.arena import Arena
from no_time_to_train.memory.description import UNFINISHED, EncoderSpec, default_names
from no_time_to_train.memory.references import ReferenceSummary, reference_weights, summarise
from no_time_to_train.memory.statistics import ClassStatistics, FinalisedClass, class_statistics
from no_time_to_train.memory.thumbnails import decode_thumbnail, thumbnail_of
from no_time_to_train.structures import Reference

logger = logging.getLogger(__name__)

PATCH_BYTES = 2 * 1024
"""Of one patch: float16, as many channels as the published encoder has."""
MAX_SHOWN = 20
"""Classes that a message names."""


@dataclass(frozen=True)
class MemoryClass:
    """One class of a memory."""

    name: str
    references: Sequence[ReferenceSummary]
    """In slot order."""
    finalised: FinalisedClass | None = None
    """What was made of just these references, if it was."""


class Memory:
    """References by class and slot, and the statistics of the classes that they make.

    References may arrive in any order, and classes may have different numbers of them. Adding one
    voids the statistics of its class, until `finalise` makes them anew. In a memory that was stored
    finalised, references have lost their patches: see `stored_references.condensed_references`.

    Args:
        encoder: What makes the features; None where it is not known.
        class_names: By class index; empty where they are not known.
        shots: Places per class in the file, some of which may stay empty; more where a class needs
            them.
        max_patches: Foreground patches kept per reference, for the pictures.
    """

    def __init__(
        self,
        encoder: EncoderSpec | None = None,
        class_names: Sequence[str] = (),
        shots: int = 1,
        max_patches: int = 1 << 20,
    ) -> None:
        self.encoder = encoder
        self.class_names = list(class_names)
        self.shots = shots
        self.max_patches = max_patches
        self.set_references({})

    @classmethod
    def from_config(
        cls,
        config: ModelConfig,
        class_names: Sequence[str] = (),
        shots: int = 1,
    ) -> Memory:
        """An empty memory for the encoder that settings name."""
        encoder = EncoderSpec(config.encoder_cfg.name, config.encoder_cfg.img_size)
        return cls(encoder, class_names, shots, max_patches(config))

    def emptied(self) -> Memory:
        """An empty memory for the same encoder."""
        return Memory(self.encoder, max_patches=self.max_patches)

    @property
    def is_finalised(self) -> bool:
        """Whether its classes are made of all its references."""
        return self._statistics is not None

    def check_finalised(self) -> None:
        """Refuse to be used before its classes are made.

        Raises:
            InputError: They are not finalised, or there are none.
        """
        if self.references and not self.is_finalised:
            raise InputError(f"the memory is {UNFINISHED}")
        if not self.is_finalised:
            raise InputError(
                "there are no classes yet; call remember() and finalise(), or load() a memory"
            )

    @property
    def statistics(self) -> ClassStatistics:
        """The classes.

        Raises:
            InputError: As by `check_finalised`.
        """
        self.check_finalised()
        assert self._statistics is not None
        return self._statistics

    @property
    def thumbnails(self) -> list[list[NDArray[np.uint8] | None]]:
        """Pictures of the references of every class; None for one that has none.

        Each is (T, T, 4): the crop in RGB, and the mask as alpha.
        """
        return [[decode_thumbnail(each.thumbnail) for each in own] for own in self.by_class()]

    def set_references(
        self,
        references: Mapping[tuple[int, int], ReferenceSummary],
        statistics: ClassStatistics | None = None,
    ) -> None:
        """Hold these references and no others.

        Args:
            references: By class index and slot; they are not copied.
            statistics: What was made of all of them, if it was.
        """
        self.references = dict(references)
        self._arena = Arena()
        self._set_statistics(statistics)

    def _set_statistics(self, statistics: ClassStatistics | None) -> None:
        self._statistics = statistics
        count = len(statistics.counts) if statistics else 0
        self._finalised = {
            index: statistics.of_class(index) for index in range(count) if statistics
        }

    def remember(self, reference: Reference, features: Tensor) -> None:
        """Keep what the later stages need of one reference (stage 1).

        Args:
            reference: With its mask at crop size.
            features: (N, C) its patch features, row-major over a square grid.

        Raises:
            InputError: The features are not finite, or the mask is empty.
        """
        weights = reference_weights(reference, math.isqrt(len(features)))
        summary = summarise(features, weights.to(features.device), self.max_patches)
        if not summary.is_finite():
            raise not_finite(reference.source)
        summary = replace(summary, thumbnail=thumbnail_of(reference))
        self.add(reference.class_index, reference.slot, summary)

    def add(self, class_index: int, slot: int, summary: ReferenceSummary) -> None:
        """Copy one reference into its place; the same place again replaces it."""
        self.references[class_index, slot] = replace(
            summary,
            mean=self._arena.keep(summary.mean),
            foreground_mean=self._arena.keep(summary.foreground_mean),
            patches=self._arena.keep(summary.patches),
        )
        self._statistics = None
        self._finalised.pop(class_index, None)

    def by_class(self) -> list[list[ReferenceSummary]]:
        """References of every class that has a name or a reference, each in slot order."""
        used = 1 + max((index for index, _ in self.references), default=-1)
        count = max(used, len(self.class_names))
        classes: list[list[ReferenceSummary]] = [[] for _ in range(count)]
        for index, slot in sorted(self.references):
            classes[index].append(self.references[index, slot])
        return classes

    def classes(self) -> list[MemoryClass]:
        """Its classes; those that have no name are called class 1, class 2, ...."""
        return [
            MemoryClass(name, references, self._finalised.get(index))
            for index, (name, references) in enumerate(
                zip(self._shown_names(), self.by_class(), strict=True)
            )
        ]

    def set_classes(self, classes: Sequence[MemoryClass]) -> None:
        """Hold these classes and no others; they are finalised if those before were.

        Args:
            classes: At least one, each with at least one reference.
        """
        sizes = self._statistics.picture_sizes if self._statistics else None
        self.set_references(
            {
                (index, slot): reference
                for index, own in enumerate(classes)
                for slot, reference in enumerate(own.references)
            }
        )
        self.class_names = [each.name for each in classes]
        self.shots = max(self.shots, *(len(each.references) for each in classes))
        rows = enumerate(each.finalised for each in classes)
        self._finalised = {index: row for index, row in rows if row is not None}
        if sizes:
            self._make_classes(*sizes)

    def finalise(self, kmeans_k: int, n_components: int) -> None:
        """Make classes of the references (stage 2); those that are made already stay.

        Args:
            kmeans_k: Cluster centres per class, for the pictures.
            n_components: Principal components per class, for the pictures.

        Raises:
            InputError: It holds nothing.
            ValueError: A class has no reference.
        """
        if not self.references:
            raise InputError("there is nothing to finalise; call remember(image, mask, name) first")
        if self.is_finalised:
            return
        self._make_classes(kmeans_k, n_components)
        self._report_fewer()

    def _make_classes(self, kmeans_k: int, n_components: int) -> None:
        self._set_statistics(
            class_statistics(self.by_class(), kmeans_k, n_components, self.shots, self._finalised)
        )

    def _shown_names(self) -> list[str]:
        return self.class_names or default_names(len(self.by_class()))

    def _report_fewer(self) -> None:
        """Say in one line which classes have fewer references than there are places for."""
        counted = ((each.name, len(each.references)) for each in self.classes())
        fewer = [f"{name} has {count}" for name, count in counted if count < self.shots]
        if fewer:
            shown = listed(fewer, MAX_SHOWN)
            logger.info("Classes with fewer than %d references: %s", self.shots, shown)


def max_patches(config: ModelConfig) -> int:
    """Foreground patches kept per reference, so that all of them fit the memory set aside."""
    bank = config.memory_bank_cfg
    budget = bank.patch_memory_mb * 2**20 // (bank.category_num * bank.length * PATCH_BYTES)
    return max(budget, config.sam2_infer_cfgs.kmeans_k)


def not_finite(source: str) -> InputError:
    """What to say of features that no class can be compared with.

    Args:
        source: Of which reference or image they are.
    """
    return InputError(
        f"the features of {source} are not finite; use other weights of the encoder, or the "
        "precision float32"
    )
