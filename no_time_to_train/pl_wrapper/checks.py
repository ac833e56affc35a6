"""What can be seen wrong before a network is built: settings against each other and the data."""

from __future__ import annotations

import os

from no_time_to_train.config import DOWNLOAD, DatasetsConfig, ModelConfig
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.encoders import build_encoder, find_encoder
from no_time_to_train.errors import naming
from no_time_to_train.networks import WeightsError
from no_time_to_train.pl_wrapper.setting_checks import check_classes, check_references
from no_time_to_train.proposers import find_proposer

ENCODER_WEIGHTS = "model_cfg.encoder_ckpt_path"
SAM2_WEIGHTS = "model_cfg.sam2_ckpt_path"


def check_networks(model: ModelConfig, needs_encoder: bool) -> None:
    """Look for the networks that are named, and for the encoder's weights where they are needed.

    Those of published networks were looked for before PyTorch was imported.

    Raises:
        InputError: One is missing; the sentence says how to get it.
    """
    find_encoder(model.encoder_cfg.name)
    find_proposer(model.proposer_cfg.name)
    path = model.encoder_ckpt_path
    # Not Path.is_file, which fails on names that are too long.
    if needs_encoder and path != DOWNLOAD and not os.path.isfile(path):
        with naming(ENCODER_WEIGHTS, WeightsError):
            build_encoder(model)  # knows how to get them, and says so before it builds anything


def read_references(model: ModelConfig, datasets: DatasetsConfig) -> ReferenceDataset:
    """The reference data set, if it yields what encoder and bank take.

    Raises:
        InputError: Image sizes, numbers of shots or classes differ, or data are missing.
    """
    check_references(model, datasets)
    references = ReferenceDataset(datasets.fill_memory)
    check_classes(model, references.class_names, "fill_memory")
    return references
