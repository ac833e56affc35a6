"""What `episodes` keeps of each finished episode, so that a run that was stopped goes on.

A text file of json: the first line says what the numbers depend on, each other line is an episode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from no_time_to_train.dataset.episodes import Episode
from no_time_to_train.errors import InputError, listed
from no_time_to_train.evaluation.episodes import PixelCounts
from no_time_to_train.files import atomic_write

Identity = Mapping[str, Any]
"""What the numbers depend on, by name."""


class EpisodeLog:
    """The file, open for more episodes."""

    def __init__(self, path: Path, identity: Identity) -> None:
        """Begin a file, or take up that of an earlier run.

        Args:
            path: Where it is, or is to be.
            identity: Of this run.

        Raises:
            InputError: There is another file, or the episodes of a run that differed.
        """
        self.path = path
        self.done: list[PixelCounts] = []
        """Of the first episodes, in their order."""
        identity = json.loads(json.dumps(identity))  # as it comes back
        self._lines = _whole_lines(path)
        self._is_written = False
        if self._lines:
            self._take_up(identity)
        else:
            self._lines = [json.dumps(identity)]

    def append(self, episode: Episode, counts: PixelCounts) -> None:
        """Keep the next episode, whatever happens to this process from now on."""
        drawn = {"query": episode.query, "supports": episode.supports}
        line = json.dumps({"episode": len(self.done), **drawn, **asdict(counts)})
        if not self._is_written:  # without what an earlier run left of a line
            with atomic_write(self.path, is_result=False) as file:
                file.writelines(f"{whole}\n" for whole in self._lines)
            self._is_written = True
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        self.done.append(counts)

    def _take_up(self, identity: Identity) -> None:
        try:
            before, *episodes = map(json.loads, self._lines)
            earlier = {str(name): value for name, value in before.items()}
            self.done = [_counts(entry) for entry in episodes]
        except (ValueError, AttributeError, KeyError, TypeError):
            raise InputError(
                f"{self.path} holds something else than episodes; choose another folder for --out"
            ) from None
        changed = [
            name for name in {**identity, **earlier} if identity.get(name) != earlier.get(name)
        ]
        if changed:
            shown = [f"{n} was {earlier.get(n)!s}, is {identity.get(n)!s}" for n in changed]
            raise InputError(
                f"{self.path} holds episodes of another run ({listed(shown)}); "
                "choose another folder for --out, or remove that file"
            )


def _whole_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    return [line[:-1] for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _counts(entry: Mapping[str, Any]) -> PixelCounts:
    return PixelCounts(**{name: int(entry[name]) for name in PixelCounts.__annotations__})
