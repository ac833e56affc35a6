"""Files that appear whole or not at all, and what is left of those that never did."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from no_time_to_train.errors import InputError
from no_time_to_train.files import StagingFolder, atomic_write, remove_leftovers
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import write_memory
from no_time_to_train.memory.references import summarise
from no_time_to_train.output_checks import prepare_outputs
from no_time_to_train.visualization.predictions import save_picture


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_atomic_write__an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as file:
        file.write("new")
        raise ZeroDivisionError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("out", "old")]


def test_atomic_write__follows_a_link_into_another_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("below/target")
    with atomic_write(tmp_path / "link") as file:
        (unfinished,) = (tmp_path / "below").iterdir()  # where a rename is a single step
        file.write("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "below" / "target").read_text() == "new"
    assert not unfinished.exists()


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127])
def test_atomic_write__takes_the_longest_name(tmp_path: Path, name: str) -> None:
    with atomic_write(tmp_path / name) as file:
        file.write("new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["n" * 256, "a\0b", "file/below"])
def test_atomic_write__a_name_that_cannot_be_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot"), atomic_write(tmp_path / name):
        pytest.fail("opened")


def write_text(path: Path) -> None:
    with atomic_write(path) as file:
        file.write("x" * 50_000)


def write_tensors(path: Path) -> None:
    memory = Memory()
    memory.add(0, 0, summarise(torch.zeros(1, 20_000), torch.ones(1), max_patches=1))
    write_memory(path, memory)


def write_picture(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    save_picture(path, noise)


@pytest.mark.parametrize("write", [write_text, write_tensors, write_picture])
@pytest.mark.parametrize("there", [True, False])
def test_write__beyond_the_size_limit_keeps_what_was_there(
    tmp_path: Path, write, there: bool
) -> None:
    path = tmp_path / "out.png"
    if there:
        path.write_text("old")
    with largest_file(10_000), pytest.raises(InputError, match=r"out\.png \(File too large\)"):
        write(path)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"] * there


ON_A_FULL_DISK = """
set -e
mount -t tmpfs -o size=64k none "$1"
echo old > "$1/out.png"
"$2" -c "
import subprocess, sys
from pathlib import Path
from no_time_to_train.errors import InputError
from no_time_to_train.output_checks import prepare_outputs
from tests.unit import test_files
for write in (test_files.write_text, test_files.write_tensors, test_files.write_picture):
    try:
        for number in range(9):
            write(Path(sys.argv[1], f'{number}.png'))
        write(Path(sys.argv[1], 'out.png'))
    except InputError as error:
        print(error)
    for path in Path(sys.argv[1]).glob('[0-9].png'):
        path.unlink()
subprocess.run(['mount', '-o', 'remount,ro', sys.argv[1]], check=True)
for name in ('out.png', 'below/new.png'):
    try:
        prepare_outputs({'--out_path': Path(sys.argv[1], name)}, {})
    except InputError as error:
        print(error)
" "$1"
ls -A "$1"
cat "$1/out.png"
"""


def test_write__on_a_full_or_read_only_disk_keeps_what_was_there(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("a small file system of one's own needs the right to mount one")
    command = ["unshare", "-m", "bash", "-c", ON_A_FULL_DISK, "bash", tmp_path, sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    lines = done.stdout.splitlines()
    assert len(lines) == 7, done.stderr
    for line in lines[:3]:
        assert "No space left on device" in line and "what was there is unchanged" in line
    for line in lines[3:5]:
        assert line.startswith("--out_path ") and "is write-protected" in line
    assert lines[5:] == ["out.png", "old"]


WRITE_AND_DIE = """
import os, sys
from pathlib import Path
from no_time_to_train.files import StagingFolder, atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    file.write("half")
    file.flush()
    staging = StagingFolder(Path(sys.argv[1]).with_name("pictures"))
    (staging.path / "0.png").write_text("half")
    print("ready", flush=True)
    sys.stdin.read() and os.kill(os.getpid(), 9)
"""


def test_leftovers__of_killed_runs_go_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_DIE, tmp_path / "out"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert writer.stdout and writer.stdout.readline() == b"ready\n"
    (tmp_path / ".mine.unfinished").write_text("not one of ours")
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == 3
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    writer.communicate(b"die")
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    prepare_outputs({"--out_path": tmp_path / "other"}, {})
    assert [path.name for path in tmp_path.iterdir()] == [".mine.unfinished"]


def test_leftovers__whose_process_number_is_in_use_again_go_all_the_same(tmp_path: Path) -> None:
    (tmp_path / f".out.json.{os.getpid()}.unfinished").write_text("half")
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_leftovers__stay_where_locks_do_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".out.json.1.unfinished").write_text("half")
    remove_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    write_text(tmp_path / "out.json")
    assert (tmp_path / "out.json").stat().st_size == 50_000


@pytest.mark.parametrize("name", [".a.1.unfinished", ".drawing_1_2"])
def test_leftovers__a_named_pipe_makes_nobody_wait(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    remove_leftovers(tmp_path)
    assert (tmp_path / name).exists()


def test_staging_folder__publishes_over_old_files_and_through_links(tmp_path: Path) -> None:
    target = tmp_path / "pictures"
    target.mkdir()
    (target / "a").write_text("old")
    (target / "b").symlink_to("../elsewhere")
    staging = StagingFolder(beside=target)
    for name in "ab":
        (staging.path / name).write_text("new")
    staging.publish()
    assert (target / "a").read_text() == (tmp_path / "elsewhere").read_text() == "new"
    assert (target / "b").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "pictures"]
    assert sorted(path.name for path in target.iterdir()) == ["a", "b"]
