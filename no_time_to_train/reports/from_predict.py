"""The page of a `predict` run, from the folder that it has written; there is no ground truth.

Its results are gone through twice, entry by entry: for the numbers and the choice of pictures, then
for what is drawn on those.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from no_time_to_train.reports.content import BarRow, BarTable, Fact, Histogram, Report, Series
from no_time_to_train.reports.documents import read_document
from no_time_to_train.reports.facts import bad_image_facts, file_facts, run_facts, setting_facts
from no_time_to_train.reports.overview import (
    SIZES,
    Overview,
    overview_of,
    result_files,
)
from no_time_to_train.reports.pictures import Classes
from no_time_to_train.reports.predicted_pictures import PredictedGallery
from no_time_to_train.reports.references import memory_references

RUN_FILE, MEMORY_FILE = "run.json", "memory.pth"
NO_TRUTH = "There is no ground truth for these pictures, so there is no accuracy."


def predict_report(folder: Path) -> Report:
    """Read what a run has written.

    Raises:
        InputError: Its run.json or results.json is missing or damaged.
    """
    run = read_document(folder / RUN_FILE)
    results = result_files(folder)
    overview = overview_of(results)
    bad = bad_image_facts(run)
    bad_count = len(run.get("bad_pictures") or [])
    classes = _class_names(run) or overview.names
    references, left_out, note = memory_references(folder / MEMORY_FILE, run.get("classes"))
    return Report(
        title="Objects found in pictures",
        headline=_headline(run, overview, bad_count),
        notes=[*_notes(run, overview), *([note] if note else [])],
        facts=run_facts(run),
        files=file_facts(run),
        settings=setting_facts(_settings(run)),
        truth=NO_TRUTH,
        per_class=_per_class(overview, classes),
        sizes=_sizes(overview),
        histogram=_histogram(overview, _threshold(run)),
        references=references,
        references_left_out=left_out,
        threshold=_threshold(run),
        lowest_score=_threshold(run),
        groups=PredictedGallery(
            results,
            overview,
            Classes.of(classes),
            root=Path(str(run.get("images_root") or folder)),
            as_stored=_setting(run, "dataset_cfgs.test.orientation") == "stored",
        ).groups(),
        bad_images=bad,
        bad_image_count=bad_count,
    )


def _setting(run: Mapping[str, Any], name: str) -> Any:
    settings = run.get("settings")
    return settings.get(name) if isinstance(settings, Mapping) else None


def _settings(run: Mapping[str, Any]) -> Any:
    """Those that results depend on; a run that does not say so has all."""
    identity = run.get("identity")
    used = identity.get("settings") if isinstance(identity, Mapping) else None
    return used or run.get("settings")


def _threshold(run: Mapping[str, Any]) -> float:
    value = run.get("threshold")
    return float(value) if isinstance(value, int | float) else 0.0


def _class_names(run: Mapping[str, Any]) -> dict[int, str]:
    entries = run.get("classes")
    if not isinstance(entries, list) or not all(isinstance(each, Mapping) for each in entries):
        return {}
    return {number: str(each.get("name")) for number, each in enumerate(entries, start=1)}


def _headline(run: Mapping[str, Any], overview: Overview, bad: int) -> list[Fact]:
    instances = run["instances"] if overview.is_cut else overview.instances
    counts = {
        "Pictures": overview.images,
        "Instances": instances,
        "Classes found": len(overview.per_class),
    }
    counts |= {} if overview.is_cut else {"Pictures with any": overview.with_instances}
    counts |= {"Not readable": bad} if bad else {}
    return [Fact(name, f"{count:,}") for name, count in counts.items()]


def _notes(run: Mapping[str, Any], overview: Overview) -> list[str]:
    notes = []
    best = run.get("best_score")
    if not overview.instances and isinstance(best, float):
        notes.append(
            f"Nothing was found from the threshold {_threshold(run):.2f} on; the best score of "
            f"{run.get('candidates')} candidates is {best:.2f}."
        )
    if overview.is_cut:
        notes.append(
            f"Numbers and pictures are of the first {overview.instances:,} instances; results.json "
            "has all."
        )
    return notes


def _per_class(overview: Overview, names: Mapping[int, str]) -> BarTable:
    most = max(overview.per_class.values(), default=0) or 1
    keys = sorted(names, key=lambda key: -overview.per_class[key])
    rows = [
        BarRow(names[key], overview.per_class[key], [overview.per_class[key] / most])
        for key in keys
    ]
    return BarTable(
        "Instances of each class", "class", "instances", ["by count"], rows, has_values=False
    ).limited()


def _sizes(overview: Overview) -> BarTable:
    total = sum(overview.sizes.values()) or 1
    rows = [BarRow(each, overview.sizes[each], [overview.sizes[each] / total]) for each in SIZES]
    caption = "Instances by size: small is below 32 x 32 pixels of the mask, large from 96 x 96"
    return BarTable(caption, "size", "instances", ["% of all"], rows)


def _histogram(overview: Overview, threshold: float) -> Histogram:
    counts = Series("instances", overview.bins)
    return Histogram("Scores of all instances", "score", [counts], threshold)
