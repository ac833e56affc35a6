"""The files that flags of a command name as outputs, by what the user calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def memory_output(settings: Any) -> dict[str, Path]:
    """The memory that a stage writes."""
    return {"--out_path": Path(settings.out_path)}


def result_outputs(settings: Any) -> dict[str, Path]:
    """The COCO results that a test writes, all of the same content."""
    outputs = {}
    if settings.export_result is not None:
        outputs["--export_result"] = Path(settings.export_result)
    named = semantic_results_path(settings.coco_semantic_split, settings.n_shot, settings.seed)
    if named:
        outputs["the results file"] = named
    return outputs


def semantic_results_path(split: int | None, shots: int | None, seed: int | None) -> Path | None:
    """Results file of the semantic benchmark; its name has a part for each flag given."""
    parts = [
        f"semantic_split_{split}" if split is not None else "",
        f"{shots}shot" if shots is not None else "",
        f"{seed}seed" if seed is not None else "",
    ]
    name = "_".join(part for part in parts if part)
    return Path("inst_to_segm") / f"coco_inst_{name}_results.json" if name else None
