"""How long a stage will take, from what was measured before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from no_time_to_train.coco.json_text import load_json
from no_time_to_train.commands.checking.data import Data
from no_time_to_train.commands.checking.findings import Findings, Setup
from no_time_to_train.commands.checking.trainer import devices_of, log_folder, nodes_of
from no_time_to_train.commands.costs import Costs, Part, stage_parts, told
from no_time_to_train.config import TestMode
from no_time_to_train.errors import InputError, naming
from no_time_to_train.files import check_regular_file

UNKNOWN = (
    "not known: measure it with `python scripts/benchmark.py --plan --out FILE.json` for these "
    "networks, and give `--costs FILE.json`"
)


def tell_duration(setup: Setup, findings: Findings, data: Data, costs_file: Path | None) -> None:
    """Reckon the time of the stage, from a file of costs or from the newest run like it."""
    devices = devices_of(setup) * nodes_of(setup)
    with findings.attempt():
        if costs_file is not None:
            costs, source = _read_costs(costs_file, len(data.categories))
            parts = stage_parts(setup.mode, data.samples, costs)
        elif earlier := _newest_run(setup):
            parts, source = list(_parts_like(earlier[1], data.samples)), str(earlier[0])
        else:
            findings.tell("time", UNKNOWN)
            return
        on = f"{devices} device{'s' if devices > 1 else ''}"
        findings.tell("time", f"about {told(parts, devices)} on {on}, as measured in {source}")


def _read_costs(path: Path, classes: int) -> tuple[Costs, str]:
    """The costs of the job with the most similar number of classes, and what they are of."""
    check_regular_file(path, "--costs")
    with naming(f"--costs {path}"):
        content = load_json(path)
        try:
            jobs = list(content["costs"].values())
            job = min(jobs, key=lambda each: abs(each["job"]["classes"] - classes))
            costs = Costs(**{each.name: float(job[each.name]) for each in fields(Costs)})
            settings = content["settings"]
            networks = f"{settings['sam2']} and {settings['encoder']} on {settings['device']}"
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(
                "it holds no costs; make it with `scripts/benchmark.py --plan --out FILE.json`"
            ) from None
    return costs, f"{path} with {networks}"


def _newest_run(setup: Setup) -> tuple[Path, Any] | None:
    """The metrics of the last test with these networks on such a device."""
    if setup.mode is not TestMode.test:
        return None
    for path in sorted(log_folder(setup).glob("*/metrics.json"), key=_age):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            alike = _networks(content["config"]) == _own_networks(setup)
            if alike and content["seconds_per_image"] is not None:  # not all of it resumed
                return path, content
        except (OSError, ValueError, LookupError, TypeError):
            continue  # of another version, or unfinished
    return None


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0


def _networks(config: Any) -> list[Any]:
    model = config["model"]["init_args"]["model_cfg"]
    return [
        model["sam2_cfg_file"],
        model["encoder_cfg"]["name"],
        model["encoder_cfg"]["img_size"],
        model["sam2_infer_cfgs"]["points_per_side"],
        model["compute_cfg"]["precision"],
        config["trainer"]["accelerator"],
    ]


def _own_networks(setup: Setup) -> list[Any]:
    model = setup.model
    return [
        model.sam2_cfg_file,
        model.encoder_cfg.name,
        model.encoder_cfg.img_size,
        model.sam2_infer_cfgs.points_per_side,
        model.compute_cfg.precision,
        setup.trainer.get("accelerator", "auto"),
    ]


def _parts_like(metrics: Any, samples: int) -> Iterator[Part]:
    seconds, images = metrics["seconds"], metrics["images"]
    yield Part("start", seconds["prepare"])
    yield Part("images", samples * metrics["seconds_per_image"], pieces=samples)
    yield Part("evaluation", samples * seconds["evaluate"] / images)
