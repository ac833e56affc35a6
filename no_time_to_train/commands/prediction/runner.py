"""The run of a plan: networks, memory, the loop over pictures, and what comes after it."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException

from no_time_to_train.api.arguments import usable_device
from no_time_to_train.commands.prediction.plan import Plan
from no_time_to_train.distributed import end_ranks_together
from no_time_to_train.errors import InputError
from no_time_to_train.files import sha256
from no_time_to_train.memory.checkpoint import write_memory
from no_time_to_train.memory.description import describe_memory
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.pl_wrapper.journal import UnfinishedRun
from no_time_to_train.pl_wrapper.prediction.job import (
    MEMORY,
    MEMORY_CHECKSUM,
    UNFINISHED,
    Job,
    Table,
    tables_of,
)
from no_time_to_train.pl_wrapper.prediction.keeping import how_to_go_on
from no_time_to_train.pl_wrapper.prediction.module import PicturePrediction, write_remaining
from no_time_to_train.pl_wrapper.prediction.networks import build_segmenter
from no_time_to_train.pl_wrapper.prediction.picture_files import build_exporters
from no_time_to_train.pl_wrapper.prediction.progress import ProgressMonitor
from no_time_to_train.pl_wrapper.prediction.run_log import RunLog
from no_time_to_train.pl_wrapper.prediction.tables import TableResults, TableWriter

LOG = "predict.log"
"""In the folder of the results."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class World:
    """The processes of a run."""

    device: str | None
    """Such as cpu or cuda:1; by default the GPU where there is one."""
    devices: int
    num_nodes: int


@dataclass(frozen=True)
class Finished:
    """What there is when all pictures are done."""

    run: UnfinishedRun
    class_names: list[str]
    references: list[int]
    """By label."""
    seconds: dict[str, float]
    """By part of the run."""
    device: str
    """Of this rank."""
    earlier: int
    """Pictures that earlier runs had finished."""


def predict_as_first(
    plan: Plan, world: World, fill: Callable[[Segmenter], None], log: RunLog
) -> Finished:
    """Run on rank 0.

    Args:
        plan: What to do.
        world: On what.
        fill: Gives the networks a memory that is finalised.
        log: Opened here.

    Raises:
        InputError: Weights, memory or references cannot be used, or a disk is full.
    """
    begun, earlier = time.monotonic(), plan.kept.count
    set_up_torch()
    job, device = plan.job, usable_device(world.device)
    trainer = build_trainer(world, device)
    segmenter = build_segmenter(job.settings).to(device)
    built = time.monotonic()
    fill(segmenter)
    run = _open_run(plan, segmenter, log)
    filled = time.monotonic()
    names = segmenter.memory.class_names
    tables = TableWriter(
        tables_of(plan.pictures, job.out, job.per_folder),
        plan.kept,
        names,
        job.files.instances,
        job.out,
    )
    module = PicturePrediction(job, run.folder, segmenter)
    module.keeping.describe = lambda: _describe_kept(plan)
    with unlocked_after_errors(run), ProgressMonitor(plan.kept, tables.write_complete):
        if plan.kept.count < plan.kept.total or trainer.world_size > 1:  # others would wait
            _predict(trainer, module)
    everything = TableResults(plan.kept, Table(job.out, 0, plan.kept.total))
    for exporter in build_exporters(job, names):
        exporter.finish(everything)
    parts = {"networks": built - begun, "memory": filled - built}
    parts["pictures"] = time.monotonic() - filled
    counts = describe_memory(job.out / MEMORY).counts
    return Finished(run, names, counts, parts, str(device), earlier)


@contextmanager
def unlocked_after_errors(run: UnfinishedRun) -> Iterator[None]:
    """Let others go on with what this process has begun, though it may live on."""
    try:
        yield
    except BaseException:
        run.unlock()
        raise


def predict_as_other(job: Job, world: World) -> None:
    """Run on another rank, which learns from rank 0 what is left to do."""
    set_up_torch()
    trainer = build_trainer(world, usable_device(world.device))
    _predict(trainer, PicturePrediction(job))


def _open_run(plan: Plan, segmenter: Segmenter, log: RunLog) -> UnfinishedRun:
    """Make or take up the folder of the run, with what all ranks read there."""
    out = plan.job.out
    run = plan.out.run or UnfinishedRun.create(
        out / UNFINISHED, plan.identity, [], plan.kept.total, setting="--out"
    )
    log.open(out / LOG)
    if not plan.out.has_memory:
        write_memory(out / MEMORY, segmenter.memory)
    (run.folder / MEMORY_CHECKSUM).write_text(sha256(out / MEMORY), encoding="utf-8")
    write_remaining(run.folder, plan.remaining())
    plan.kept.follow(run.folder)
    return run


def _describe_kept(plan: Plan) -> str:
    plan.kept.update()
    done = f"{plan.kept.count} of {plan.kept.total} pictures are finished in {plan.job.out}"
    return f"{done}, {how_to_go_on()}"


def _predict(trainer: Trainer, module: PicturePrediction) -> None:
    end_ranks_together(trainer)
    trainer.predict(module, return_predictions=False)


def build_trainer(world: World, device: torch.device) -> Trainer:
    """Lightning's, without anything that it writes or shows.

    Raises:
        InputError: There are not as many devices.
    """
    several = world.devices * world.num_nodes > 1
    chosen: Any = world.devices
    if device.type == "cuda" and world.device and ":" in world.device:
        if world.devices > 1:
            raise InputError(
                f"--device {world.device} is one GPU, and --devices is {world.devices}; give "
                "--device cuda"
            )
        chosen = [device.index]
    try:
        return Trainer(
            accelerator="cpu" if device.type == "cpu" else "gpu",
            devices=chosen,
            num_nodes=world.num_nodes,
            strategy="ddp" if several else "auto",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        raise InputError(f"--devices {world.devices}: {' '.join(str(error).split())}") from error


def set_up_torch() -> None:
    """Have it compute, and be silent, as this command needs."""
    # Trained attention leaves shares near 1e-40, with which a CPU multiplies far more slowly.
    torch.set_flush_denormal(True)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
