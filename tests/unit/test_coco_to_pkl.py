"""Every annotation of a json as a reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.dataset.coco_to_pkl import collect_references, main
from no_time_to_train.dataset.reference_set import ReferencePick, read_reference_set
from no_time_to_train.errors import InputError
from tests.unit.coco_files import annotation, document, write_json
from tests.unit.scripts import run_script

BOATS = [annotation(1, 3, 9), annotation(2, 7, 9), annotation(3, 7, 16), annotation(4, 3, 9)]


def test_collect_references__repeats_an_image_once_per_annotation(tmp_path: Path) -> None:
    coco = CocoAnnotations.read(write_json(tmp_path, document(annotations=BOATS)))
    references = collect_references(coco, 1)
    assert list(references) == [9, 16]
    both = ReferencePick(3, [1, 4])
    assert references == {9: [both, both, ReferencePick(7, [2])], 16: [ReferencePick(7, [3])]}


def test_collect_references__pads_classes_with_too_few(tmp_path: Path) -> None:
    coco = CocoAnnotations.read(write_json(tmp_path, document(annotations=BOATS)))
    references = collect_references(coco, 5)
    assert {category: len(picks) for category, picks in references.items()} == {9: 5, 16: 5}
    assert references[9][:3] == collect_references(coco, 1)[9]
    assert references[16] == [ReferencePick(7, [3])] * 5


def test_script__writes_a_reference_set(tmp_path: Path) -> None:
    path = write_json(tmp_path, document())
    result = run_script("coco_to_pkl.py", path, "set.pkl", "1", cwd=tmp_path, list_imports=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "set.pkl: 3 references of 2 classes: bird 1, boat 2\nloaded: []\n"
    assert read_reference_set(tmp_path / "set.pkl") == {
        16: [ReferencePick(7, [1])],
        9: [ReferencePick(7, [2]), ReferencePick(3, [5])],
    }


def test_script__fails_with_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "set.pkl").write_bytes(b"old")
    result = run_script("coco_to_pkl.py", "nowhere.json", "set.pkl", "1", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == (
        "error: nowhere.json: there is no such file; check the path to the COCO json\n"
    )
    assert (tmp_path / "set.pkl").read_bytes() == b"old"


def test_main__refuses_a_json_without_annotations(tmp_path: Path) -> None:
    path = write_json(tmp_path, document(annotations=[]))
    with pytest.raises(InputError, match="has no annotations; there is nothing to refer to"):
        main([str(path), str(tmp_path / "set.pkl"), "1"])


@pytest.mark.parametrize("count", ["0", "-1", "many", "1.5"])
def test_main__refuses_a_count_below_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: str
) -> None:
    with pytest.raises(SystemExit):
        main(["in.json", str(tmp_path / "set.pkl"), "--", count])
    assert f"must be a whole number, 1 or more, got '{count}'" in capsys.readouterr().err
