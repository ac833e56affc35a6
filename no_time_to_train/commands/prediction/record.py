"""run.json: what was run, and what came of it."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from no_time_to_train.commands.outputs import VERSIONS_OF, versions
from no_time_to_train.commands.prediction.plan import Plan
from no_time_to_train.commands.prediction.runner import Finished
from no_time_to_train.commands.provenance import git_state, machine, peak_memory_mb
from no_time_to_train.files import atomic_write, sha256
from no_time_to_train.pl_wrapper.prediction.identity import STAGE, all_settings
from no_time_to_train.pl_wrapper.prediction.job import MEMORY, RECORD
from no_time_to_train.pl_wrapper.prediction.tables import Totals


def write_record(plan: Plan, finished: Finished, totals: Totals) -> None:
    """Write it into the folder of the results.

    Args:
        plan: What was to be done.
        finished: What there is.
        totals: What was found.

    Raises:
        InputError: It cannot be written.
    """
    with atomic_write(plan.job.out / RECORD) as file:
        json.dump(
            _what_ran(plan, finished) | _what_was_found(plan, finished, totals), file, indent=2
        )
        file.write("\n")


def _what_ran(plan: Plan, finished: Finished) -> dict[str, Any]:
    return {
        "kind": STAGE,
        "command": sys.argv,
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": {part: round(value, 3) for part, value in finished.seconds.items()},
        "peak_memory_mb": peak_memory_mb(),
        "machine": machine(finished.device),
        "versions": {"python": platform.python_version()} | versions(VERSIONS_OF),
        "git": git_state(),
        "files": {**plan.identity.files, MEMORY: sha256(plan.job.out / MEMORY)},
        "settings": all_settings(plan.job),
        "identity": asdict(plan.identity),
    }


def _what_was_found(plan: Plan, finished: Finished, totals: Totals) -> dict[str, Any]:
    classes = zip(finished.class_names, finished.references, strict=True)
    return {
        "threshold": plan.job.threshold,
        "images_root": os.path.abspath(plan.job.root),
        "pictures": plan.kept.total,
        "finished_before": finished.earlier,
        "files_left_alone": plan.pictures.others.total(),
        "instances": totals.instances,
        "candidates": totals.candidates,
        "best_score": totals.best_score,
        "nothing_found": totals.without_instances,
        "classes": [
            {"name": name, "references": count, "instances": totals.by_class[label]}
            for label, (name, count) in enumerate(classes)
        ],
        "bad_pictures": totals.bad_pictures,
    }
