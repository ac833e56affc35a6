"""The page of a `test` run: its metrics.json, and its results where they are at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.dataset.class_splits import wanted_categories
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.coco import evaluate
from no_time_to_train.evaluation.confusions import by_threshold, match_images
from no_time_to_train.evaluation.scores import known, percent
from no_time_to_train.evaluation.stored_results import read_results
from no_time_to_train.reports.accuracy import (
    STEPS,
    class_bars,
    confusions,
    plain_histogram,
    precision_curves,
    score_histogram,
    size_bars,
    summary_table,
    threshold_curves,
)
from no_time_to_train.reports.content import Fact, Report
from no_time_to_train.reports.documents import read_document
from no_time_to_train.reports.facts import bad_image_facts, file_facts, run_facts, setting_facts
from no_time_to_train.reports.measured import Measured
from no_time_to_train.reports.measured_pictures import Gallery
from no_time_to_train.reports.pictures import Classes
from no_time_to_train.reports.references import memory_references

METRICS_FILE = "metrics.json"
DEFAULT_THRESHOLD = 0.5
NO_TRUTH = "The json lists no instance of the wanted classes, so there is no accuracy."
ARGUMENTS = "config.model.init_args"
MODEL, TARGETS = f"{ARGUMENTS}.model_cfg", f"{ARGUMENTS}.dataset_cfgs.test"
UNUSED = ("dataset_cfgs.fill_memory.",)
"""Settings that a test has and does not use."""


def measured_report(folder: Path, measured: Measured | None = None) -> Report:
    """Read what a run has left.

    Args:
        folder: With its metrics.json.
        measured: Its results, where the run itself asks; else they are looked for in the file that
            it has exported.

    Raises:
        InputError: metrics.json is missing or damaged.
    """
    metrics = read_document(folder / METRICS_FILE)
    report = _without_results(metrics)
    try:
        found = measured or _stored(metrics)
    except InputError as error:
        missing = f"Curves, confusions and pictures are missing: {error}."
        return replace(report, notes=[*report.notes, missing])
    return _with_results(report, metrics, found)


def _without_results(metrics: Mapping[str, Any]) -> Report:
    numbers = {kind: _numbers(metrics.get(kind)) for kind in ("mask", "box")}
    references, left_out, note = memory_references(Path(str(_leaf(metrics, "config.ckpt_path"))))
    name = _leaf(metrics, f"{MODEL}.dataset_name")
    return Report(
        title=f"Test of {name}" if name else "A test",
        headline=_headline(metrics, numbers),
        notes=[*_notes(metrics), *([note] if note else [])],
        facts=run_facts(metrics),
        files=file_facts(metrics),
        settings=_settings(metrics),
        truth=None if any(numbers.values()) else NO_TRUTH,
        tables=summary_table(numbers),
        per_class=class_bars(metrics.get("per_class")),
        sizes=size_bars(numbers),
        references=references,
        references_left_out=left_out,
        bad_images=bad_image_facts(metrics),
        bad_image_count=len(metrics.get("bad_images") or []),
    )


def _leaf(document: Any, name: str) -> Any:
    """A value by its dotted name; None where it is not there."""
    for part in name.split("."):
        document = document.get(part) if isinstance(document, Mapping) else None
    return document


def _numbers(values: Any) -> dict[str, float] | None:
    return values if isinstance(values, dict) else None


def _headline(
    metrics: Mapping[str, Any], numbers: Mapping[str, dict[str, float] | None]
) -> list[Fact]:
    facts = [
        Fact(f"{kind.capitalize()} {name}", percent(value))
        for kind, values in numbers.items()
        for name in ("AP", "AP50")
        if values and (value := known(values.get(name))) is not None
    ]
    seconds = metrics.get("seconds_per_image")
    facts.append(Fact("Pictures", f"{metrics.get('images', 0):,}"))
    return facts + ([Fact("Seconds a picture", f"{seconds:.2f}")] if seconds else [])


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    notes = []
    images, all_images = metrics.get("images"), metrics.get("images_of_data_set")
    if images != all_images:
        limit = metrics.get("limited_by")
        notes.append(f"Only {images} of {all_images} pictures ran ({limit}); numbers are of these.")
    if resumed := metrics.get("resumed_images"):
        notes.append(f"{resumed} pictures are of an earlier run; times are without them.")
    if count := len(metrics.get("bad_images") or []):
        notes.append(f"{count} pictures could not be read and count as without detections.")
    return notes


def _settings(metrics: Mapping[str, Any]) -> list[Fact]:
    settings = dict(_leaf(metrics, ARGUMENTS) or {})
    settings["trainer"] = {
        name: value
        for name, value in (_leaf(metrics, "config.trainer") or {}).items()
        if value is not None
    }
    return setting_facts(settings, without=UNUSED)


def _stored(metrics: Mapping[str, Any]) -> Measured:
    """Results as the run has exported them, measured again.

    Raises:
        InputError: It has not, or files of it are gone or damaged.
    """
    results = metrics.get("results") or [_leaf(metrics, "config.export_result")]
    if not isinstance(results, list) or not results or results[0] is None:
        raise InputError("the run has not kept its results, as --export_result FILE or --report do")
    annotations = CocoAnnotations.read(Path(str(_leaf(metrics, f"{TARGETS}.json_file"))))
    split, names = (_leaf(metrics, f"{TARGETS}.{key}") for key in ("class_split", "cat_names"))
    categories = wanted_categories(annotations, split, names)
    records = read_results(Path(str(results[0])), annotations)
    if metrics.get("image_ids") is not None:
        annotations = annotations.restricted_to(metrics["image_ids"])
    ids = [category.id for category in categories]
    return Measured(annotations, ids, records, evaluate(annotations, ids, records))


def _with_results(report: Report, metrics: Mapping[str, Any], measured: Measured) -> Report:
    threshold = _leaf(metrics, f"{MODEL}.test.vis_thr")
    threshold = DEFAULT_THRESHOLD if threshold is None else float(threshold)
    annotations, ids = measured.annotations, list(measured.category_ids)
    names = {each.id: each.name for each in annotations.categories if each.id in ids}
    names = {key: names[key] for key in ids}
    matched = match_images(annotations, ids, measured.records)
    images = list(matched.values())
    gallery = Gallery(
        annotations,
        measured.records,
        matched,
        Classes.of(names),
        threshold,
        root=Path(str(_leaf(metrics, f"{TARGETS}.root"))),
        orientation=_leaf(metrics, f"{TARGETS}.orientation") or "auto",
    )
    shown = replace(report, threshold=threshold, groups=gallery.groups())
    if report.truth:
        return replace(shown, histogram=plain_histogram(images, threshold))
    f1 = by_threshold(images, STEPS)["F1"].tolist()
    best = max(f1)
    headline = [Fact(f"Best F1, at {STEPS[f1.index(best)]:.2f}", percent(best))]
    return replace(
        shown,
        headline=[*report.headline, *headline],
        curves=[*precision_curves(measured.evaluation), threshold_curves(images)],
        histogram=score_histogram(images, threshold),
        confusions=confusions(images, names, threshold),
    )
