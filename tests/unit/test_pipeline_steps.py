"""When a step runs, when it is skipped, and what becomes of files that somebody else has made."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from no_time_to_train.commands.pipeline.runner import DryRunner, Runner, StepFailed
from no_time_to_train.commands.pipeline.step import Step
from no_time_to_train.errors import InputError

TOOL = """
import sys
from pathlib import Path
source, target = Path(sys.argv[1]), Path(sys.argv[2])
with open("calls", "a") as calls:
    calls.write(f"{target} {' '.join(sys.argv[3:])}\\n")
if "--fail" in sys.argv:
    sys.exit(7)
if "--idle" not in sys.argv:
    target.write_text(source.read_text() + "+")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an input and a tool that adds a plus sign to it."""
    (tmp_path / "tool.py").write_text(TOOL)
    (tmp_path / "input").write_text("a")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def step(source: str = "input", target: str = "output", *more: str, **options: object) -> Step:
    """One that makes a file out of another."""
    words = (sys.executable, "tool.py", source, target, *more)
    made = Step("add", words, {"the input": Path(source)}, (Path(target),))
    return replace(made, **options) if options else made  # type: ignore[arg-type]


def calls() -> list[str]:
    """The commands that have run so far: target and further arguments."""
    path = Path("calls")
    return [line.strip() for line in path.read_text().splitlines()] if path.exists() else []


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is said about the steps beside their commands."""
    said = [message for message in caplog.messages if message.startswith("# ")]
    return [message.partition(f": {sys.executable}")[0] for message in said]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Messages from now on."""
    caplog.set_level(logging.INFO)
    return caplog


def test_runner__a_step_whose_output_belongs_to_its_input_is_skipped(
    log: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        Runner().run([step()])
    assert calls() == ["output"]
    assert Path("output").read_text() == "a+"
    assert reasons(log) == ["# add: skipped, output is there and belongs to its inputs"] * 2


def test_runner__a_step_whose_input_was_made_anew_alike_is_skipped() -> None:
    chain = [step("input", "middle"), step("middle", "output")]
    Runner().run(chain)
    Path("middle").unlink()
    Runner().run(chain)
    assert calls() == ["middle", "output", "middle"]


CHANGES: Mapping[str, tuple[Step, str]] = {
    "input": (step(), "# add: the input input has changed"),
    "setting": (step("input", "output", "--level", "5"), "its settings changed: now 5"),
    "missing": (step(), "# add: output is missing"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_runner__a_change_is_named_and_the_step_runs_again(
    what: str, log: pytest.LogCaptureFixture
) -> None:
    later, reason = CHANGES[what]
    Runner().run([step("input", "output", "--level", "4") if what == "setting" else step()])
    if what == "input":
        Path("input").write_text("b")
    if what == "missing":
        Path("output").unlink()
    Runner().run([later])
    assert len(calls()) == 2
    assert reasons(log)[0].endswith(reason)
    assert Path("output").read_text() == ("b+" if what == "input" else "a+")
    assert sorted(os.listdir()) == [".output.manifest.json", "calls", "input", "output", "tool.py"]


def test_runner__the_same_content_under_another_name_changes_nothing() -> None:
    Runner().run([step()])
    Path("input").rename("elsewhere")
    Runner().run([step("elsewhere")])
    assert calls() == ["output"]


def test_runner__devices_and_image_workers_change_nothing() -> None:
    on_cpu = ("--trainer.accelerator", "cpu", "--trainer.devices", "1")
    Runner().run([step("input", "output", "--trainer.devices", "4", "--seed", "3")])
    workers = ("--model.init_args.data_load_cfgs.workers", "0")
    Runner().run([step("input", "output", *on_cpu, "--seed", "3", *workers)])
    assert len(calls()) == 1
    Runner().run([step("input", "output", *on_cpu, "--seed", "4")])
    assert len(calls()) == 2
    limited = ("--trainer.limit_test_batches", "2")
    Runner().run([step("input", "output", *on_cpu, "--seed", "4", *limited)])
    assert len(calls()) == 3


def test_runner__flags_of_another_stage_change_nothing() -> None:
    fill = {"without_effect": ("--on_bad_image",)}
    Runner().run([step("input", "output", **fill)])
    Runner().run([step("input", "output", "--on_bad_image", "skip", **fill)])
    assert len(calls()) == 1


@pytest.mark.parametrize("had_manifest", [True, False])
def test_runner__an_output_of_somebody_else_is_kept_under_another_name(
    had_manifest: bool, log: pytest.LogCaptureFixture
) -> None:
    if had_manifest:
        Runner().run([step()])
    for text in ("first", "second"):
        Path("output").write_text(text)
        Runner().run([step()])
        if not had_manifest:
            Path(".output.manifest.json").unlink()
    assert Path("output").read_text() == "a+"
    assert [Path(f"output.kept{number}").read_text() for number in (1, 2)] == ["first", "second"]
    how = "was changed since it was made" if had_manifest else "was not made by this command"
    assert reasons(log)[:2] == [f"# add: output {how}", "# output is kept as output.kept1"]


@pytest.mark.parametrize("had_manifest", [True, False])
def test_runner__files_of_a_data_set_that_somebody_else_has_made_are_used(
    had_manifest: bool, log: pytest.LogCaptureFixture
) -> None:
    if had_manifest:
        Runner().run([step(keeps_foreign=True)])
    before = calls()
    Path("output").write_text("corrected by hand")
    Path("input").write_text("b")
    Runner().run([step(keeps_foreign=True)])
    assert calls() == before
    assert Path("output").read_text() == "corrected by hand"
    assert reasons(log)[-1].endswith(" and is used as it is")


def test_runner__a_failure_is_the_last_step_and_its_exit_code_is_kept() -> None:
    with pytest.raises(StepFailed, match="add ended with exit code 7") as failed:
        Runner().run([step("input", "one"), step("input", "two", "--fail"), step("input", "three")])
    assert failed.value.code == 7
    assert calls() == ["one", "two --fail"]
    with pytest.raises(StepFailed):
        Runner().run([step("input", "one"), step("input", "two", "--fail"), step("input", "three")])
    assert calls() == ["one", "two --fail", "two --fail"]


def test_runner__a_command_that_writes_nothing_has_failed(log: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StepFailed) as failed:
        Runner().run([step("input", "output", "--idle")])
    assert failed.value.code == 1
    assert log.messages[-1] == "add succeeded without writing output"


def test_runner__an_interpreter_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match=r"^nowhere/python cannot be started \(No such file"):
        Runner().run([step(words=("nowhere/python", "tool.py"))])


def test_runner__what_was_interrupted_goes_on_unless_something_has_changed() -> None:
    arguments = ("--fail",)
    with pytest.raises(StepFailed):
        Runner().run([step("input", "output", *arguments, resumes=True)])
    with pytest.raises(StepFailed):
        Runner().run([step("input", "output", *arguments, resumes=True)])
    assert calls() == ["output --fail", "output --fail --resume"]
    Path("input").write_text("b")
    with pytest.raises(StepFailed):
        Runner().run([step("input", "output", *arguments, resumes=True)])
    assert calls()[2:] == ["output --fail"]


def test_runner__a_damaged_manifest_is_none() -> None:
    Runner().run([step()])
    Path("output").write_text("by hand")
    Path(".output.manifest.json").write_text('{"settings": 3')
    Runner().run([step()])
    assert len(calls()) == 2
    assert Path("output.kept1").read_text() == "by hand"


@pytest.mark.parametrize("text", ["by hand", "a+"])
def test_runner__what_appears_after_a_failure_is_kept_unless_it_is_made_again_alike(
    text: str,
) -> None:
    with pytest.raises(StepFailed):
        Runner().run([step("input", "output", "--fail")])
    Path("output").write_text(text)
    Runner().run([step()])
    assert Path("output").read_text() == "a+"
    kept = {"by hand": ["output.kept1"], "a+": []}[text]
    assert [name for name in os.listdir() if name.startswith("output.")] == kept


@pytest.mark.parametrize("keeps_foreign", [True, False])
def test_runner__an_older_output_is_replaced_also_after_a_failure(keeps_foreign: bool) -> None:
    Runner().run([step(keeps_foreign=keeps_foreign)])
    Path("input").write_text("b")
    with pytest.raises(StepFailed):
        Runner().run([step("input", "output", "--fail", keeps_foreign=keeps_foreign)])
    assert Path("output").read_text() == "a+"
    Runner().run([step(keeps_foreign=keeps_foreign)])
    assert Path("output").read_text() == "b+"
    assert not Path("output.kept1").exists()


def test_dry_runner__says_what_would_run_and_runs_nothing(log: pytest.LogCaptureFixture) -> None:
    chain = [step("input", "middle"), step("middle", "output"), step("input", "other")]
    Runner().run(chain)
    Path("middle").write_text("changed")
    log.clear()
    DryRunner().run(chain)
    assert len(calls()) == 3
    assert Path("middle").read_text() == "changed"
    assert reasons(log) == [
        "# add: middle was changed since it was made",
        "# add: the input middle will be made anew",
        "# add: skipped, other is there and belongs to its inputs",
    ]
    runnable = [message for message in log.messages if not message.startswith("#")]
    assert [message.split()[2:] for message in runnable] == [
        ["input", "middle"],
        ["middle", "output"],
    ]
