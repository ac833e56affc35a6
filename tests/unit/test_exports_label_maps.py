from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from no_time_to_train.exports.label_maps import (
    instance_file_names,
    label_map,
    write_instance_masks,
    write_label_map,
)
from no_time_to_train.exports.output_names import OutputNames, name_part
from tests.unit.found import BAR, CLASSES, CORNER, SQUARE, drawn, found, result, two_pictures


def test_label_map__numbers_instances_and_gives_shared_pixels_to_the_best() -> None:
    expected = [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 1, 1, 2, 2, 2],
        [0, 0, 0, 0, 0, 3],
    ]
    assert label_map(two_pictures()[0]).tolist() == expected


def test_write_label_map__equals_the_masks_less_those_of_better_instances(tmp_path: Path) -> None:
    picture = two_pictures()[0]
    write_label_map(tmp_path / "new" / "b.png", picture)
    with Image.open(tmp_path / "new" / "b.png") as image:
        assert (image.mode, image.size) == ("I;16", (6, 4))
        values = np.array(image)
    better = np.zeros((4, 6), dtype=bool)
    for number, instance in enumerate(picture.instances, start=1):
        assert np.array_equal(values == number, instance.mask & ~better)
        better |= instance.mask
    assert np.array_equal(values == 0, ~better)


def test_write_label_map__of_a_picture_without_instances_is_black(tmp_path: Path) -> None:
    write_label_map(tmp_path / "none.png", result([], size=(5, 3)))
    assert np.array(Image.open(tmp_path / "none.png")).tolist() == [[0] * 3] * 5


def test_label_map__has_values_beyond_255() -> None:
    instances = [found(np.arange(300)[None] == column) for column in range(300)]
    values = label_map(result(instances, size=(1, 300)))
    assert values.tolist() == [list(range(1, 301))]


def test_label_map__holds_no_more_instances_than_16_bits_number() -> None:
    with pytest.raises(AssertionError):
        label_map(result([found(drawn("#"))] * 65_536, size=(1, 1)))


def test_write_instance_masks__are_whole_masks(tmp_path: Path) -> None:
    picture = two_pictures()[0]
    write_instance_masks(tmp_path / "b", picture, CLASSES)
    names = ["001_cell_0.94.png", "002_nucleus_0.50.png", "003_cell_0.25.png"]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == names
    for name, mask in zip(names, (SQUARE, BAR, CORNER), strict=True):
        with Image.open(tmp_path / "b" / name) as image:
            assert image.mode == "L"
            assert np.array_equal(np.array(image), np.where(mask, 255, 0))


def test_written_pictures__are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        write_label_map(tmp_path / name, two_pictures()[0])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("cell", "cell"),
        ("Zähler 2", "Zähler_2"),
        ("细胞", "细胞"),
        ("a/b\\c", "a_b_c"),
        ("../up", "up"),
        ("e.g. this.", "e.g._this"),
        ('what? "x"|<y>*:\n', "what_x_y"),
        ("", "_"),
        (" . ", "_"),
        ("\ud800", "_"),
        ("x" * 300, "x" * 80),
        ("ä" * 300, "ä" * 40),
        ("x" + "细" * 300, "x" + "细" * 26),  # 79 bytes: the next letter would be cut
    ],
)
def test_name_part__is_one_that_every_file_system_takes(name: str, part: str) -> None:
    assert name_part(name) == part


def test_instance_file_names__differ_though_class_and_score_are_equal() -> None:
    instance = replace(found(SQUARE), score=0.999)
    names = instance_file_names(result([instance, instance]), ["CON", "nul"])
    assert names == ["001_CON_1.00.png", "002_CON_1.00.png"]


def test_output_names__replace_the_suffix() -> None:
    names = OutputNames(["a/b.jpg", "c.d.tif", "none", ".hidden"])
    assert names.of("a/b.jpg", ".png") == "a/b.png"
    assert names.of("c.d.tif", ".json") == "c.d.json"
    assert names.of("none", ".txt") == "none.txt"
    assert names.of(".hidden", ".txt") == ".hidden.txt"
    assert names.of("a/b.jpg") == "a/b"


def test_output_names__keep_the_suffix_where_pictures_differ_in_nothing_else() -> None:
    pictures = ["b.jpg", "b.tif", "B.png", "x/b.jpg", "c.jpg", "c.jpg.gif", "d", "d.gif"]
    names = OutputNames(pictures)
    written = [names.of(each, ".png") for each in pictures]
    assert written[:4] == ["b.jpg.png", "b.tif.png", "B.png.png", "x/b.png"]
    assert len({each.casefold() for each in written}) == len(pictures)
