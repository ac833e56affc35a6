"""Draw the references of a few-shot experiment from a training set.

    python no_time_to_train/dataset/few_shot_sampling.py --n-shot 30 --seed 33 \
        --dataset few_shot_classes --out-path few_shot_30shot_seed33.pkl

The same seed draws the same references as in the published experiments, pick for pick.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

from no_time_to_train.coco.annotations import (
    Annotation,
    Category,
    CocoAnnotations,
    Id,
    ImageInfo,
)
from no_time_to_train.coco.boxes import pixel_corners, xywh_to_xyxy
from no_time_to_train.dataset.benchmarks import data_root
from no_time_to_train.dataset.class_splits import (
    benchmark_of,
    categories_named,
    class_names,
    missing_names,
    split_names,
)
from no_time_to_train.dataset.reference_set import (
    ReferencePick,
    tell_references,
    write_reference_set,
)
from no_time_to_train.dataset.script_entry import positive_int, run_script
from no_time_to_train.errors import InputError, listed
from no_time_to_train.output_checks import prepare_outputs
from no_time_to_train.signs_of_life import told

MIN_SIDE = 32
"""Smallest box side of a reference in pixels."""
MIN_BORDER = 10
"""Smallest distance of its box from the image border in pixels."""
MAX_SHOWN = 20
"""Classes that a message names."""

logger = logging.getLogger(__name__)


def sample_references(
    annotations: CocoAnnotations,
    categories: Iterable[Category],
    n_shot: int,
    seed: int,
    allow_repeats: bool = False,
) -> dict[int, list[ReferencePick]]:
    """Draw `n_shot` references per class, each from an image of its own.

    Args:
        annotations: What to draw from.
        categories: The wanted classes.
        n_shot: References per class.
        seed: Of the random order.
        allow_repeats: The rules for LVIS, where classes may have too few: start over; where none is
            valid, take those that are not, of an image several times too; leave out a class that
            has none at all.

    Returns:
        Category id -> references, classes in the order in which the file first mentions them.

    Raises:
        InputError: A class has too few valid references, or no class has any.
    """
    names = {category.id: category.name for category in categories}
    generator = random.Random(seed)
    references = {}
    for category_id, candidates in _by_category(annotations, names, allow_repeats).items():
        generator.shuffle(candidates)
        valid = (pick for pick in candidates if _is_valid(pick, annotations.images[pick.image_id]))
        picks = _one_per_image(valid, n_shot)
        if allow_repeats:
            picks = _repeated(picks or _any_picks(names[category_id], candidates, n_shot), n_shot)
        references[category_id] = [ReferencePick(pick.image_id, [pick.id]) for pick in picks]
    counts = {name: len(references.get(category_id, [])) for category_id, name in names.items()}
    if allow_repeats and references:
        _warn_of_empty(annotations.path, counts)
    else:
        _refuse_too_few(annotations.path, counts, n_shot)
    return references


def _warn_of_empty(path: Path, counts: Mapping[str, int]) -> None:
    empty = [name for name, count in counts.items() if count == 0]
    if empty:
        names = listed(empty)
        logger.warning("%s: %d classes without annotations left out: %s", path, len(empty), names)


def _refuse_too_few(path: Path, counts: Mapping[str, int], n_shot: int) -> None:
    too_few = [f"{name} ({count})" for name, count in counts.items() if count < n_shot]
    if too_few:
        raise InputError(
            f"{path}: too few valid references for {n_shot} shots of "
            f"{listed(too_few, MAX_SHOWN)}; ask for fewer shots"
        )


def _by_category(
    annotations: CocoAnnotations, wanted: Container[int], with_impossible: bool
) -> dict[int, list[Annotation]]:
    """The instances of the wanted classes; Pascal VOC does not count impossible ones."""
    grouped: dict[int, list[Annotation]] = {}
    for annotation in annotations.annotations:
        if annotation.category_id in wanted and (with_impossible or not annotation.isimpossible):
            grouped.setdefault(annotation.category_id, []).append(annotation)
    return grouped


def _one_per_image(candidates: Iterable[Annotation], count: int) -> list[Annotation]:
    """The first `count` that come from images of their own, or as many as there are."""
    picks: dict[Id, Annotation] = {}
    for candidate in candidates:
        picks.setdefault(candidate.image_id, candidate)
        if len(picks) == count:
            break
    return list(picks.values())


def _any_picks(name: str, candidates: Sequence[Annotation], count: int) -> list[Annotation]:
    logger.warning("%s has no valid reference; taking crowds, small or cut-off ones", name)
    return list(candidates[:count])


def _repeated(picks: list[Annotation], count: int) -> list[Annotation]:
    return list(islice(cycle(picks), count))


def _is_valid(annotation: Annotation, image: ImageInfo) -> bool:
    """Whether the instance is a single one, large enough and clear of the image border."""
    if image.height is None or image.width is None:
        raise InputError(f"image {image.id!r} has no height and width in the json; add them")
    left, top, right, bottom = xywh_to_xyxy(annotation.bbox)
    clear = min(left, top, image.width - right, image.height - bottom) >= MIN_BORDER
    return not annotation.iscrowd and min(annotation.bbox[2:]) >= MIN_SIDE and clear


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see --help."""
    options = _parser().parse_args(arguments)
    if options.plot and options.img_dir is None:
        raise InputError("--plot needs the folder of the images: add --img-dir FOLDER")
    benchmark, names = benchmark_of(options.dataset), class_names(options.dataset)
    own = benchmark.train.annotations.format(split=options.dataset, shots=options.n_shot)
    json_file = options.json_file or data_root() / own
    prepare_outputs({"--out-path": options.out_path}, {"--json-file": json_file})
    annotations = CocoAnnotations.read(json_file)
    categories = categories_named(annotations, names)
    _report_missing(annotations, missing_names(categories, names), bool(categories))
    references = sample_references(
        annotations, categories, options.n_shot, options.seed, benchmark.repeats
    )
    if options.plot:
        _plot(annotations, references, options)
    write_reference_set(options.out_path, references)
    counts = tell_references(references, {category.id: category.name for category in categories})
    origin = annotations.path, options.seed
    logger.info("%s: %s; from %s, seed %d", options.out_path, counts, *origin)


