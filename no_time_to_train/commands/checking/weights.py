"""Files of weights: whether they hold the tensors of the network that settings name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from no_time_to_train.checkpoint_index import read_index, shapes_digest
from no_time_to_train.commands.checking.findings import Findings, Setup, size_of
from no_time_to_train.commands.published_weights import FAMILIES
from no_time_to_train.config import DOWNLOAD
from no_time_to_train.errors import InputError, naming
from no_time_to_train.pickle_index import IndexedTensor
from no_time_to_train.pl_wrapper.stages import STAGES

REPAIR = "get the file again from where its publisher offers it"


def check_weights(setup: Setup, findings: Findings) -> None:
    """Look into the files of the networks that the stage builds."""
    model, reads = setup.model, STAGES[setup.mode].reads
    if "encoder" in reads:
        with findings.attempt(), naming("model_cfg.encoder_ckpt_path"):
            _check(findings, "DINOv2", model.encoder_cfg.name, model.encoder_ckpt_path)
    if "proposer" in reads and model.proposer_cfg.name == "point_grid":
        name = model.sam2_cfg_file.removesuffix(".yaml")
        with findings.attempt(), naming("model_cfg.sam2_ckpt_path"):
            _check(findings, "SAM 2", name, model.sam2_ckpt_path)


def _check(findings: Findings, family: str, name: str, file: str) -> None:
    presets = FAMILIES[family].presets.PRESETS
    if name not in presets:
        findings.tell("weights", f"{file} ({size_of(Path(file))}) for {name}, not looked into")
        return
    if file == DOWNLOAD:
        raise InputError(f"{name} takes its weights from a file; give its path")
    if not os.path.isfile(file):
        return  # which has been said
    found = identify(Path(file), family)
    if presets[name].tensors not in {presets[each].tensors for each in found}:
        raise InputError(f"{file} does not hold the weights of {name}; {_advice(Path(file))}")
    findings.tell("weights", f"{file} ({size_of(Path(file))}) has the tensors of {name}")


def identify(path: Path, family: str) -> list[str]:
    """The presets of a family whose tensors a file holds, by names and shapes.

    Raises:
        InputError: It is no file, or no checkpoint.
    """
    shapes = _shapes(read_index(path, f"the {family} weights", REPAIR).content)
    presets = FAMILIES[family].presets
    loaded = [name for name in shapes if not name.startswith(presets.NOT_LOADED)]
    digest = shapes_digest({name: shapes[name] for name in loaded})
    return [name for name, preset in presets.PRESETS.items() if preset.tensors == digest]


def _shapes(content: Any) -> dict[str, tuple[int, ...]]:
    """Of the tensors by name; those of SAM 2 lie below `model`."""
    inner = content.get("model") if isinstance(content, Mapping) else None
    state = inner if isinstance(inner, Mapping) else content
    tensors = state.items() if isinstance(state, Mapping) else ()
    return {str(name): each.shape for name, each in tensors if isinstance(each, IndexedTensor)}


def _advice(path: Path) -> str:
    likeness = [name for family in FAMILIES for name in identify(path, family)]
    looks = f"it looks like {likeness[0]}" if likeness else "it looks like no known preset"
    return f"{looks}, so change the name or the file"


def published_encoder(name: str) -> Any:
    """The preset of an encoder, whose sizes are known without PyTorch; None for other networks."""
    return FAMILIES["DINOv2"].presets.PRESETS.get(name)
