"""What a sweep was asked for, and where its files lie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from no_time_to_train.commands.pipeline.devices import Devices
from no_time_to_train.dataset.benchmarks import BENCHMARKS, Benchmark
from no_time_to_train.errors import InputError


@dataclass(frozen=True)
class Sweep:
    """Runs of a benchmark, and what they have in common."""

    benchmark: str
    """A row of BENCHMARKS."""
    splits: tuple[str, ...]
    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    devices: Devices
    folder: str
    """Of a run, with the placeholders of `Benchmark.folder`."""
    configs: tuple[str, ...] = ()
    """In place of the published one."""
    stage_arguments: tuple[str, ...] = ()
    """For every stage, behind the others."""
    plot: bool = False
    """Whether the references are drawn."""
    launcher: tuple[str, ...] = ()
    """What stands before the command of a stage on several devices."""
    nodes: int = 1
    cat_names: str | None = None
    """Classes in place of those of the split, as the settings take them."""
    few_shot_files: str | None = None
    """Folder of files in the form of TFA, with placeholders, in place of drawing references."""

    @property
    def row(self) -> Benchmark:
        """Of the table."""
        return BENCHMARKS[self.benchmark]

    def runs(self) -> Iterator[Run]:
        """Every split at every number of shots with every seed."""
        for split in self.splits:
            for shots in self.shots:
                for seed in self.seeds:
                    yield Run(self, split, shots, seed)


@dataclass(frozen=True)
class Run:
    """One set of references and what is found with it."""

    sweep: Sweep
    split: str
    shots: int
    seed: int

    def filled_in(self, template: str) -> str:
        """A template of BENCHMARKS for this run."""
        number = re.search(r"\d*$", self.split)
        return template.format(
            split=self.split,
            number=number[0] if number else "",
            shots=self.shots,
            seed=self.seed,
        )

    @property
    def name(self) -> str:
        """For the person who watches."""
        plural = "s" if self.shots > 1 else ""
        return f"{self.split}, {self.shots} shot{plural}, seed {self.seed}"

    @property
    def label(self) -> str:
        """For names of files."""
        return f"{self.split}_{self.shots}shot_seed{self.seed}"

    @property
    def folder(self) -> Path:
        """Of references and memories; runs may share it, whose memories then replace each other."""
        return Path(self.filled_in(self.sweep.folder))

    @property
    def results_folder(self) -> Path:
        """Of results, which no two runs share: what `folder` leaves out is in its name."""
        template = self.sweep.folder
        parts = {
            "{split}": self.split,
            "{shots}": f"{self.shots}shot",
            "{seed}": f"seed{self.seed}",
        }
        if "{number}" in template:
            del parts["{split}"]
        missing = [part for name, part in parts.items() if name not in template]
        return self.folder / "_".join(missing)

    @property
    def memory(self) -> Path:
        """As it is filled."""
        return self.folder / self.filled_in(self.sweep.row.memory)

    @property
    def postprocessed_memory(self) -> Path:
        """As the targets are segmented with it."""
        return self.memory.with_name(f"{self.memory.stem}_postprocessed{self.memory.suffix}")

    @property
    def results(self) -> Path:
        """COCO results."""
        return self.results_folder / "results.json"

    @property
    def evaluation(self) -> Path:
        """Their numbers."""
        return self.results_folder / "evaluation.json"


def check_template(flag: str, folder: str) -> None:
    """Refuse the name of a folder that has other placeholders than runs have.

    Args:
        flag: That gives it.
        folder: As given.

    Raises:
        InputError: It has.
    """
    try:
        folder.format(split="", number="", shots=1, seed=1)
    except (LookupError, ValueError, AttributeError):
        raise InputError(
            f"{flag} {folder!r} may have {{split}}, {{number}}, {{shots}} and {{seed}} in it, "
            "and no other braces"
        ) from None
