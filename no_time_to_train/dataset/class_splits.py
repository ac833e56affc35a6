"""Which classes of a data set are wanted: a named list, names given one by one, or the COCO 80."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence

from no_time_to_train.coco.annotations import Category, CocoAnnotations
from no_time_to_train.dataset.benchmarks import BENCHMARKS, Benchmark
from no_time_to_train.errors import InputError

NAMES_SHOWN = 5
MAX_COMPARED_LENGTH = 100
"""Characters; comparing two names takes time in proportion to their lengths multiplied."""


def split_names() -> list[str]:
    """The class lists of all benchmarks."""
    return sorted(split for benchmark in BENCHMARKS.values() for split in benchmark.splits)


def benchmark_of(split: str) -> Benchmark:
    """The benchmark that has this split.

    Raises:
        InputError: There is no split of that name.
    """
    for benchmark in BENCHMARKS.values():
        if split in benchmark.splits:
            return benchmark
    raise InputError(
        f"there is no class split {split!r}{_meant(split, split_names())}; "
        f"there are {', '.join(split_names())}"
    )


def class_names(split: str) -> list[str]:
    """The class names of a list, in its own order.

    Raises:
        InputError: There is no list of that name.
    """
    file = benchmark_of(split).splits[split]
    return file.read_text(encoding="utf-8").splitlines()


def wanted_categories(
    annotations: CocoAnnotations, class_split: str | None, cat_names: Sequence[str] | None
) -> list[Category]:
    """The categories to work with, sorted by id: the position is the class index.

    Args:
        annotations: Whose categories to choose from.
        class_split: A named list of classes.
        cat_names: Class names; they win over `class_split`. With neither, the 80 COCO classes.

    Raises:
        InputError: A name is unknown to the json, ambiguous there, or given twice.
    """
    if cat_names is not None:
        names, source = list(cat_names), "cat_names"
    else:
        names = class_names(class_split or "default_classes")
        source = f"class_split {class_split}" if class_split else "the 80 COCO classes"
    _refuse_repeats(names, source)
    found = categories_named(annotations, names)
    missing = missing_names(found, names)
    if missing or not names:
        raise InputError(_why_missing(annotations, source, missing))
    return found


def categories_named(annotations: CocoAnnotations, names: Iterable[str]) -> list[Category]:
    """The categories of the json that carry one of these names, sorted by id.

    Raises:
        InputError: Two categories of the json share one of these names.
    """
    wanted = set(names)
    found = sorted(
        (category for category in annotations.categories if category.name in wanted),
        key=lambda category: category.id,
    )
    _refuse_repeats([category.name for category in found], f"{annotations.path}: categories")
    return found


def missing_names(found: Iterable[Category], names: Iterable[str]) -> list[str]:
    """The names, in their order, that no category carries."""
    present = {category.name for category in found}
    return [name for name in names if name not in present]


def _refuse_repeats(names: list[str], source: str) -> None:
    repeated, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        raise InputError(f"{source}: {repeated!r} stands there twice; each class needs one name")


def _why_missing(annotations: CocoAnnotations, source: str, missing: list[str]) -> str:
    if not missing:
        return f"{source} is empty; name the classes to look for"
    known = [category.name for category in annotations.categories]
    shown = [f"{name!r}{_meant(name, known)}" for name in missing[:NAMES_SHOWN]]
    if len(missing) > NAMES_SHOWN:
        shown.append(f"and {len(missing) - NAMES_SHOWN} more")
    return (
        f"{annotations.path} has no category {', '.join(shown)}, asked for by {source}; "
        "set cat_names or class_split to classes of that json"
    )


def _meant(name: str, known: Sequence[str]) -> str:
    """A suggestion in brackets, or nothing."""
    if len(name) > MAX_COMPARED_LENGTH:
        return ""
    lowered = {candidate.lower(): candidate for candidate in known}
    short = [candidate for candidate in lowered if len(candidate) <= MAX_COMPARED_LENGTH]
    close = difflib.get_close_matches(name.lower(), short, n=1)
    return f" (did you mean {lowered[close[0]]!r}?)" if close else ""
