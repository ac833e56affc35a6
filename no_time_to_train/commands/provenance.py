"""Which code a run used, on what, and how much memory it took: for what is kept of it."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
GIT_SECONDS = 10
"""After which git is not waited for, on a slow file system say."""


def git_state(folder: Path = PACKAGE) -> dict[str, Any] | None:
    """The commit that the code is of; None where it is no checkout, or there is no git.

    Args:
        folder: With the code.

    Returns:
        `commit` in hexadecimal digits, and `changed_files`, how many tracked files differ from it.
    """
    # A package installed below another project is not of that project's commit.
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changed is None:
        return None
    return {"commit": commit.strip(), "changed_files": len(changed.splitlines())}


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def peak_memory_mb() -> dict[str, int]:
    """The most memory that this process has held so far.

    Returns:
        Megabytes of `process`, and of `gpu` where PyTorch has used one.
    """
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 10**6}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated() // 10**6
    return peak


def machine(device: str) -> dict[str, Any]:
    """What a run ran on.

    Args:
        device: As PyTorch has it, `cpu` or `cuda:0` say.

    Returns:
        `device`, `name` of the GPU or of the processor's architecture, `cpus`, and `system`.
    """
    name = platform.machine()
    if device.startswith("cuda"):
        import torch

        name = torch.cuda.get_device_name(device)
    return {
        "device": device,
        "name": name,
        "cpus": os.cpu_count(),
        "system": platform.platform(terse=True),
    }
