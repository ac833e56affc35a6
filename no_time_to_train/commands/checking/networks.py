"""Networks and proposals that only PyTorch can tell of; importing it takes seconds."""

from __future__ import annotations

from pathlib import Path

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.commands.checking.findings import Findings, Setup
from no_time_to_train.pl_wrapper.checks import check_networks
from no_time_to_train.pl_wrapper.stages import STAGES
from no_time_to_train.proposers.proposal_file import read_proposals


def check_other_networks(setup: Setup, findings: Findings) -> None:
    """Look for a network by its name, and into a file of proposals."""
    reads, file = STAGES[setup.mode].reads, setup.model.proposer_cfg.file
    with findings.attempt():
        check_networks(setup.model, needs_encoder="encoder" in reads)
    if "proposer" in reads and file is not None:
        with findings.attempt():
            images = CocoAnnotations.read(setup.datasets.test.json_file).images
            read_proposals(Path(file), images)
