"""References and targets of LVIS, from the official files and from those that the tools write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from no_time_to_train.config import FillMemoryDataConfig, TestDataConfig
from no_time_to_train.dataset import few_shot_sampling, lvis_add_filename, lvis_fix_minival_segm
from no_time_to_train.dataset.class_splits import class_names
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.dataset.targets import TargetDataset
from no_time_to_train.errors import InputError
from tests.miniatures import lvis


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the data sets."""
    monkeypatch.setenv("DATASETS_ROOT", str(tmp_path))
    return tmp_path


def sample(data: Path, json_file: Path, n_shot: int = 2) -> Path:
    """Draw references for all of LVIS."""
    options = {
        "--dataset": "lvis",
        "--n-shot": n_shot,
        "--seed": 42,
        "--json-file": json_file,
        "--out-path": data / "set.pkl",
    }
    few_shot_sampling.main([str(word) for option in options.items() for word in option])
    return data / "set.pkl"


def references(data: Path, json_file: Path, split: str, n_shot: int = 2) -> ReferenceDataset:
    return ReferenceDataset(
        FillMemoryDataConfig(
            name="lvis",
            root=str(data / "coco" / "allimages"),
            json_file=str(json_file),
            memory_pkl=str(sample(data, json_file, n_shot)),
            memory_length=n_shot,
            image_size=28,
            class_split=split,
        )
    )


@pytest.mark.parametrize("folder", ["lvis", "lvis/original"])
def test_references__of_lvis_with_and_without_file_names(data: Path, folder: str) -> None:
    lvis.write(data)
    lvis_add_filename.main([])
    found = references(data, data / folder / "lvis_v1_train.json", "lvis_rare")
    assert found.class_names == class_names("lvis_rare")
    assert len(found) == 2 * 337  # one each, which stands there twice
    by_class: dict[int, list[int | str]] = {}
    for index in (0, 1, 2, 3, 4, 5, 672, 673):
        by_class.setdefault(found[index].class_index, []).append(found[index].image_id)
    assert by_class == {0: [1, 1], 1: [2, 2], 2: [3, 3], 336: [4, 4]}
    assert found[0].source == "annotation 1 of image 000000000001.jpg"


@pytest.mark.parametrize(
    ("file", "count"),
    [("lvis/original/lvis_v1_val.json", 4), ("lvis/lvis_v1_minival.json", 2)],
)
def test_targets__of_lvis_as_it_is_and_as_the_tools_leave_it(
    data: Path, file: str, count: int
) -> None:
    lvis.write(data)
    lvis_fix_minival_segm.main([])
    config = TestDataConfig(
        name="lvis",
        root=str(data / "coco" / "allimages"),
        json_file=str(data / file),
        image_size=32,
        class_split="lvis_minival",
    )
    targets = TargetDataset(config)
    assert len(targets.class_names) == 1203
    assert [target.image_id for target in targets] == [11, 12, 13, 14][:count]


def refused(data: Path, split: str, classes: Sequence[str]) -> str:
    """The sentence that filling a memory ends with."""
    lvis.write(data, classes)
    with pytest.raises(InputError) as refusal:
        references(data, data / "lvis" / "original" / "lvis_v1_train.json", split)
    return str(refusal.value)


def test_references__classes_that_were_left_out_are_named(data: Path) -> None:
    classes = class_names("lvis_rare")
    message = refused(data, "lvis_rare", [*classes[:20], classes[-1]])
    assert f"set.pkl holds no references for {classes[20]}, {classes[21]}, " in message
    assert message.endswith("leave them out of dataset_cfgs.fill_memory.cat_names or class_split")
    assert "\n" not in message


def test_references__classes_that_the_file_lacks_are_named(data: Path) -> None:
    lvis.write(data)
    path = data / "lvis" / "original" / "lvis_v1_train.json"
    content = json.loads(path.read_text())
    content["categories"].pop(0)  # aerosol_can, which has no annotations
    path.write_text(json.dumps(content))
    assert len(references(data, path, "lvis_rare")) == 2 * 337
    with pytest.raises(
        InputError, match=r"has no category 'aerosol_can' .*, asked for by class_split"
    ):
        references(data, path, "lvis")
