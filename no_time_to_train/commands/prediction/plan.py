"""What `predict` is to do, checked as far as that goes without PyTorch."""

from __future__ import annotations

import hashlib
import logging
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, replace

from no_time_to_train.commands.network_options import network_settings
from no_time_to_train.commands.prediction import out_folder
from no_time_to_train.commands.prediction.out_folder import OutFolder
from no_time_to_train.dataset.picture_folders import FoundPictures, common_folder, find_pictures
from no_time_to_train.dataset.reference_layouts import FoundReferences, find_references
from no_time_to_train.errors import InputError, naming
from no_time_to_train.exports.output_names import OutputNames
from no_time_to_train.files import sha256
from no_time_to_train.memory.description import MemoryDescription, describe_memory
from no_time_to_train.output_checks import prepare_outputs
from no_time_to_train.pl_wrapper.prediction.identity import prediction_identity, weights_of
from no_time_to_train.pl_wrapper.prediction.job import (
    MEMORY,
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
    references: FoundReferences | None
    """Where they are given, and no memory."""

    @property
    def is_done(self) -> bool:
        """Whether a finished run has done all of it."""
        return self.out.is_finished and self.kept.count == self.kept.total

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
    memory, references, source = look_at_source(options)
    pictures = find_pictures(options.images, without=options.out)
    job = make_job(options, memory)
    identity = prediction_identity(job, weights_of(job), source)
    out.check_same(identity)
    for note in [*(references.notes if references else []), pictures.describe_others()]:
        if note:
            logger.info("%s", note)
    names, kept = OutputNames(pictures.names), KeptPictures(len(pictures.names))
    if out.goes_on:
        _take_up(out, pictures, names, kept)
    elif options.resume:
        logger.info("--resume: no run in %s, this one begins anew", options.out)
    return Plan(job, out, pictures, names, kept, identity, references)


def make_job(options: Namespace, memory: MemoryDescription | None) -> Job:
    """What is to be done.

    Args:
        options: Of the command line.
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
    if options.colour_by:
        drawing = replace(settings.model.test, colour_by=options.colour_by)
        settings = replace(settings, model=replace(settings.model, test=drawing))
    threshold = settings.model.test.vis_thr if options.threshold is None else options.threshold
    files = WantedFiles(not options.no_overlays, options.instances, options.export)
    root = common_folder(options.images)
    return Job(settings, root, options.out, threshold, files, options.per_folder)


def look_at_source(
    options: Namespace,
) -> tuple[MemoryDescription | None, FoundReferences | None, dict[str, str]]:
    """Look at the memory or the references, and take their checksum.

    Raises:
        InputError: They cannot be used.
    """
    if options.references is None:
        prepare_outputs({"--out": options.out / MEMORY}, {"--memory": options.memory})
        return describe_memory(options.memory), None, {"--memory": sha256(options.memory)}
    with naming("--references"):
        found = find_references(options.references)
        return None, found, {"--references": _checksum(found)}


def _checksum(found: FoundReferences) -> str:
    """Of what is marked, and of the pictures that it is marked in."""
    annotations = found.annotations
    marks = [annotations.categories, annotations.annotations, list(annotations.images.values())]
    digest = hashlib.sha256(repr(marks).encode(errors="backslashreplace"))
    for image_id in annotations.images:
        digest.update(sha256(found.path(image_id)).encode())
    return digest.hexdigest()


def _take_up(
    out: OutFolder, pictures: FoundPictures, names: OutputNames, kept: KeptPictures
) -> None:
    out.clear_up()
    if not out.has_memory:  # what is there cannot be gone on with
        logger.info("--resume: %s has no memory yet, this run begins anew", out.path)
        return
    index_of = {name: index for index, name in enumerate(pictures.names)}
    kept.take_up(out.lines(), out_folder.acceptance(pictures.root, index_of, names.of))
    logger.info(
        "--resume: %d of %d pictures are finished already in %s", kept.count, kept.total, out.path
    )
