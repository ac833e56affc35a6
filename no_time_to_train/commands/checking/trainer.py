"""Settings of Lightning's Trainer, as far as they can be judged without importing it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace

from no_time_to_train.commands.checking.findings import Findings, Setup
from no_time_to_train.commands.messages import explain, trainer_arguments
from no_time_to_train.commands.parsing import check_trainer
from no_time_to_train.config_files import load_config, safe_load
from no_time_to_train.pl_wrapper.batch_limits import check_batches
from no_time_to_train.pl_wrapper.journal import UNFINISHED_RUNS, unfinished_runs

DEFAULTS = {
    "precision": None,
    "devices": "auto",
    "num_nodes": 1,
    "enable_progress_bar": None,
    "callbacks": None,
}
GPUS = ("gpu", "cuda")
GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Of the drivers of NVIDIA, of WSL, of AMD."""
DEFAULT_FOLDER = Path("lightning_logs")


def trainer_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """What files and flags set of the trainer; later ones win.

    Args:
        arguments: Of `test`.

    Raises:
        InputError: A file cannot be read.
    """
    found: dict[str, Any] = {}
    for flag, value in _pairs(arguments):
        if flag in ("--config", "-c"):
            content = load_config(value).get("trainer")
            found |= content if isinstance(content, dict) else {}
        elif flag.startswith("--trainer."):
            name, _, rest = flag.removeprefix("--trainer.").rstrip("+").partition(".")
            if rest and isinstance(found.get(name), list):
                _set_argument(found[name], rest, _plain(value))
            elif not rest:
                found[name] = _plain(value)
    return found


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Flags with their values, whether a space or an equals sign is between them."""
    for each, after in zip(arguments, [*arguments[1:], ""], strict=True):
        flag, equals, value = each.partition("=")
        if each.startswith("-"):
            yield flag, value if equals else after


def _set_argument(classes: list[Any], name: str, value: Any) -> None:
    """Set an argument of the only class of a list, as jsonargparse does."""
    if len(classes) == 1 and isinstance(classes[0], dict):
        arguments = classes[0].get("init_args") or {}
        classes[0] = classes[0] | {"init_args": arguments | {name.split(".")[-1]: value}}


def _plain(text: str) -> Any:
    try:
        return safe_load(text)
    except yaml.YAMLError:
        return text


def check_trainer_settings(setup: Setup, findings: Findings) -> None:
    """Look for settings that do not exist, and for the devices."""
    known = set(trainer_arguments())
    for name in setup.trainer:
        if name not in known:
            findings.refuse(explain(f"Option 'trainer.{name}' is not accepted"))
    with findings.attempt():
        check_trainer(Namespace(DEFAULTS | setup.trainer))  # type: ignore[no-untyped-call]
    accelerator, devices = setup.trainer.get("accelerator", "auto"), devices_of(setup)
    if accelerator not in GPUS:
        return
    available = gpu_count()
    if available == 0:
        findings.refuse(
            f"trainer.accelerator is {accelerator}, and this machine has no GPU; add `--trainer."
            "accelerator cpu --trainer.devices 1` on a machine without a GPU"
        )
    elif available is not None and devices > available:
        findings.refuse(
            f"trainer.devices is {setup.trainer.get('devices')}, and there are {available} GPUs; "
            "set it to what there is"
        )


def check_limit(setup: Setup, findings: Findings, samples: int) -> None:
    """Refuse to run a part of what a stage needs whole."""
    fast, limit = setup.trainer.get("fast_dev_run"), setup.trainer.get("limit_test_batches")
    setting, limit = ("fast_dev_run", int(fast)) if fast else ("limit_test_batches", limit)
    if isinstance(limit, int | float) and samples:
        shown = f"--trainer.{setting} {setup.trainer[setting]}"
        at_once = devices_of(setup) * nodes_of(setup), setup.loading.batch_size
        with findings.attempt():
            check_batches(setup.mode, shown, limit, samples, at_once)


def gpu_count() -> int | None:
    """GPUs that a run would find; None where only the run can tell."""
    if not any(map(os.path.exists, GPU_FILES)):
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip()])
    files = [name for name in os.listdir("/dev") if re.fullmatch(r"nvidia\d+", name)]
    return len(files) or None


def devices_of(setup: Setup) -> int:
    """Processes on one machine, as far as the settings tell."""
    devices = setup.trainer.get("devices", "auto")
    if isinstance(devices, list):
        return len(devices)
    numbers = re.findall(r"\d+", str(devices))
    if "," in str(devices):
        return len(numbers)
    return max(1, int(numbers[0][:9])) if numbers and "-" not in str(devices) else 1


def nodes_of(setup: Setup) -> int:
    """Machines, as far as the settings tell."""
    nodes = str(setup.trainer.get("num_nodes", 1))
    return max(1, int(nodes)) if nodes.isdecimal() else 1


def tell_unfinished(setup: Setup, findings: Findings) -> None:
    """Tell of runs of this stage that ended before their time."""
    for run in unfinished_runs(_log_root(setup) / UNFINISHED_RUNS):
        if run.identity.stage == setup.mode.value:
            findings.tell(
                "unfinished",
                f"{run.count()} of {run.samples} in {run.folder}; --resume goes on with them if "
                "nothing has changed",
            )


def log_folder(setup: Setup) -> Path:
    """Where a run makes a folder of its own for its log; without a logger, where its log goes."""
    given = _logger_arguments(setup)
    return _log_root(setup) / str("" if given is None else given.get("name", DEFAULT_FOLDER))


def _log_root(setup: Setup) -> Path:
    given = _logger_arguments(setup) or {}
    return Path(str(given.get("save_dir") or setup.trainer.get("default_root_dir") or "."))


def _logger_arguments(setup: Setup) -> dict[str, Any] | None:
    """Those of the first logger; None without one."""
    logger = setup.trainer.get("logger", True)
    first = logger[0] if isinstance(logger, list) and logger else logger
    if isinstance(first, dict):
        return first.get("init_args") or {}
    return None if first is False else {}
