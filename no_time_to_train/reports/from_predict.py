"""The page of a `predict` run, from the folder that it has written; there is no ground truth.

`results.json` is gone through twice, entry by entry, first for the numbers and the choice of
pictures, then for what is drawn on those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from no_time_to_train.coco.annotations import image_path
from no_time_to_train.dataset.images import read_image
from no_time_to_train.errors import InputError
from no_time_to_train.reports.choice import Best, draw
from no_time_to_train.reports.content import (
    BarRow,
    BarTable,
    Fact,
    Histogram,
    Picture,
    PictureGroup,
    Report,
    Series,
)
from no_time_to_train.reports.documents import read_document
from no_time_to_train.reports.facts import bad_image_facts, file_facts, run_facts, setting_facts
from no_time_to_train.reports.json_stream import stream_object
from no_time_to_train.reports.pictures import Classes, Shown, picture
from no_time_to_train.reports.references import memory_references

RUN_FILE, RESULTS_FILE, MEMORY_FILE = "run.json", "results.json", "memory.pth"
PER_GROUP = 6
"""Pictures that are shown for one reason."""
CANDIDATES = 64
"""Random pictures that those of the last two groups are taken from."""
MAX_INSTANCES = 1_000_000
"""Read for the numbers and for the choice of pictures: some 20 s."""
BINS = 20
"""Bars of the histogram."""
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}
"""Pixels of the mask, as COCO has it."""
NO_TRUTH = "There is no ground truth for these pictures, so there is no accuracy."


@dataclass
class Overview:
    """What the first pass has counted and chosen."""

    images: int = 0
    instances: int = 0
    with_instances: int = 0
    is_cut: bool = False
    """Whether there are more instances than are read."""
    names: dict[int, str] = field(default_factory=dict)
    per_class: Counter[int] = field(default_factory=Counter)
    bins: list[int] = field(default_factory=lambda: [0] * BINS)
    sizes: Counter[str] = field(default_factory=Counter)
    surest: Best[Any] = field(default_factory=lambda: Best(PER_GROUP))
    least_sure: Best[Any] = field(default_factory=lambda: Best(PER_GROUP))
    random: Best[Any] = field(default_factory=lambda: Best(CANDIDATES))


def predict_report(folder: Path) -> Report:
    """Read what a run has written.

    Raises:
        InputError: Its run.json or results.json is missing or damaged.
    """
    run = read_document(folder / RUN_FILE)
    results = _result_files(folder)
    overview = _overview(results)
    bad = bad_image_facts(run)
    bad_count = len(run.get("bad_pictures") or [])
    classes = _class_names(run) or overview.names
    references, left_out, note = memory_references(folder / MEMORY_FILE, run.get("classes"))
    return Report(
        title="Objects found in pictures",
        headline=_headline(overview, bad_count),
        notes=[*_notes(overview), *([note] if note else [])],
        facts=run_facts(run),
        files=file_facts(run),
        settings=setting_facts(run.get("settings")),
        truth=NO_TRUTH,
        per_class=_per_class(overview, classes),
        sizes=_sizes(overview),
        histogram=_histogram(overview, _threshold(run)),
        references=references,
        references_left_out=left_out,
        threshold=_threshold(run),
        lowest_score=_threshold(run),
        groups=_groups(folder, results, run, overview, Classes.of(classes)),
        bad_images=bad,
        bad_image_count=bad_count,
    )


def _threshold(run: Mapping[str, Any]) -> float:
    value = run.get("threshold")
    return float(value) if isinstance(value, int | float) else 0.0


def _class_names(run: Mapping[str, Any]) -> dict[int, str]:
    entries = run.get("classes")
    if not isinstance(entries, list) or not all(isinstance(each, Mapping) for each in entries):
        return {}
    return {number: str(each.get("name")) for number, each in enumerate(entries, start=1)}


def _result_files(folder: Path) -> list[Path]:
    """The results of all pictures; a run may have a file for each folder of pictures.

    Raises:
        InputError: There are none.
    """
    if (folder / RESULTS_FILE).is_file():
        return [folder / RESULTS_FILE]
    files = sorted(folder.rglob(RESULTS_FILE))
    if not files:
        raise InputError(f"there is no {RESULTS_FILE} in {folder}; name the folder of a whole run")
    return files


def _overview(paths: Sequence[Path]) -> Overview:
    overview = Overview()
    for path in paths:
        try:
            for _, group in groupby(_entries(path, overview), key=lambda each: each["image_id"]):
                _count_image(overview, list(group))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path} is not what `predict` writes ({error!r})") from None
    return overview


def _entries(path: Path, overview: Overview) -> Iterator[Mapping[str, Any]]:
    """The instances, which stand picture by picture; what else there is is counted on the way."""
    for name, entry in stream_object(path):
        if name == "images":
            overview.images += 1
            overview.random.offer(draw(str(entry["file_name"])), entry["id"])
        elif name == "categories":
            overview.names[entry["id"]] = str(entry["name"])
        elif name == "annotations":
            overview.is_cut = overview.instances == MAX_INSTANCES
            if overview.is_cut:
                return
            overview.instances += 1
            yield entry


def _count_image(overview: Overview, found: list[Mapping[str, Any]]) -> None:
    overview.with_instances += 1
    for each in found:
        overview.per_class[each["category_id"]] += 1
        overview.bins[min(int(each["score"] * BINS), BINS - 1)] += 1
        overview.sizes[_size(each["area"])] += 1
    image_id, mean = found[0]["image_id"], sum(each["score"] for each in found) / len(found)
    overview.surest.offer((mean, len(found)), image_id)
    overview.least_sure.offer((-mean, len(found)), image_id)


def _size(area: float) -> str:
    return next(name for name, (low, high) in SIZES.items() if low <= area < high)


def _headline(overview: Overview, bad: int) -> list[Fact]:
    counts = {"Pictures": overview.images, "Instances": overview.instances}
    counts |= {
        "Classes found": len(overview.per_class),
        "Pictures with any": overview.with_instances,
    }
    counts |= {"Not readable": bad} if bad else {}
    return [Fact(name, f"{count:,}") for name, count in counts.items()]


def _notes(overview: Overview) -> list[str]:
    if not overview.is_cut:
        return []
    return [
        f"Numbers and pictures are of the first {MAX_INSTANCES:,} instances; results.json has all."
    ]


def _per_class(overview: Overview, names: Mapping[int, str]) -> BarTable:
    most = max(overview.per_class.values(), default=0) or 1
    keys = sorted(names, key=lambda key: -overview.per_class[key])
    rows = [
        BarRow(names[key], overview.per_class[key], [overview.per_class[key] / most])
        for key in keys
    ]
    return BarTable(
        "Instances of each class", "class", "instances", ["share of the most frequent"], rows
    ).limited()


def _sizes(overview: Overview) -> BarTable:
    total = sum(overview.sizes.values()) or 1
    rows = [BarRow(each, overview.sizes[each], [overview.sizes[each] / total]) for each in SIZES]
    return BarTable("Instances by size", "size", "instances", ["share"], rows)


def _histogram(overview: Overview, threshold: float) -> Histogram:
    counts = Series("instances", overview.bins)
    return Histogram("Scores of all instances", "score", [counts], threshold)


def _groups(
    folder: Path,
    results: Sequence[Path],
    run: Mapping[str, Any],
    overview: Overview,
    classes: Classes,
) -> list[PictureGroup]:
    candidates = [] if overview.is_cut else overview.random.items()
    surest, least_sure = overview.surest.items(), overview.least_sure.items()
    least_sure = [each for each in least_sure if each not in surest]
    entries, found = _chosen(results, {*candidates, *surest, *least_sure})
    shown = {*surest, *least_sure}
    rest = [each for each in candidates if each not in shown]
    chosen = {
        ("Surest", "The highest mean score of what was found."): surest,
        ("Least sure", "The lowest mean score of what was found."): least_sure,
        ("Nothing found", "Chosen at random among the pictures in which nothing was found."): [
            each for each in rest if each not in found
        ][:PER_GROUP],
        ("Random", "Chosen at random among the others."): [each for each in rest if each in found][
            :PER_GROUP
        ],
    }
    root = Path(str(run.get("images_root") or folder))
    return [
        PictureGroup(*words, [_picture(root, entries[k], found.get(k, []), classes) for k in keys])
        for words, keys in chosen.items()
        if keys
    ]


def _chosen(paths: Sequence[Path], ids: set[Any]) -> tuple[dict[Any, Any], dict[Any, list[Any]]]:
    """Entries of these images, and what was found in them."""
    images: dict[Any, Any] = {}
    found: dict[Any, list[Any]] = {}
    for name, entry in chain.from_iterable(map(stream_object, paths)):
        if name == "images" and entry["id"] in ids:
            images[entry["id"]] = entry
        elif name == "annotations" and entry["image_id"] in ids:
            found.setdefault(entry["image_id"], []).append(entry)
    return images, found


def _picture(
    root: Path, entry: Mapping[str, Any], found: list[Mapping[str, Any]], classes: Classes
) -> Picture:
    name = str(entry["file_name"])
    shown = [
        Shown(each["category_id"], each["score"], each.get("segmentation"), each["bbox"])
        for each in found
    ]
    mean = f", mean score {sum(each['score'] for each in found) / len(found):.2f}" if found else ""
    caption = f"{len(found)} found{mean}."
    size = (entry["height"], entry["width"])
    return picture(lambda: read_image(image_path(root, name)), name, size, shown, classes, caption)
