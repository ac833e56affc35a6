"""Which classes are wanted, and in which order they are counted."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.dataset.benchmarks import data_root
from no_time_to_train.dataset.class_splits import (
    benchmark_of,
    class_names,
    split_names,
    wanted_categories,
)
from no_time_to_train.errors import InputError
from tests.unit.coco_files import document, write_json

SIZES = {
    "ArTaxOr": 7,
    "DIOR": 20,
    "FISH": 1,
    "NEU-DET": 6,
    "UODD": 3,
    "clipart1k": 20,
    "coco": 80,
    "coco_semantic_split_1": 20,
    "coco_semantic_split_2": 20,
    "coco_semantic_split_3": 20,
    "coco_semantic_split_4": 20,
    "default_classes": 80,
    "few_shot_classes": 20,
    "lvis": 1203,
    "lvis_common": 461,
    "lvis_frequent": 405,
    "lvis_minival": 1203,
    "lvis_minival_common": 461,
    "lvis_minival_frequent": 405,
    "lvis_minival_rare": 337,
    "lvis_rare": 337,
    "pascal_voc_split_1": 5,
    "pascal_voc_split_2": 5,
    "pascal_voc_split_3": 5,
}


def read(folder: Path, names: dict[int, str]) -> CocoAnnotations:
    categories = [{"id": number, "name": name} for number, name in names.items()]
    return CocoAnnotations.read(
        write_json(folder, {"images": [], "annotations": [], "categories": categories})
    )


def test_class_names__are_those_of_the_published_splits() -> None:
    assert split_names() == sorted(SIZES)
    assert {split: len(set(class_names(split))) for split in split_names()} == SIZES


def test_class_names__keep_their_order() -> None:
    assert class_names("few_shot_classes")[:5] == [
        "person",
        "bicycle",
        "car",
        "motorcycle",
        "airplane",
    ]
    assert class_names("pascal_voc_split_1") == ["sofa", "cow", "bus", "bird", "motorbike"]


def test_class_names__of_parts_make_up_the_whole() -> None:
    frequencies = ("lvis_common", "lvis_frequent", "lvis_rare")
    assert sorted(chain.from_iterable(map(class_names, frequencies))) == sorted(class_names("lvis"))
    folds = [f"coco_semantic_split_{fold}" for fold in (1, 2, 3, 4)]
    assert sorted(chain.from_iterable(map(class_names, folds))) == sorted(class_names("coco"))


@pytest.mark.parametrize("split", ["few_shot_class", "../class_splits/lvis", ""])
def test_class_names__suggests_a_split(split: str) -> None:
    with pytest.raises(InputError, match=r"there is no class split .*there are .*, coco, coco_sem"):
        class_names(split)
    with pytest.raises(InputError, match=r"did you mean 'few_shot_classes'\?"):
        class_names("few_shot_class")


def test_wanted_categories__count_classes_by_category_id(tmp_path: Path) -> None:
    coco = CocoAnnotations.read(write_json(tmp_path, document()))
    found = wanted_categories(coco, None, ["bird", "boat"])
    assert [(category.id, category.name) for category in found] == [(9, "boat"), (16, "bird")]


def test_wanted_categories__prefer_names_over_a_split_over_coco(tmp_path: Path) -> None:
    coco = read(tmp_path, dict(enumerate(class_names("default_classes"), start=1)))
    assert [category.name for category in wanted_categories(coco, "few_shot_classes", ["cat"])] == [
        "cat"
    ]
    assert len(wanted_categories(coco, "few_shot_classes", None)) == 20
    assert len(wanted_categories(coco, None, None)) == 80


WRONG = {
    "misspelt": (
        ["boat", "brid"],
        r"no category 'brid' \(did you mean 'bird'\?\), asked for by cat",
    ),
    "case": (["Boat"], r"no category 'Boat' \(did you mean 'boat'\?\)"),
    "twice": (["boat", "boat"], "cat_names: 'boat' stands there twice"),
    "none": ([], "cat_names is empty"),
    "absent": (None, r"no category 'person', .* and 73 more, asked for by the 80 COCO classes"),
}


@pytest.mark.parametrize(("names", "message"), WRONG.values(), ids=list(WRONG))
def test_wanted_categories__says_what_is_wrong(tmp_path: Path, names: Any, message: str) -> None:
    coco = CocoAnnotations.read(write_json(tmp_path, document()))
    with pytest.raises(InputError, match=message):
        wanted_categories(coco, None, names)


def test_wanted_categories__refuse_a_name_of_two_categories(tmp_path: Path) -> None:
    coco = read(tmp_path, {1: "fish", 2: "fish", 3: "bird"})
    assert len(wanted_categories(coco, None, ["bird"])) == 1
    with pytest.raises(InputError, match="'fish' stands there twice"):
        wanted_categories(coco, None, ["fish"])


@pytest.mark.parametrize(
    ("split", "file"),
    [
        ("few_shot_classes", "coco/annotations/instances_train2017.json"),
        ("coco_semantic_split_2", "coco/annotations/instances_train2017.json"),
        ("lvis_minival_rare", "lvis/lvis_v1_train.json"),
        ("pascal_voc_split_3", "pascal_voc/annotations/voc0712_trainval_with_segm.json"),
    ],
)
def test_benchmark__training_annotations_lie_below_the_root_of_the_data_sets(
    split: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATASETS_ROOT", raising=False)
    assert data_root() / benchmark_of(split).train.annotations == Path("data") / file
    monkeypatch.setenv("DATASETS_ROOT", "/sets")
    assert data_root() / benchmark_of(split).train.annotations == Path("/sets") / file
