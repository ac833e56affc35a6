"""What `predict` is to do, checked as far as that goes without PyTorch."""

from __future__ import annotations

import hashlib
import json
import logging
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from no_time_to_train.commands.network_options import network_settings
from no_time_to_train.commands.prediction import out_folder
from no_time_to_train.commands.prediction.out_folder import OutFolder
from no_time_to_train.dataset.picture_folders import FoundPictures, find_pictures
from no_time_to_train.errors import InputError
from no_time_to_train.exports.output_names import OutputNames
from no_time_to_train.files import sha256
from no_time_to_train.memory.description import MemoryDescription, describe_memory
from no_time_to_train.output_checks import prepare_outputs
from no_time_to_train.pl_wrapper.prediction.identity import prediction_identity, weights_of
from no_time_to_train.pl_wrapper.prediction.job import (
    MEMORY,
    RECORD,
    Job,
    PictureEntry,
    WantedFiles,
)
from no_time_to_train.pl_wrapper.prediction.kept import KeptPictures
from no_time_to_train.pl_wrapper.run_identity import RunIdentity

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What rank 0 knows before it begins."""

    job: Job
    out: OutFolder
    pictures: FoundPictures
    names: OutputNames
    kept: KeptPictures
    """What earlier runs have finished."""
    identity: RunIdentity

    def remaining(self) -> Iterator[PictureEntry]:
        """What is left to do."""
        for index in self.kept.missing():
            name = self.pictures.names[index]
            yield PictureEntry(index, name, self.names.of(name))


def make_plan(options: Namespace) -> Plan:
    """Look at everything that the arguments name.

    Args:
        options: Of the command line.

    Raises:
        InputError: Something cannot work.
    """
    out = out_folder.inspect(options.out, options.resume)
    memory = describe_memory(options.memory) if options.memory else None
    if memory:
        prepare_outputs({"--out": options.out / MEMORY}, {"--memory": options.memory})
    pictures = find_pictures(options.images, without=options.out)
    job = make_job(options, pictures.root, memory)
    identity = prediction_identity(job, weights_of(job), _sources(options))
    out.check_same(identity)
    if note := pictures.describe_others():
        logger.info("%s", note)
    names, kept = OutputNames(pictures.names), KeptPictures(len(pictures.names))
    if out.goes_on:
        _take_up(out, pictures, names, kept)
    elif options.resume:
        logger.info("--resume: no run in %s, this one begins anew", options.out)
    return Plan(job, out, pictures, names, kept, identity)


def make_job(options: Namespace, root: Path, memory: MemoryDescription | None) -> Job:
    """What is to be done.

    Args:
        options: Of the command line.
        root: Folder of the pictures.
        memory: That is used, if there is one.

    Raises:
        InputError: A setting cannot work.
    """
    settings = network_settings(options, memory.encoder if memory else None)
    if settings.model.proposer_cfg.name == "file":
        raise InputError(
            "proposer_cfg.name is file, whose proposals are of the images of a COCO json, and "
            "--images gives none; leave it out"
        )
    loading = {"batch_size": options.batch_size, "workers": options.workers}
    given = {name: value for name, value in loading.items() if value is not None}
    settings = replace(settings, loading=replace(settings.loading, **given))
    threshold = settings.model.test.vis_thr if options.threshold is None else options.threshold
    files = WantedFiles(not options.no_overlays, options.instances)
    return Job(settings, root, options.out, threshold, files, options.per_folder)


def _sources(options: Namespace) -> dict[str, str]:
    return {"--memory": sha256(options.memory)}


def _take_up(
    out: OutFolder, pictures: FoundPictures, names: OutputNames, kept: KeptPictures
) -> None:
    out.clear_up()
    index_of = {name: index for index, name in enumerate(pictures.names)}
    kept.take_up(out.lines(), out_folder.acceptance(pictures.root, index_of, names.of))
    logger.info(
        "--resume: %d of %d pictures are finished already in %s", kept.count, kept.total, out.path
    )
