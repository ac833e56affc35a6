"""Run the steps that have to run, each as a process of its own."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from no_time_to_train import stepwise, termination
from no_time_to_train.commands.pipeline.command_lines import ROOT
from no_time_to_train.commands.pipeline.decision import Decision, decide
from no_time_to_train.commands.pipeline.manifest import Checksums, write_manifest
from no_time_to_train.commands.pipeline.step import Step
from no_time_to_train.errors import InputError

POLL_SECONDS = 0.1
STOP_SECONDS = 12.0
"""After which a command that finishes what is at hand is ended at once."""

logger = logging.getLogger(__name__)


class StepFailed(Exception):
    """A command of a step has failed, and has said why."""

    def __init__(self, step: Step, code: int) -> None:
        super().__init__(f"{step.title} ended with exit code {code}")
        self.code = code


class DryRunner:
    """Prints the commands; those that would be skipped are comments."""

    is_dry = True

    def __init__(self) -> None:
        self._checksums = Checksums()
        self._to_be_made: set[Path] = set()

    def run(self, steps: Iterable[Step]) -> None:
        """Print them in order."""
        for step in steps:
            decision = decide(step, self._checksums, self._to_be_made)
            announce(step, decision)
            if decision.runs:
                self._to_be_made.update(step.outputs)

    def call(self, words: Sequence[str]) -> None:
        """Print a command that makes no files."""
        logger.info("%s", shlex.join(words))


class Runner:
    """Runs the commands, after printing each of them."""

    is_dry = False

    def __init__(self) -> None:
        self._checksums = Checksums()
        path = os.environ.get("PYTHONPATH")
        places = [str(ROOT), *([path] if path else [])]  # the code that these commands lie next to
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}

    def run(self, steps: Iterable[Step]) -> None:
        """Run them in order.

        Raises:
            StepFailed: One has failed; those behind it have not run.
            InputError: A command cannot be started.
        """
        for step in steps:
            decision = decide(step, self._checksums)
            announce(step, decision)
            if decision.runs:
                self._run(step, decision)

    def _run(self, step: Step, decision: Decision) -> None:
        kept = {path: _set_aside(path) for path in decision.set_aside}
        for path, place in kept.items():
            logger.info("# %s is kept as %s", path, place)
        write_manifest(step, self._checksums, complete=False)
        code = self._exit_code(command(step, decision)) or _missing(step)
        if code == 0:
            write_manifest(step, self._checksums, complete=True)
            self._remove_same(kept)
            termination.name_written(step.outputs)
        _heed_signal(code)
        if code:
            raise StepFailed(step, code)

    def _remove_same(self, kept: Mapping[Path, Path]) -> None:
        """Remove what was kept and then made again alike, as where a run was killed just then."""
        for path, place in kept.items():
            made, before = self._checksums.record(path), self._checksums.record(place)
            if made and before and made.sha256 == before.sha256:
                place.unlink()
                logger.info("# %s is the same as before, and %s is removed", path, place)

    def call(self, words: Sequence[str]) -> None:
        """Run a command that makes no files; it says itself what is wrong."""
        logger.info("%s", shlex.join(words))
        _heed_signal(self._exit_code(words))

    def _exit_code(self, words: Sequence[str]) -> int:
        stepwise.begin()  # from now on a signal leaves time to end the command
        try:
            process = subprocess.Popen(words, env=self._environment)
        except OSError as error:
            stepwise.end()
            raise InputError(
                f"{words[0]} cannot be started ({error.strerror}); name the interpreter in "
                "the environment variable PYTHON"
            ) from None
        code = _await(process)
        return 128 - code if code < 0 else code


def _await(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a command, to which a signal is passed on, and again if it takes long."""
    asked = 0
    since = time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(POLL_SECONDS)
        if not stepwise.stop_wanted():
            since = time.monotonic()
        elif time.monotonic() - since >= asked * STOP_SECONDS:
            process.terminate()
            asked += 1


def _heed_signal(code: int) -> None:
    """Leave the end to a signal, if one has come.

    Args:
        code: Of a command that has ended; perhaps because of a signal that is still to come here.
    """
    if code > 128:
        time.sleep(2 * POLL_SECONDS)
    if stepwise.stop_wanted():
        stepwise.stop_here()
    stepwise.end()


def _missing(step: Step) -> int:
    """1 where a command has succeeded without making what it should have."""
    missing = [path for path in step.outputs if not path.exists()]
    for path in missing:
        logger.error("%s succeeded without writing %s", step.title, path)
    return int(bool(missing))


def command(step: Step, decision: Decision) -> tuple[str, ...]:
    """The words of a step's command as it will run."""
    return (*step.words, "--resume") if decision.resumes else step.words


def announce(step: Step, decision: Decision) -> None:
    """Print the command, and why it runs or does not; what is printed is a shell script."""
    line = shlex.join(command(step, decision))
    if not decision.runs:
        why = decision.reason or f"{step.outputs[0]} is there and belongs to its inputs"
        logger.info("# %s: skipped, %s: %s", step.title, why, line)
        return
    if decision.reason:
        logger.info("# %s: %s", step.title, decision.reason)
    logger.info("%s", line)


def _set_aside(path: Path) -> Path:
    """Give a file another name, so that it is not replaced."""
    number = 1
    while (place := path.with_name(f"{path.name}.kept{number}")).exists():
        number += 1
    path.rename(place)
    return place
