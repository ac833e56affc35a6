"""The files that flags of a command name as outputs, by what the user calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from no_time_to_train.errors import InputError

TABLE = ".csv"
OTHER_TABLES = (".feather", ".ods", ".parquet", ".tsv", ".xls", ".xlsx")
"""What people may expect to get by a name, and would get COCO json instead of."""


def memory_output(settings: Any) -> dict[str, Path]:
    """The memory that a stage writes."""
    return {"--out_path": Path(settings.out_path)}


def check_format(settings: Any) -> None:
    """Refuse results in a format that is not written, before they are computed.

    Raises:
        InputError: The name is that of another kind of table.
    """
    path = settings.export_result
    if path is not None and Path(path).suffix.lower() in OTHER_TABLES:
        raise InputError(
            f"--export_result {path}: no {Path(path).suffix} is written; give a name that ends in "
            ".csv for a table, or in .json for COCO results"
        )


def is_table(path: Path) -> bool:
    """Whether results go there as a table; else, whatever the name, as COCO results."""
    return path.suffix.lower() == TABLE


def result_outputs(settings: Any) -> dict[str, Path]:
    """The results that a test writes, all of the same content."""
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
