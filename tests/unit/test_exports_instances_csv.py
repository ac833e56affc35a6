from __future__ import annotations

import io
from pathlib import Path

import pandas
import pytest

from no_time_to_train.exports.instances_csv import Row, instance_rows, write_csv
from tests.unit.found import CLASSES, SQUARE, found, two_pictures


def rows_of_two_pictures() -> list[Row]:
    first, second = two_pictures()
    return [
        *instance_rows(first.file_name, first.instances, CLASSES, ["masks/a/b.png"] * 3),
        *instance_rows(second.file_name, second.instances, CLASSES, []),
    ]


def test_write_csv__has_a_row_per_instance(tmp_path: Path) -> None:
    write_csv(tmp_path / "instances.csv", rows_of_two_pictures())
    assert (tmp_path / "instances.csv").read_bytes().decode() == (
        "picture,instance,class,score,x,y,width,height,area,mask\n"
        "a/b.png,1,cell,0.9375,1,1,2,2,4,masks/a/b.png\n"
        "a/b.png,2,nucleus,0.5,2,2,4,1,4,masks/a/b.png\n"
        "a/b.png,3,cell,0.25,5,3,1,1,1,masks/a/b.png\n"
    )


def test_write_csv__pandas_reads_types_and_any_name(tmp_path: Path) -> None:
    awkward = 'ä, "b"\nc.png'
    rows = instance_rows(awkward, [found(SQUARE, 1, 0.94)], ["x", 'a,"b"'], ["m/ä, b.png"])
    write_csv(tmp_path / "instances.csv", [*rows_of_two_pictures(), *rows])
    table = pandas.read_csv(tmp_path / "instances.csv")
    assert table.score.tolist() == [0.9375, 0.5, 0.25, 0.94]
    assert table.area.tolist() == [4, 4, 1, 4]
    assert [str(table[name].dtype) for name in ("instance", "x", "width")] == ["int64"] * 3
    last = table.iloc[-1]
    assert (last.picture, last["class"], last["mask"]) == (awkward, 'a,"b"', "m/ä, b.png")
    assert table.groupby("class").area.sum().to_dict() == {"cell": 5, "nucleus": 4, 'a,"b"': 4}


def test_write_csv__without_masks_leaves_their_column_empty(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", instance_rows("a.png", [found(SQUARE)], CLASSES))
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == "a.png,1,cell,0.5,1,1,2,2,4,"
    assert pandas.read_csv(tmp_path / "a.csv")["mask"].isna().all()


def test_write_csv__of_nothing_is_a_header(tmp_path: Path) -> None:
    write_csv(tmp_path / "none.csv", [])
    assert len(pandas.read_csv(tmp_path / "none.csv")) == 0
    assert "picture" in pandas.read_csv(tmp_path / "none.csv").columns


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_write_csv__shields_what_a_spreadsheet_would_compute(tmp_path: Path, start: str) -> None:
    name = f"{start}cmd|' /C calc'!A0"
    rows = instance_rows(f"{name}.png", [found(SQUARE)], [name], [f"{name}.png"])
    write_csv(tmp_path / "a.csv", rows)
    row = pandas.read_csv(tmp_path / "a.csv").iloc[0]
    assert (row.picture, row["mask"]) == (f"./{name}.png", f"./{name}.png")
    assert row["class"] == f"'{name}"


def test_write_csv__spells_out_bytes_that_are_no_text(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", instance_rows("a\udcff\r.png", [found(SQUARE)], CLASSES))
    assert pandas.read_csv(tmp_path / "a.csv").picture[0] == r"a\udcff\r.png"


def test_write_csv__writes_to_an_open_file() -> None:
    file = io.StringIO()
    write_csv(file, rows_of_two_pictures())
    assert len(file.getvalue().splitlines()) == 4
