"""What was found in a set-up: what there is to say of it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from no_time_to_train.commands import user_message
from no_time_to_train.commands.progress import megabytes
from no_time_to_train.config import DataLoadConfig, DatasetsConfig, ModelConfig, TestMode


@dataclass(frozen=True)
class Setup:
    """The arguments of a run."""

    settings: Any
    """As parsed, without those of the trainer."""
    mode: TestMode
    model: ModelConfig
    datasets: DatasetsConfig
    loading: DataLoadConfig
    trainer: dict[str, Any]
    """Settings of Lightning's Trainer, where they are given."""


@dataclass
class Findings:
    """Grows while a set-up is looked at."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    """What each is about, and a sentence or less."""
    problems: list[str] = field(default_factory=list)
    """Sentences, each once."""

    def tell(self, about: str, text: str) -> None:
        """Add a line."""
        self.lines.append((about, text))

    def refuse(self, problem: str) -> None:
        """Add a problem, unless it is known."""
        if problem not in self.problems:
            self.problems.append(problem)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Take what a user can repair for a problem, and go on behind the block."""
        try:
            yield
        except Exception as error:
            message = user_message(error)
            if message is None:
                raise
            self.refuse(message)

    def attempt_each(self, checks: Iterable[Callable[[], object]]) -> None:
        """The same for calls, none of which keeps the others from being made."""
        for check in checks:
            with self.attempt():
                check()


def size_of(path: Path) -> str:
    """Of a file, for people; or that it is not there."""
    if path.is_dir():
        return "a folder"
    try:
        return bytes_in_words(path.stat().st_size)
    except OSError:
        return "not there"


def bytes_in_words(size: float) -> str:
    """In kB, MB or GB, whichever reads best."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return megabytes(int(size)) if size >= 1e5 else f"{size / 1e3:.1f} kB"
