"""Whether a step has to run: its outputs are missing, or belong to other inputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from no_time_to_train.commands.pipeline.manifest import (
    Checksums,
    FileRecord,
    Manifest,
    read_manifest,
    settings_of_step,
)
from no_time_to_train.commands.pipeline.step import Step


@dataclass(frozen=True)
class Decision:
    """What to do about a step."""

    runs: bool
    reason: str = ""
    """Half a sentence for the person who watches; nothing where there is nothing to explain."""
    set_aside: tuple[Path, ...] = ()
    """Outputs that somebody else has made or changed; they are renamed before the step runs."""
    resumes: bool = False
    """Whether it goes on where it was interrupted."""


def decide(step: Step, checksums: Checksums, to_be_made: Collection[Path] = ()) -> Decision:
    """Compare a step with what is there.

    Args:
        step: Whose manifest is read.
        checksums: Of files; takes over those of the manifest.
        to_be_made: Inputs that an earlier step will have changed by then, in a dry run.
    """
    manifest = read_manifest(step)
    if manifest is not None:
        checksums.learn(manifest.inputs)
        checksums.learn(manifest.outputs)
    missing = [path for path in step.outputs if not path.exists()]
    foreign = _foreign(step, manifest, checksums)
    is_used = bool(foreign and step.keeps_foreign and not missing)
    if manifest is not None and not manifest.complete and not is_used:
        same = _difference(step, manifest, checksums, to_be_made) is None
        resumes = same and step.resumes
        return Decision(True, "it has not come to its end", foreign, resumes)
    if missing:
        return Decision(True, f"{missing[0]} is missing" if manifest else "", foreign)
    if manifest is None or foreign:
        return _of_foreign(step, manifest, foreign)
    reason = _difference(step, manifest, checksums, to_be_made)
    return Decision(reason is not None, reason or "")


def _of_foreign(step: Step, manifest: Manifest | None, foreign: tuple[Path, ...]) -> Decision:
    how = "was not made by this command" if manifest is None else "was changed since it was made"
    if step.keeps_foreign:
        return Decision(False, f"{foreign[0]} {how} and is used as it is")
    return Decision(True, f"{foreign[0]} {how}", foreign)


def _foreign(step: Step, manifest: Manifest | None, checksums: Checksums) -> tuple[Path, ...]:
    """The outputs that are not as a manifest says: as made, or as they were before."""
    there = [path for path in step.outputs if path.is_file()]
    if manifest is None:
        return tuple(there) or tuple(path for path in step.outputs if path.exists())
    return tuple(
        path
        for path in there
        if not _is_same(manifest.outputs.get(path.name), checksums.record(path))
    )


def _difference(
    step: Step, manifest: Manifest, checksums: Checksums, to_be_made: Collection[Path]
) -> str | None:
    """What has changed since the outputs were made."""
    settings = settings_of_step(step)
    if settings != manifest.settings:
        return _changed_words(manifest.settings, settings)
    for what, path in step.inputs.items():
        if path in to_be_made:
            return f"{what} {path} will be made anew"
        if not _is_same(manifest.inputs.get(what), checksums.record(path)):
            return f"{what} {path} has changed"
    return None


def _changed_words(before: Sequence[str], now: Sequence[str]) -> str:
    added = [word for word in now if word not in before]
    dropped = [word for word in before if word not in now]
    if added:
        return f"its settings changed: now {' '.join(added)}"
    return f"its settings changed: no longer {' '.join(dropped)}" if dropped else "their order"


def _is_same(before: FileRecord | None, now: FileRecord | None) -> bool:
    """Also where there was no such file, and still is none."""
    return (before and before.sha256) == (now and now.sha256)
