"""Which annotations may become references, and the command that draws them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.dataset.benchmarks import BENCHMARKS, Images
from no_time_to_train.dataset.few_shot_sampling import main, sample_references
from no_time_to_train.dataset.reference_set import ReferencePick, read_reference_set
from no_time_to_train.errors import InputError
from tests.unit.coco_files import annotation, image, write_images, write_json
from tests.unit.scripts import run_script

VALID = {"bbox": [10, 10, 32, 32]}
"""The smallest valid box, in the corner of an image of 100 x 100 pixels."""


def boats(*changes: dict[str, Any]) -> dict[str, Any]:
    """One boat per image; each entry changes the valid annotation of its image."""
    return {
        "images": [image(number, f"{number}.png", 100, 100) for number in range(len(changes))],
        "annotations": [
            annotation(number, **{"image_id": number, "category_id": 9, **VALID, **change})
            for number, change in enumerate(changes)
        ],
        "categories": [{"id": 9, "name": "boat"}],
    }


def sample(folder: Path, content: Any, n_shot: int, **options: Any) -> dict[int, list[Any]]:
    annotations = CocoAnnotations.read(write_json(folder, content))
    return sample_references(annotations, annotations.categories, n_shot, seed=1, **options)


@pytest.mark.parametrize("bbox", [[10, 10, 32, 32], [58, 58, 32, 32], [10, 10, 80, 80]])
def test_sample_references__takes_boxes_just_large_and_clear_enough(
    tmp_path: Path, bbox: list[float]
) -> None:
    assert sample(tmp_path, boats({"bbox": bbox}), 1) == {9: [ReferencePick(0, [0])]}


INVALID = {
    "crowd": {"iscrowd": 1},
    "narrow": {"bbox": [10, 10, 31.9, 40]},
    "low": {"bbox": [10, 10, 40, 31.9]},
    "left": {"bbox": [9.9, 10, 40, 40]},
    "top": {"bbox": [10, 9.9, 40, 40]},
    "right": {"bbox": [50.1, 10, 40, 40]},
    "bottom": {"bbox": [10, 50.1, 40, 40]},
    "impossible": {"isimpossible": 1},
}


@pytest.mark.parametrize("change", INVALID.values(), ids=list(INVALID))
def test_sample_references__refuses_bad_examples(tmp_path: Path, change: dict[str, Any]) -> None:
    assert sample(tmp_path, boats(change, {}), 1) == {9: [ReferencePick(1, [1])]}
    with pytest.raises(InputError, match=r"too few valid references for 2 shots of boat \(1\)"):
        sample(tmp_path, boats(change, {}), 2)


def test_sample_references__takes_one_per_image(tmp_path: Path) -> None:
    content = boats({}, {"image_id": 0}, {"image_id": 0})
    assert len(sample(tmp_path, content, 1)[9]) == 1
    with pytest.raises(InputError, match=r"boat \(1\)"):
        sample(tmp_path, content, 2)


def test_sample_references__names_a_class_without_annotations(tmp_path: Path) -> None:
    content = boats({})
    content["categories"].append({"id": 16, "name": "bird"})
    with pytest.raises(InputError, match=r"1 shots of bird \(0\); ask for fewer"):
        sample(tmp_path, content, 1)


def test_sample_references__starts_over_where_repeats_are_allowed(tmp_path: Path) -> None:
    picks = sample(tmp_path, boats({}, {}, {"iscrowd": 1}), 5, allow_repeats=True)[9]
    assert sorted(pick.img_id for pick in picks[:2]) == [0, 1]
    assert picks == [*picks[:2], *picks[:2], picks[0]]


def test_sample_references__takes_invalid_ones_where_nothing_else_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        picks = sample(tmp_path, boats({"iscrowd": 1}), 2, allow_repeats=True)[9]
    assert picks == [ReferencePick(0, [0])] * 2
    assert [record.message for record in caplog.records] == [
        "boat has no valid reference; taking crowds, small or cut-off ones"
    ]


def test_sample_references__takes_invalid_ones_of_one_image_too(tmp_path: Path) -> None:
    crowds = boats({"iscrowd": 1}, {"iscrowd": 1, "image_id": 0}, {"iscrowd": 1, "image_id": 0})
    picks = sample(tmp_path, crowds, 2, allow_repeats=True)[9]
    assert len({pick.ann_ids[0] for pick in picks}) == 2
    assert [pick.img_id for pick in picks] == [0, 0]


@pytest.mark.parametrize(("count", "n_shot"), [(1, 4), (2, 5), (3, 5), (4, 5), (5, 5), (6, 5)])
@pytest.mark.parametrize("change", [{}, {"iscrowd": 1}], ids=["valid", "invalid"])
def test_sample_references__appends_entry_after_entry(
    tmp_path: Path, count: int, n_shot: int, change: dict[str, Any]
) -> None:
    picks = sample(tmp_path, boats(*[change] * count), n_shot, allow_repeats=True)[9]
    filled = picks[: min(count, n_shot)]
    assert len({pick.img_id for pick in filled}) == len(filled)
    for entry in filled:  # as the published sampler fills up: the list grows while it is walked
        if len(filled) < n_shot:
            filled.append(entry)
    assert picks == filled


def test_sample_references__of_lvis_may_be_impossible_ones(tmp_path: Path) -> None:
    content = boats({"isimpossible": 1})
    assert sample(tmp_path, content, 1, allow_repeats=True) == {9: [ReferencePick(0, [0])]}


def test_sample_references__leaves_out_classes_of_lvis_without_annotations(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = boats({})
    content["categories"] += [{"id": 16, "name": "bird"}, {"id": 3, "name": "ox"}]
    with caplog.at_level(logging.WARNING):
        assert list(sample(tmp_path, content, 1, allow_repeats=True)) == [9]
    (message,) = caplog.messages
    assert message.endswith("coco.json: 2 classes without annotations left out: bird, ox")


def test_sample_references__needs_one_annotation_of_lvis_at_least(tmp_path: Path) -> None:
    content = boats({}) | {"annotations": []}
    with pytest.raises(InputError, match=r"1 shots of boat \(0\); ask for fewer"):
        sample(tmp_path, content, 1, allow_repeats=True)


def test_sample_references__needs_image_sizes(tmp_path: Path) -> None:
    content = boats({})
    del content["images"][0]["height"]
    with pytest.raises(InputError, match="image 0 has no height and width in the json"):
        sample(tmp_path, content, 1)


def options(folder: Path, **changes: Any) -> list[str]:
    """Words of a command that draws one boat."""
    values = {
        "n-shot": 1,
        "seed": 33,
        "dataset": "few_shot_classes",
        "out-path": folder / "set.pkl",
    }
    pairs = {**values, **changes}
    return [str(word) for key, value in pairs.items() for word in (f"--{key}", value)]


def test_script__reads_the_data_set_below_the_working_directory(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "coco" / "annotations"
    folder.mkdir(parents=True)
    write_json(folder, boats({}), "instances_train2017.json")
    words = options(tmp_path)
    result = run_script("few_shot_sampling.py", *words, cwd=tmp_path, list_imports=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert read_reference_set(tmp_path / "set.pkl") == {9: [ReferencePick(0, [0])]}
    warning, closing, loaded = result.stdout.splitlines()
    assert (
        "lacks 19 classes of the split (person, bicycle, car, motorcycle, airplane, ...)" in warning
    )
    assert closing.endswith(
        "set.pkl: 1 references of 1 classes, 1 each; "
        "from data/coco/annotations/instances_train2017.json, seed 33"
    )
    assert loaded == "loaded: []"


def test_script__finds_the_data_sets_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "sets" / "lvis").mkdir(parents=True)
    content = boats({})
    content["categories"][0]["name"] = "aerosol_can"
    write_json(tmp_path / "sets" / "lvis", content, "lvis_v1_train.json")
    words = options(tmp_path, dataset="lvis", **{"n-shot": 3})
    result = run_script("few_shot_sampling.py", *words, cwd=tmp_path, DATASETS_ROOT="sets")
    assert result.returncode == 0, result.stderr
    assert read_reference_set(tmp_path / "set.pkl") == {9: [ReferencePick(0, [0])] * 3}


def test_script__fails_with_one_line_and_writes_nothing(tmp_path: Path) -> None:
    path = write_json(tmp_path, boats({}))
    words = options(tmp_path, **{"json-file": path, "n-shot": 2})
    result = run_script("few_shot_sampling.py", *words, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: {path}: too few valid references for 2 shots of boat (1); ask for fewer shots\n"
    )
    assert not (tmp_path / "set.pkl").exists()


def test_main__draws_from_any_row_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "harbour.txt").write_text("boat\n")
    write_json(tmp_path, boats({}, {}), "harbour.json")
    monkeypatch.setenv("DATASETS_ROOT", str(tmp_path))
    row = replace(
        BENCHMARKS["lvis"],
        splits={"harbour": tmp_path / "harbour.txt"},
        train=Images("harbour.json", "harbour"),
    )
    monkeypatch.setitem(BENCHMARKS, "harbour", row)
    main(options(tmp_path, dataset="harbour", **{"n-shot": 5}))
    picks = read_reference_set(tmp_path / "set.pkl")[9]
    assert [pick.img_id for pick in picks] in ([0, 1, 0, 1, 0], [1, 0, 1, 0, 1])
    monkeypatch.setitem(BENCHMARKS, "harbour", replace(row, repeats=False))
    with pytest.raises(InputError, match=r"too few valid references for 5 shots of boat \(2\)"):
        main(options(tmp_path, dataset="harbour", **{"n-shot": 5}))


WRONG = {
    "split": (
        {"dataset": "few_shot"},
        "no class split 'few_shot' .did you mean 'few_shot_classes'",
    ),
    "json": ({"json-file": "nowhere.json"}, "nowhere.json: there is no such file"),
    "classes": (
        {"dataset": "pascal_voc_split_1"},
        r"lacks 5 classes of the split \(sofa, cow, bus",
    ),
    "plot": ({"plot": ""}, "--plot needs the folder of the images: add --img-dir"),
    "pictures": ({"plot": "", "img-dir": "nowhere"}, "--img-dir: there is no folder nowhere"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=list(WRONG))
def test_main__says_what_is_wrong(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_json(tmp_path, boats({}))
    words = options(tmp_path, **{"json-file": path, **changes})
    with pytest.raises(InputError, match=message):
        main([word for word in words if word])
    assert not (tmp_path / "set.pkl").exists()


def test_main__refuses_zero_shots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(options(tmp_path, **{"n-shot": 0}))
    assert "--n-shot: must be a whole number, 1 or more, got '0'" in capsys.readouterr().err


def test_main__draws_the_references(tmp_path: Path) -> None:
    path = write_json(tmp_path, boats({"segmentation": [[20, 20, 40, 20, 40, 40, 20, 40]]}, {}))
    root = write_images(tmp_path / "images", ["0.png", "1.png"], (100, 100))
    words = options(tmp_path, **{"json-file": path, "n-shot": 2, "img-dir": root})
    main([*words, "--plot"])
    pictures = sorted((tmp_path / "set_pictures").iterdir())
    assert [picture.name for picture in pictures] == ["9_boat_0.jpg", "9_boat_1.jpg"]
    with Image.open(pictures[0]) as picture:
        assert picture.size == (100, 100)
        assert len(set(picture.convert("RGB").get_flattened_data())) > 10


def test_main__draws_on_turned_photographs_as_they_are_shown(tmp_path: Path) -> None:
    content = boats({"segmentation": [[10, 10, 50, 10, 50, 50, 10, 50]]})
    content["images"][0].update(height=60, width=100)
    path = write_json(tmp_path, content)
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    Image.new("RGB", (60, 100), "grey").save(tmp_path / "images/0.png", exif=exif)
    words = options(tmp_path, **{"json-file": path, "img-dir": tmp_path / "images"})
    main([*words, "--plot"])
    (picture,) = (tmp_path / "set_pictures").iterdir()
    assert Image.open(picture).size == (100, 60)
