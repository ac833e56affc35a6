"""Which code a run used: the commit of a checkout, and nothing about a project around it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from no_time_to_train.commands.provenance import git_state, machine, peak_memory_mb


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_git_state__is_the_commit_and_the_files_that_differ(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git(tmp_path, "init", "--quiet")
    assert git_state(package) is None  # not tracked: another project around the package
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    (package / "untracked").write_text("")
    assert git_state(package) == {"commit": commit, "changed_files": 0}
    (package / "__init__.py").write_text("changed = True")
    assert git_state(package) == {"commit": commit, "changed_files": 1}


def test_git_state__is_none_where_there_is_no_checkout(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("")
    assert git_state(tmp_path) is None
    assert git_state(tmp_path / "nowhere") is None


def test_peak_memory__is_in_megabytes() -> None:
    assert 10 < peak_memory_mb()["process"] < 100_000


def test_machine__names_the_device() -> None:
    assert machine("cpu")["device"] == "cpu"
