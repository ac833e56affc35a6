"""Reference sets equal, pick for pick, to those that the published system drew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.dataset.class_splits import categories_named, class_names
from no_time_to_train.dataset.coco_to_pkl import collect_references
from no_time_to_train.dataset.few_shot_sampling import main, sample_references
from no_time_to_train.dataset.reference_set import ReferencePick, read_reference_set

GOLDEN = json.loads((Path(__file__).parent / "reference_sampling.json").read_text())
PUBLISHED = [key for key in GOLDEN["sampling"] if not key.endswith("allow_duplicates")]


@pytest.fixture(scope="module")
def json_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("coco") / "instances.json"
    path.write_text(json.dumps(GOLDEN["coco"]))
    return path


def as_golden(references: dict[int, list[ReferencePick]]) -> list[Any]:
    return [
        [category, [{"img_id": pick.img_id, "ann_ids": pick.ann_ids} for pick in picks]]
        for category, picks in references.items()
    ]


@pytest.mark.parametrize("key", GOLDEN["sampling"])
def test_sample_references__equals_the_published_picks(json_file: Path, key: str) -> None:
    split, shots, seed, *rule = key.split("/")
    annotations = CocoAnnotations.read(json_file)
    references = sample_references(
        annotations,
        categories_named(annotations, class_names(split)),
        n_shot=int(shots.removesuffix("shot")),
        seed=int(seed.removeprefix("seed")),
        allow_repeats=rule == ["allow_duplicates"],
    )
    assert as_golden(references) == GOLDEN["sampling"][key]


@pytest.mark.parametrize("key", PUBLISHED)
def test_few_shot_sampling__writes_the_published_picks(
    json_file: Path, tmp_path: Path, key: str
) -> None:
    split, shots, seed = key.split("/")
    options = {
        "--n-shot": shots.removesuffix("shot"),
        "--seed": seed.removeprefix("seed"),
        "--dataset": split,
        "--json-file": str(json_file),
        "--out-path": str(tmp_path / "set.pkl"),
    }
    main([word for option in options.items() for word in option])
    assert as_golden(read_reference_set(tmp_path / "set.pkl")) == GOLDEN["sampling"][key]


@pytest.mark.parametrize("n_shot", GOLDEN["coco_to_pkl"])
def test_coco_to_pkl__equals_the_published_conversion(json_file: Path, n_shot: str) -> None:
    references = collect_references(CocoAnnotations.read(json_file), int(n_shot))
    assert as_golden(references) == GOLDEN["coco_to_pkl"][n_shot]
