from __future__ import annotations

import os
from pathlib import Path

import pytest

from no_time_to_train.commands.outputs import versions
from no_time_to_train.errors import InputError
from no_time_to_train.output_checks import check_writable, prepare_outputs
from no_time_to_train.pl_wrapper.stages.outputs import semantic_results_path


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ((2, 5, 42), "coco_inst_semantic_split_2_5shot_42seed_results.json"),
        ((None, 5, None), "coco_inst_5shot_results.json"),
        ((1, None, 0), "coco_inst_semantic_split_1_0seed_results.json"),
    ],
)
def test_semantic_results_path__has_a_part_per_flag(
    flags: tuple[int | None, int | None, int | None], name: str
) -> None:
    assert semantic_results_path(*flags) == Path("inst_to_segm") / name


def test_semantic_results_path__without_flags_is_none() -> None:
    assert semantic_results_path(None, None, None) is None


def test_check_writable__takes_a_file_in_folders_that_are_yet_to_be_made(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "out.pth", "--out_path")
    assert not (tmp_path / "a").exists()


def test_check_writable__refuses_a_folder_and_what_lies_below_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--out_path .* is a folder"):
        check_writable(tmp_path, "--out_path")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file, not a folder"):
        check_writable(tmp_path / "file" / "out.pth", "--out_path")


def test_versions__of_what_is_not_installed_is_none() -> None:
    assert versions(["no-such-package"]) == {"no-such-package": None}


def test_check_writable__refuses_to_replace_a_write_protected_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.pth"
    path.touch()
    # Not by its mode, which does not hold root back.
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != path)
    with pytest.raises(InputError, match=r"out\.pth is write-protected"):
        check_writable(path, "--out_path")
    check_writable(tmp_path / "other.pth", "--out_path")


def test_prepare_outputs__many_pictures_may_share_a_name_but_not_with_others(
    tmp_path: Path,
) -> None:
    picture = tmp_path / "a.png"
    prepare_outputs({"the picture": [picture, picture]}, {"the image": [tmp_path / "b.png"]})
    with pytest.raises(InputError, match="are one file"):
        prepare_outputs({"--out": picture, "the picture": [picture]}, {})
