"""Which inputs an output belongs to, kept in a json beside it.

Settings count as far as they can change an output; files count by their content. Images count by
the name of their folder alone: nobody waits for 20,000 of them to be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from no_time_to_train.commands.pipeline.step import Step
from no_time_to_train.files import atomic_write, sha256

WITHOUT_EFFECT = (
    *(
        f"--trainer.{name}"
        for name in ("devices", "accelerator", "num_nodes", "strategy", "logger", "callbacks")
    ),
    *("--trainer.enable_progress_bar", "--trainer.default_root_dir"),
    "--model.init_args.data_load_cfgs.",
    "--resume",
    "--device",
    "--visualize",
    "--plot",
    "--img-dir",
)
"""Beginnings of flags that say how or where a command runs, and not what comes of it."""


@dataclass(frozen=True)
class FileRecord:
    """A file as it was; one of the same size and time is not read again."""

    path: str
    size: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What the outputs of a step were made from."""

    settings: list[str]
    inputs: dict[str, FileRecord]
    """By what they are."""
    outputs: dict[str, FileRecord]
    """By name; while the step runs, those that it will replace."""
    complete: bool
    """Whether the step came to its end."""


class Checksums:
    """Of files, each of which is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def learn(self, records: Mapping[str, FileRecord]) -> None:
        """Take over what a manifest says."""
        for record in records.values():
            self._known[record.path, record.size, record.modified_ns] = record.sha256

    def record(self, path: Path) -> FileRecord | None:
        """A file as it is now; None where there is no such file."""
        if not path.is_file():
            return None
        name, status = str(path.resolve()), path.stat()
        key = name, status.st_size, status.st_mtime_ns
        if key not in self._known:
            self._known[key] = sha256(path)
        return FileRecord(*key, self._known[key])

    def records(self, files: Mapping[str, Path]) -> dict[str, FileRecord]:
        """Those that exist."""
        found = {what: self.record(path) for what, path in files.items()}
        return {what: record for what, record in found.items() if record is not None}


def settings_of_step(step: Step) -> list[str]:
    """The words of its command that can change what comes of it, without the names of its files."""
    files = {str(path) for path in (*step.inputs.values(), *step.outputs)}
    script = next(i for i, word in enumerate(step.words) if word.endswith(".py"))
    name = Path(step.words[script]).name
    kept, flag = [name], ""
    for word in step.words[script + 1 :]:
        flag = word if word.startswith("--") else flag
        if not flag.startswith(WITHOUT_EFFECT + step.without_effect) and word not in files:
            kept.append(word)
    return kept


def manifest_of(output: Path) -> Path:
    """Beside the first of a step's outputs."""
    return output.with_name(f".{output.name}.manifest.json")


def read_manifest(step: Step) -> Manifest | None:
    """What is known about the outputs of a step; None where that is nothing, or damaged."""
    try:
        content = json.loads(manifest_of(step.outputs[0]).read_text(encoding="utf-8"))
        return Manifest(
            [str(word) for word in content["settings"]],
            _records(content["inputs"]),
            _records(content["outputs"]),
            content["complete"] is True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _records(content: Any) -> dict[str, FileRecord]:
    return {str(name): FileRecord(**record) for name, record in content.items()}


def write_manifest(step: Step, checksums: Checksums, complete: bool) -> None:
    """Say what the outputs of a step are made from; before the step, and again when it is done."""
    outputs = {path.name: path for path in step.outputs}
    inputs = checksums.records(step.inputs)
    manifest = Manifest(settings_of_step(step), inputs, checksums.records(outputs), complete)
    with atomic_write(manifest_of(step.outputs[0]), is_result=False) as file:
        json.dump(asdict(manifest), file, indent=2)
        file.write("\n")
