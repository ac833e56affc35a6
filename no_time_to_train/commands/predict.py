"""`predict`: from marked examples, or a memory, and pictures to masks, in one process."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from no_time_to_train import stepwise, termination
from no_time_to_train.commands.prediction.arguments import parse
from no_time_to_train.commands.prediction.plan import Plan, make_job, make_plan
from no_time_to_train.memory.description import describe_memory
from no_time_to_train.pl_wrapper.prediction.job import MEMORY, Job
from no_time_to_train.pl_wrapper.prediction.run_log import RunLog

if TYPE_CHECKING:  # it takes seconds to import
    from no_time_to_train.commands.prediction.runner import World
    from no_time_to_train.models.segmenter import Segmenter
    from no_time_to_train.pl_wrapper.prediction.tables import Totals

BAD_PICTURES = 3
"""Exit code where some pictures could not be read."""
MAX_SHOWN = 3
"""Bad pictures that the message at the end names."""

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    """Find and segment every instance in pictures.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: Something that the user gave cannot work.
        SystemExit: With exit code 3, where some pictures could not be read.
    """
    options = parse(arguments)
    if not termination.is_first_rank():
        _run_as_other(options)
        return
    with RunLog() as log:
        plan = make_plan(options)
        if plan.is_done and options.devices * options.num_nodes == 1:  # others would wait
            logger.info("Nothing is left to do in %s", plan.job.out)
            return
        totals = _run_as_first(plan, options, log)
    if totals.bad_pictures:
        sys.stderr.write(_about_bad(plan, totals))
        sys.exit(BAD_PICTURES)


def _run_as_first(plan: Plan, options: Namespace, log: RunLog) -> Totals:
    from no_time_to_train.commands.prediction.record import write_record
    from no_time_to_train.commands.prediction.runner import predict_as_first
    from no_time_to_train.pl_wrapper.prediction.networks import fill_memory, load_memory
    from no_time_to_train.pl_wrapper.prediction.tables import totals_of
    from no_time_to_train.reports import write_report

    def fill(segmenter: Segmenter) -> None:
        if plan.out.has_memory:
            load_memory(segmenter, plan.job.out / MEMORY)
        elif plan.references is not None:
            fill_memory(segmenter, plan.references, plan.job.settings)
        else:
            load_memory(segmenter, options.memory)

    finished = predict_as_first(plan, _world(options, plan.job), fill, log)
    totals = totals_of(plan.kept)
    write_record(plan, finished, totals)
    if totals.pictures:
        write_report(plan.job.out)
    finished.run.remove()
    stepwise.describe_kept(None)
    logger.info("%s", _summary(plan, totals))
    return totals


def _run_as_other(options: Namespace) -> None:
    from no_time_to_train.commands.prediction.runner import predict_as_other

    memory = describe_memory(options.memory) if options.memory else None
    job = make_job(options, memory)
    predict_as_other(job, _world(options, job))


def _world(options: Namespace, job: Job) -> World:
    from no_time_to_train.commands.prediction.runner import World

    device = options.device or job.settings.device
    return World(device, options.devices, options.num_nodes)


def _summary(plan: Plan, totals: Totals) -> str:
    text = f"{totals.instances} instances in {totals.pictures} pictures, in {plan.job.out}"
    if totals.instances or not totals.candidates:
        return text
    return (
        f"{text}: none of {totals.candidates} candidates reaches {plan.job.threshold:g}, the best "
        f"has {totals.best_score:.2f}; --threshold takes another"
    )


def _about_bad(plan: Plan, totals: Totals) -> str:
    bad = totals.bad_pictures
    first = "; ".join(each["reason"] for each in bad[:MAX_SHOWN])
    rest = f"; and {len(bad) - MAX_SHOWN} more" if len(bad) > MAX_SHOWN else ""
    listed = f"all are listed in {plan.job.out}/run.json"
    return f"{len(bad)} of {plan.kept.total} pictures were left out: {first}{rest}; {listed}\n"