def _plot(
    annotations: CocoAnnotations,
    references: Mapping[int, Sequence[ReferencePick]],
    options: argparse.Namespace,
) -> None:
    # OpenCV and PIL are loaded for pictures alone.
    from no_time_to_train.dataset.reference_pictures import plan_pictures, read_instance
    from no_time_to_train.visualization.predictions import Instance, draw_instances, save_picture

    folder = options.out_path.with_name(f"{options.out_path.stem}_pictures")
    plan = plan_pictures(annotations, references, options.img_dir, folder)
    prepare_outputs(
        {"--out-path": options.out_path, "the picture": [picture.target for picture in plan]},
        {"--json-file": annotations.path, "the image": [picture.source for picture in plan]},
    )
    for picture in told(plan, "pictures"):
        image, mask = read_instance(picture)
        instance = Instance(mask, pixel_corners(picture.annotation.bbox), label=0)
        save_picture(picture.target, draw_instances(image, [instance], [picture.class_name]))
    logger.info("%s: %d pictures", folder, len(plan))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--n-shot", type=positive_int, required=True, help="references per class")
    add("--out-path", type=Path, required=True, help="reference set (pickle) to write")
    add("--seed", type=int, required=True, help="of the random order")
    add("--dataset", required=True, help="class split: " + ", ".join(split_names()))
    add("--json-file", type=Path, help="annotations to draw from, where not the data set's own")
    add("--plot", action="store_true", help="also draw the references, into <OUT_PATH>_pictures/")
    add("--img-dir", type=Path, help="folder of the images, for --plot")
    return parser


def _report_missing(annotations: CocoAnnotations, missing: list[str], any_found: bool) -> None:
    """Classes of the split that the json lacks: a subset is fine, but say so."""
    if not missing:
        return
    shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    sentence = f"{annotations.path} lacks {len(missing)} classes of the split ({shown})"
    if not any_found:
        raise InputError(f"{sentence}, that is all; choose another --dataset or --json-file")
    logger.warning(sentence)


if __name__ == "__main__":
    run_script(main)
