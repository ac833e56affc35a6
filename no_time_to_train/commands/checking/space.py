"""What a stage will write, whether it may, and whether there is room for it."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from no_time_to_train.commands.checking.data import Data
from no_time_to_train.commands.checking.findings import Findings, Setup, bytes_in_words, size_of
from no_time_to_train.commands.checking.trainer import log_folder
from no_time_to_train.commands.checking.weights import published_encoder
from no_time_to_train.commands.outputs import LOG_FILES, named_inputs
from no_time_to_train.config import TestMode, dinov2_side
from no_time_to_train.memory.description import MemoryDescription
from no_time_to_train.output_checks import output_checks
from no_time_to_train.pl_wrapper.journal import UNFINISHED_RUNS
from no_time_to_train.pl_wrapper.stages import STAGES
from no_time_to_train.reports import REPORT_FILE

RECORD_BYTES = 400
"""Of one instance in a list of results: its mask takes most of them."""
PIXEL_BYTES = 1.5
"""Of a picture, in the formats that keep pixels."""
PATCH_SIDE = 14
"""Pixels, of the published encoders; of others memories are about as large."""
THUMBNAIL_BYTES = 1000
"""Of the small picture that a memory keeps of a reference."""
OTHER_CHANNELS = 1024
"""Of a patch feature, where the encoder is of another package."""
NEW_LOG = "version_N"
"""Stands for the folder that a logger makes."""


def check_outputs(
    setup: Setup, findings: Findings, data: Data, memory: MemoryDescription | None
) -> None:
    """Tell of the outputs; refuse those that cannot be written, or would replace an input."""
    named = _named_outputs(setup)
    log = log_folder(setup)
    outputs: dict[str, Path | list[Path]] = {**named, "the picture": list(data.pictures)}
    names = [*LOG_FILES, *([REPORT_FILE] if setup.settings.report else [])]
    outputs |= {f"the log file {name}": log / NEW_LOG / name for name in names}
    inputs = {**named_inputs(setup.settings), "the image": list(data.images)}
    findings.attempt_each(output_checks(outputs, inputs))
    for setting, path in named.items():
        replaced = f", replaces what is there ({size_of(path)})" if path.exists() else ""
        findings.tell("writes", f"{setting} {path}{replaced}")
    if data.pictures:
        there = sum(path.exists() for path in data.pictures)
        replaced = f", {there} of which replace others" if there else ""
        folder = os.path.commonpath([path.parent for path in data.pictures])
        findings.tell("writes", f"{len(data.pictures)} pictures in {folder}{replaced}")
    findings.tell("writes", f"a log folder in {log}")
    written = list(named.values())
    if setup.mode is TestMode.test:
        written.append(log / UNFINISHED_RUNS)  # where results are kept until the end
    each = _bytes_of_output(setup, data, memory)
    _check_space(findings, named, dict.fromkeys(written, each), data)


def _named_outputs(setup: Setup) -> dict[str, Path]:
    row = STAGES[setup.mode]
    if not all(setup.settings[flag] for flag in row.needs):
        return {}  # which has been said
    return row.outputs(setup.settings)


def _bytes_of_output(setup: Setup, data: Data, memory: MemoryDescription | None) -> float:
    """About what the results or the memory will take."""
    bank, encoder = setup.model.memory_bank_cfg, setup.model.encoder_cfg
    preset = published_encoder(encoder.name)
    channels = preset.embed_dim if preset else OTHER_CHANNELS
    if memory is not None:
        channels = memory.size.channels
    if setup.mode is TestMode.test:
        per_image = setup.model.sam2_infer_cfgs.num_out_instance * RECORD_BYTES
        return data.samples * per_image
    thumbnails = bank.category_num * bank.length * THUMBNAIL_BYTES
    if setup.mode is TestMode.fill_memory:
        patches = (dinov2_side(encoder) // PATCH_SIDE) ** 2 * data.samples * channels * 2
        table = bank.category_num * bank.length * channels * 8
        return table + thumbnails + min(patches, bank.patch_memory_mb * 2**20)
    extra = setup.model.sam2_infer_cfgs.kmeans_k + setup.model.sam2_infer_cfgs.n_pca_components
    return thumbnails + bank.category_num * channels * (4 * bank.length + 4 + 2 * (extra + 1))


def _check_space(
    findings: Findings, named: Mapping[str, Path], sizes: Mapping[Path, float], data: Data
) -> None:
    """Add up what goes to each file system, and compare it with what is free there."""
    wanted: defaultdict[int, float] = defaultdict(float)
    places: dict[int, Path] = {}
    pictures = {data.pictures[0]: data.picture_pixels * PIXEL_BYTES} if data.pictures else {}
    for path, size in {**sizes, **pictures}.items():
        folder = next(each for each in path.absolute().parents if each.exists())
        device = folder.stat().st_dev
        wanted[device] += size
        places[device] = folder
    for device, folder in places.items():
        free = shutil.disk_usage(folder).free
        need, left = bytes_in_words(wanted[device]), bytes_in_words(free)
        findings.tell("space", f"up to {need} in {folder}, where {left} are free")
        if free < wanted[device]:
            what = " and ".join(named) or "what this run writes"
            findings.refuse(
                f"{what} can take {need}, and the disk of {folder} has {left} left; make room or "
                "choose another place"
            )
