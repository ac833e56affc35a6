"""A `set -e` script of the stages, ended by signals: it never goes on, and leaves nothing behind.

The script's Python process waits at a named point (stop_points/sitecustomize.py); the signal goes
to that process, or to one of two ranks, and not to the shell.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, base, references, settings, targets, write_photos_dir

MODULE = "no_time_to_train.pl_wrapper.sam2matcher_pl:Sam2MatcherLightningModel"
STAGES = {
    "fill": (*references(), "--model.test_mode", "fill_memory", "--out_path", "filled.pth"),
    "postprocess": (
        *("--model.test_mode", "postprocess_memory"),
        *("--ckpt_path", "filled.pth", "--out_path", "memory.pth"),
    ),
    "vis": (*references(), "--model.test_mode", "vis_memory", "--ckpt_path", "memory.pth"),
    "test": (
        *targets(),
        *settings({"model_cfg.test.online_vis": True}),
        *("--ckpt_path", "memory.pth", "--export_result", "out.json"),
    ),
}
EVERYWHERE = ("import torch", "import jsonargparse", f"{MODULE}.configure_model")
FIRST_PICTURE = "no_time_to_train.pl_wrapper.prediction_visualizations:save_picture"
DRAWN = "results_analysis/photos/coins_bottom.png"
# By stage: the point, and what is written by then. The first fsync is that of the saved settings.
POINTS: dict[str, dict[str, tuple[str, ...]]] = {
    "fill": dict.fromkeys((*EVERYWHERE, f"{MODULE}.test_step #2", "os:fsync #2"), ()),
    "postprocess": dict.fromkeys((*EVERYWHERE, f"{MODULE}.test_step", "os:fsync #2"), ()),
    "vis": dict.fromkeys(
        (*EVERYWHERE, f"{MODULE}.test_step #2", f"{MODULE}.on_test_epoch_end"), ()
    ),
    "test": dict.fromkeys((*EVERYWHERE, f"{MODULE}.test_step #2", "os:fsync #2"), ())
    | {
        "no_time_to_train.commands.lightning_cli:evaluate": ("out.json",),
        f"{FIRST_PICTURE} #2": ("out.json", DRAWN),
    },
}
SLURM = {
    "SLURM_JOB_ID": "77",
    "SLURM_JOB_NAME": "stages",
    **{f"SLURM_{name}": "1" for name in ("NTASKS", "NTASKS_PER_NODE")},
    **{f"SLURM_{name}": "0" for name in ("PROCID", "LOCALID", "NODEID")},
}
ENVIRONMENT = {signal.SIGTERM: {}, signal.SIGINT: {}, signal.SIGUSR1: SLURM}
TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp")


@dataclass(frozen=True)
class WorkFolder:
    """A working folder with the results of an earlier run."""

    folder: Path
    before: dict[str, bytes] = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        """What the folder holds, without the photographs, the networks and the test's own files.

        Nor what is kept for --resume.
        """
        found = {}
        for path in self.folder.rglob("*"):
            name = str(path.relative_to(self.folder))
            others = ("photos/", "demo_models/", "test.", "work_dirs/test_pl/unfinished/")
            if path.is_file() and not name.startswith(others):
                found[name] = path.read_bytes()
        return found

    def keeps_images(self) -> bool:
        """Whether there is something for --resume."""
        return (self.folder / "work_dirs" / "test_pl" / "unfinished").exists()


@pytest.fixture
def work_folder(tmp_path: Path, memories: Callable[[Path], None]) -> WorkFolder:
    write_photos_dir(tmp_path)
    memories(tmp_path)
    for name in ("filled.pth", "memory.pth"):
        path = tmp_path / name
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    (tmp_path / "out.json").write_text("of the run before")
    (tmp_path / DRAWN).parent.mkdir(parents=True)
    (tmp_path / DRAWN).write_text("of the run before")
    return WorkFolder(tmp_path, WorkFolder(tmp_path).files())


def script(stage: str, point: str, more: tuple[str, ...]) -> str:
    """The stage and those after it; the process of the stage waits at the point."""
    lines = ["set -euo pipefail"]
    for name in list(STAGES)[list(STAGES).index(stage) :]:
        words = [sys.executable, str(ROOT / "run_lightening.py"), "test", *base(), *STAGES[name]]
        stop = f"STOP_AT={shlex.quote(point)} " if name == stage else ""
        lines.append(stop + shlex.join([*words, *more]))
        lines.append(f"touch after_{name}")
    return "\n".join(lines)


def interrupt(
    work_folder: WorkFolder,
    stage: str,
    point: str,
    number: signal.Signals,
    environment: Mapping[str, str],
    more: tuple[str, ...] = (),
    rank: int = 0,
) -> tuple[int, str]:
    """The exit code of the script, and what it wrote to stderr."""
    reached, err = work_folder.folder / "test.reached", work_folder.folder / "test.err"
    paths = f"{Path(__file__).parent / 'stop_points'}{os.pathsep}{ROOT}"
    running = subprocess.Popen(
        ["bash", "-c", script(stage, point, more)],
        cwd=work_folder.folder,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
        | {"STOP_FILE": str(reached), "STOP_RANK": str(rank)}
        | dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=err.open("w"),
    )
    while not reached.exists() and running.poll() is None:
        time.sleep(0.05)
    assert running.poll() is None, err.read_text()[-3000:]
    os.kill(int(reached.read_text()), number)
    return running.wait(60), err.read_text()


def processes_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder.resolve():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue  # it has ended meanwhile
    return found


def assert_ended(
    work_folder: WorkFolder, written: tuple[str, ...], code: int, err: str, expected: int
) -> None:
    assert code == expected, err[-3000:]
    sentences = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(sentences) == 1, err
    assert err.splitlines()[-1] == sentences[0]
    assert "Traceback" not in err
    after = work_folder.files()
    logs = {name for name in after if name.startswith("work_dirs/")}
    assert {Path(name).name for name in logs} <= {"config.yaml", "metrics.json"}
    assert after.keys() - logs == work_folder.before.keys()
    changed = {name for name, content in work_folder.before.items() if after[name] != content}
    assert changed == set(written)
    for name in written:
        assert name in sentences[0]
    if not written:
        assert "nothing" in sentences[0]
    assert ("--resume" in sentences[0]) == work_folder.keeps_images()
    assert_gone(work_folder)


def assert_gone(work_folder: WorkFolder) -> None:
    deadline = time.monotonic() + 30
    while processes_in(work_folder.folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_in(work_folder.folder) == []


def check(work_folder: WorkFolder, stage: str, point: str, number: signal.Signals) -> None:
    code, err = interrupt(work_folder, stage, point, number, ENVIRONMENT[number])
    assert_ended(work_folder, POINTS[stage][point], code, err, 128 + number)


@pytest.mark.parametrize(
    ("stage", "point", "number"),
    [
        ("fill", "import torch", signal.SIGINT),
        ("postprocess", "os:fsync #2", signal.SIGUSR1),
    ],
)
def test_script__stops_where_a_stage_is_ended(
    work_folder: WorkFolder, stage: str, point: str, number: signal.Signals
) -> None:
    check(work_folder, stage, point, number)


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", ENVIRONMENT)
@pytest.mark.parametrize(
    ("stage", "point"), [(stage, point) for stage, points in POINTS.items() for point in points]
)
def test_script__stops_where_a_stage_is_ended_at_any_point(
    work_folder: WorkFolder, stage: str, point: str, number: signal.Signals
) -> None:
    check(work_folder, stage, point, number)


def check_ranks(
    work_folder: WorkFolder, stage: str, point: str, number: signal.Signals, rank: int
) -> None:
    code, err = interrupt(work_folder, stage, point, number, {}, TWO, rank)
    assert_ended(work_folder, POINTS[stage].get(point, ()), code, err, 128 + number)


def test_script__stops_where_one_of_two_ranks_is_ended(work_folder: WorkFolder) -> None:
    check_ranks(work_folder, "test", f"{MODULE}.test_step", signal.SIGTERM, rank=1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("stage", "point"),
    [
        ("fill", f"{MODULE}.configure_model"),
        ("fill", "no_time_to_train.distributed:gather_everywhere"),
        ("vis", f"{MODULE}.test_step"),
        ("test", "import torch"),
        ("test", f"{MODULE}.test_step"),
    ],
)
def test_script__stops_where_one_of_two_ranks_is_ended_at_any_point(
    work_folder: WorkFolder, stage: str, point: str, number: signal.Signals, rank: int
) -> None:
    check_ranks(work_folder, stage, point, number, rank)


@pytest.mark.exhaustive
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("stage", ["fill", "test"])
def test_script__stops_where_one_of_two_ranks_is_killed(
    work_folder: WorkFolder, stage: str, rank: int
) -> None:
    point = f"{MODULE}.test_step"
    code, err = interrupt(work_folder, stage, point, signal.SIGKILL, {}, TWO, rank)
    assert code == 137
    if rank == 0:
        assert "Killed" in err, "the shell says so; nobody else can"
        assert "error: " not in err
        assert_gone(work_folder)
    else:
        assert "rank 1 was stopped by SIGKILL" in err
        assert_ended(work_folder, (), code, err, 137)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_tool__that_is_ended_keeps_the_file_of_before(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "set.pkl").write_text("of the run before")
    tool = ROOT / "no_time_to_train" / "dataset" / "coco_to_pkl.py"
    source = ROOT / "photos" / "annotations" / "custom_references_with_segm.json"
    paths = f"{Path(__file__).parent / 'stop_points'}{os.pathsep}{ROOT}"
    running = subprocess.Popen(
        [sys.executable, str(tool), str(source), "set.pkl", "1"],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": paths, "STOP_AT": "os:fsync", "STOP_FILE": str(tmp_path / "reached")},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "reached").exists() and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    expected = f"error: stopped by {number.name}; nothing was written\n"
    assert (running.returncode, err) == (128 + number, expected)
    assert {path.name for path in tmp_path.iterdir()} == {"set.pkl", "reached"}
    assert (tmp_path / "set.pkl").read_text() == "of the run before"
