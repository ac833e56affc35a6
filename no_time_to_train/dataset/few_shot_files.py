"""Turn the few-shot files of TFA and DeFRCN into a reference set.

    python no_time_to_train/dataset/few_shot_files.py cocosplit/seed1 --n-shot 10 \
        --dataset few_shot_classes --out-path references.pkl

FOLDER has one file per class: for COCO full_box_<k>shot_<class>_trainval.json, whose annotations
are looked up by id; for Pascal VOC box_<k>shot_<class>_train.txt, a list of images in which every
object of the class counts, difficult ones too. Where these are more than k, the loaders of TFA and
DeFRCN take k of them at random, unseeded; here it is the first k in the order of the list and, in
an image, of the annotations.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from no_time_to_train.coco.annotations import Annotation, Category, CocoAnnotations, Id
from no_time_to_train.coco.entries import parse_annotation
from no_time_to_train.coco.json_text import load_json
from no_time_to_train.dataset.benchmarks import data_root
from no_time_to_train.dataset.class_splits import (
    benchmark_of,
    class_names,
    split_names,
    wanted_categories,
)
from no_time_to_train.dataset.reference_set import (
    ReferencePick,
    tell_references,
    write_reference_set,
)
from no_time_to_train.dataset.script_entry import positive_int, run_script
from no_time_to_train.errors import InputError, listed, naming
from no_time_to_train.files import check_regular_file
from no_time_to_train.output_checks import prepare_outputs

MAX_BOX_DIFFERENCE = 1.0
"""Pixels by which a box may be rounded in one of two files."""

logger = logging.getLogger(__name__)

ClassReader = Callable[[Path, Category], Iterable[Annotation]]
"""From the file of a class to the annotations that it stands for."""


@dataclass(frozen=True)
class Form:
    """A way to write few-shot files."""

    file_name: str
    """With {shots} and {name}."""
    reader: Callable[[CocoAnnotations], ClassReader]
    """Prepared for the annotations of a data set."""


@dataclass(frozen=True)
class FewShotFiles:
    """The files of some classes."""

    form: Form
    paths: Mapping[str, Path]
    """By class name."""

    @classmethod
    def find(cls, folder: Path, names: Sequence[str], n_shot: int) -> FewShotFiles:
        """Look for the files of these classes.

        Raises:
            InputError: One is missing.
        """
        paths = {form: _paths(form.file_name, folder, names, n_shot) for form in FORMS}
        missing = {
            form: [path.name for path in paths[form].values() if not path.exists()]
            for form in FORMS
        }
        form = min(FORMS, key=lambda each: len(missing[each]))
        if len(missing[form]) == len(names):
            patterns = " nor ".join(each.file_name for each in FORMS)
            raise InputError(
                f"{folder} has neither {patterns.format(shots=n_shot, name='<class>')}; give the "
                "folder of these files, such as cocosplit/seed1 or vocsplit/seed1"
            )
        if missing[form]:
            raise InputError(
                f"{folder} lacks {listed(missing[form])}; choose the --dataset and --n-shot that "
                "the files were made for"
            )
        return cls(form, paths[form])

    def references(
        self, annotations: CocoAnnotations, categories: Sequence[Category], n_shot: int
    ) -> dict[int, list[ReferencePick]]:
        """The references that they name, at most `n_shot` per class.

        Args:
            annotations: Of the data set that they were drawn from.
            categories: The wanted classes.
            n_shot: Of the files.

        Returns:
            Category id -> references, each with one annotation.

        Raises:
            InputError: A file is damaged, or the annotations lack or contradict what it says.
        """
        read = self.form.reader(annotations)
        references = {}
        for category in categories:
            path = self.paths[category.name]
            with naming(str(path)):
                found = list(islice(read(path, category), n_shot))
            if len(found) < n_shot:
                logger.warning("%s has %d references, not %d", path, len(found), n_shot)
            references[category.id] = [ReferencePick(each.image_id, [each.id]) for each in found]
        return references


def _paths(pattern: str, folder: Path, names: Sequence[str], n_shot: int) -> dict[str, Path]:
    return {name: folder / pattern.format(shots=n_shot, name=name) for name in names}


def _read_boxes(annotations: CocoAnnotations) -> ClassReader:
    by_id: Mapping[Id, Annotation] = {each.id: each for each in annotations.annotations}

    def read(path: Path, category: Category) -> list[Annotation]:
        entries = _entries(path)
        missing = [each for each in entries if each.id not in by_id]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(entries)} annotations, the first of image "
                f"{missing[0].image_id!r}, are not in {annotations.path}: few-shot files of COCO "
                "are drawn from train2014 and val2014, of which train2017 has a part; give the "
                "json that they were drawn from (trainvalno5k.json) as --json-file"
            )
        for entry in entries:
            _check_same(entry, by_id[entry.id], category, annotations.path)
        return [by_id[entry.id] for entry in entries]

    return read


def _entries(path: Path) -> list[Annotation]:
    check_regular_file(path, "the few-shot file")
    document = load_json(path)
    entries = document.get("annotations") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise InputError('it has no list "annotations"; get the few-shot files again')
    return [parse_annotation(entry) for entry in entries]


def _check_same(entry: Annotation, found: Annotation, category: Category, path: Path) -> None:
    boxes = zip(entry.bbox, found.bbox, strict=True)
    same_box = max(abs(there - here) for there, here in boxes) <= MAX_BOX_DIFFERENCE
    same_ids = (entry.image_id, entry.category_id) == (found.image_id, found.category_id)
    if not same_ids or not same_box:
        raise InputError(
            f"annotation {entry.id!r} has image {entry.image_id!r}, category {entry.category_id} "
            f"and box {list(entry.bbox)}, in {path} image {found.image_id!r}, category "
            f"{found.category_id} and box {list(found.bbox)}; give the json that the few-shot "
            "files were drawn from as --json-file"
        )
    if found.category_id != category.id:
        raise InputError(
            f"annotation {entry.id!r} has category {found.category_id}, but {category.name} is "
            f"{category.id} in {path}; get the few-shot files again"
        )


def _read_lists(annotations: CocoAnnotations) -> ClassReader:
    by_name = {
        PurePosixPath(image.file_name).name: image.id for image in annotations.images.values()
    }

    def read(path: Path, category: Category) -> Iterable[Annotation]:
        for name in _image_names(path):
            if name not in by_name:
                raise InputError(
                    f"{name} is not in {annotations.path}; give the json of the images that the "
                    "few-shot files were drawn from (voc0712_trainval) as --json-file"
                )
            found = annotations.of_image(by_name[name])
            objects = [each for each in found if each.category_id == category.id]
            if not objects:
                raise InputError(f"{annotations.path} has no {category.name} in {name}")
            yield from objects

    return read


def _image_names(path: Path) -> list[str]:
    """Last parts of paths, one a line, such as datasets/VOC2007/JPEGImages/000005.jpg."""
    check_regular_file(path, "the few-shot file")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error}); expected a list of images") from None
    return [PurePosixPath(line.strip()).name for line in lines if line.strip()]


FORMS = (
    Form("full_box_{shots}shot_{name}_trainval.json", _read_boxes),
    Form("box_{shots}shot_{name}_train.txt", _read_lists),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see --help."""
    options = _parser().parse_args(arguments)
    benchmark, names = benchmark_of(options.dataset), class_names(options.dataset)
    json_file = options.json_file or data_root() / benchmark.train.annotations
    files = FewShotFiles.find(options.folder, names, options.n_shot)
    prepare_outputs(
        {"--out-path": options.out_path},
        {"--json-file": json_file, "the few-shot file": list(files.paths.values())},
    )
    annotations = CocoAnnotations.read(json_file)
    categories = wanted_categories(annotations, options.dataset, None)
    references = files.references(annotations, categories, options.n_shot)
    write_reference_set(options.out_path, references)
    told = tell_references(references, {category.id: category.name for category in categories})
    origins = options.folder, annotations.path
    logger.info("%s: %s; from %s and %s", options.out_path, told, *origins)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="where the files of all classes are")
    add("--n-shot", type=positive_int, required=True, help="references per class")
    add("--dataset", required=True, help="class split: " + ", ".join(split_names()))
    add("--json-file", type=Path, help="annotations, where not the data set's own")
    add("--out-path", type=Path, required=True, help="reference set (pickle) to write")
    return parser


if __name__ == "__main__":
    run_script(main)
