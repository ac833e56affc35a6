"""Write an evaluation.json; find and read every one of a sweep, and its runs.json."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from no_time_to_train.commands.outputs import VERSIONS_OF, versions
from no_time_to_train.commands.runs import RUNS_FILE, Run, read_runs
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.scores import Scores
from no_time_to_train.files import atomic_write, sha256

EVALUATION_FILE = "evaluation.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunEvaluation:
    """What an evaluation.json says."""

    path: Path
    benchmark: str
    title: str
    """Of its tables."""
    split: str
    shots: int | None
    seed: int | None
    metrics: str
    """A row of EVALUATORS."""
    numbers: dict[str, float | None]
    """In [0, 1], by name."""
    bad_images: int
    """How many could not be read."""
    limited_by: str | None
    """The setting that left images out."""

    @property
    def key(self) -> tuple[str, int | None, int | None]:
        """Split, shots and seed."""
        return self.split, self.shots, self.seed


def write_evaluation(
    path: Path,
    run: Mapping[str, Any],
    scores: Scores,
    images: Mapping[str, Any],
    files: Mapping[str, Path],
) -> None:
    """Write what `read_evaluations` reads.

    Args:
        path: Of the json.
        run: Its benchmark, title, split, shots, seed and metrics.
        scores: Of the run.
        images: How many `images` there are, the `bad_images` of these, and `limited_by`.
        files: That the numbers come from, by what they are; their checksums are written.

    Raises:
        InputError: It cannot be written.
    """
    content = {
        **run,
        "numbers": dict(scores.numbers),
        "per_class": [dict(row) for row in scores.per_class],
        **images,
        "files": {
            what: {"path": str(file), "sha256": sha256(file)} for what, file in files.items()
        },
        "versions": {"python": platform.python_version()} | versions(VERSIONS_OF),
    }
    with atomic_write(path) as file:
        json.dump(content, file, indent=2)
        file.write("\n")


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """The runs that any runs.json at or below these folders lists, their folders resolved.

    Raises:
        InputError: There is no such folder, or a list is damaged.
    """
    runs = []
    for path in find_files(folders, RUNS_FILE):
        for run in read_runs(path.parent):
            folder = str(path.parent / run.folder)
            runs.append(Run(run.benchmark, run.split, run.shots, run.seed, folder))
    return list(dict.fromkeys(runs))


def read_evaluations(folders: Iterable[Path], runs: Iterable[Run]) -> list[RunEvaluation]:
    """Read those at or below some folders, and those in the folders of the runs.

    A file of that name which `evaluate` has not written is named and left out.

    Raises:
        InputError: There is no such folder, or two evaluations of one run differ.
    """
    paths = [
        *find_files(folders, EVALUATION_FILE),
        *(Path(run.folder, EVALUATION_FILE) for run in runs),
    ]
    found: dict[tuple[Any, ...], RunEvaluation] = {}
    for path in {path.resolve(): path for path in paths if path.is_file()}.values():
        evaluation = _read(path)
        if evaluation is not None:
            before = found.setdefault(
                (evaluation.benchmark, *evaluation.key, evaluation.metrics), evaluation
            )
            _refuse_second(before, evaluation)
    return list(found.values())


def find_files(folders: Iterable[Path], name: str) -> Iterator[Path]:
    """Those of a name at or below some folders.

    Raises:
        InputError: There is no such folder.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}; name the folders of the runs")
        for parent, subfolders, names in os.walk(folder):
            subfolders.sort()
            if name in names:
                yield Path(parent, name)


def _read(path: Path) -> RunEvaluation | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return RunEvaluation(
            path,
            benchmark=str(content["benchmark"]),
            title=str(content["title"]),
            split=str(content["split"]),
            shots=_whole(content["shots"]),
            seed=_whole(content["seed"]),
            metrics=str(content["metrics"]),
            numbers={name: _number(value) for name, value in content["numbers"].items()},
            bad_images=len(content["bad_images"]),
            limited_by=content["limited_by"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        logger.warning("%s is not what `evaluate` writes, and is left out", path)
        return None


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _refuse_second(first: RunEvaluation, second: RunEvaluation) -> None:
    if first.numbers != second.numbers:
        raise InputError(
            f"{first.path} and {second.path} are of one run, "
            f"{describe((first.benchmark, *first.key))}, and differ; "
            "name the folder of one of them, or evaluate them with their --shots and --seed"
        )


def describe(run: Sequence[str | int | None]) -> str:
    """Benchmark, split, shots and seed in words."""
    benchmark, split, shots, seed = run
    words = [str(benchmark), str(split)]
    words += [] if shots is None else [f"{shots} shot{'' if shots == 1 else 's'}"]
    words += [] if seed is None else [f"seed {seed}"]
    return ", ".join(words)
