"""The index of finished pictures, and tables made of it without holding what was found."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from no_time_to_train.dataset.picture_folders import FoundPictures
from no_time_to_train.pl_wrapper.journal import Journal
from no_time_to_train.pl_wrapper.prediction.job import Table, tables_of
from no_time_to_train.pl_wrapper.prediction.kept import KeptPictures
from no_time_to_train.pl_wrapper.prediction.tables import TableWriter, totals_of


def line(name: str, counts: str = "05", instances: int = 1) -> dict[str, Any]:
    found = {
        "label": 0,
        "score": 0.75,
        "bbox": [0, 0, 5, 1],
        "area": 5,
        "segmentation": {"size": [1, 5], "counts": counts},
    }
    result = {"image_id": 1, "file_name": name, "height": 1, "width": 5}
    result |= {"instances": [found] * instances, "candidates": 3, "best_score": 0.75}
    return {"bad": None, "file_name": name, "output": name[:-4], "result": result}


def bad(name: str) -> dict[str, Any]:
    return {"bad": "cannot be decoded", "file_name": name, "output": name[:-4]}


def writer(kept: KeptPictures, folder: Path) -> TableWriter:
    return TableWriter([Table(folder, 0, kept.total)], kept, ["cell"], False, folder)


def test_kept__counts_new_lines_of_all_ranks_and_no_half_ones(tmp_path: Path) -> None:
    kept = KeptPictures(4)
    kept.follow(tmp_path)
    first, second = Journal(tmp_path, 0), Journal(tmp_path, 1)
    first.append(2, line("c.jpg"))
    second.append(1, bad("b.jpg"))
    kept.update()
    assert (kept.count, kept.missing(), kept.bad) == (2, [0, 3], {1})
    with second.path.open("a") as file:
        file.write('{"index": 3, "bad": null, "file_na')
    kept.update()
    assert kept.count == 2
    with second.path.open("a") as file:
        file.write('me": "d.jpg"}\n')
    kept.update()
    assert kept.line(3)["file_name"] == "d.jpg"
    assert kept.missing() == [0]


def test_take_up__gives_earlier_lines_their_new_positions(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    for index, name in enumerate(["a.jpg", "gone.jpg", "b.jpg"]):
        journal.append(index, line(name))
    kept = KeptPictures(3)
    positions = {"a.jpg": 0, "b.jpg": 1, "new.jpg": 2}
    kept.take_up([journal.path], lambda each: positions.get(each["file_name"]))
    assert kept.missing() == [2]
    assert [kept.line(index)["file_name"] for index in (0, 1)] == ["a.jpg", "b.jpg"]


def test_tables__are_in_picture_order_without_bad_pictures(tmp_path: Path) -> None:
    kept = KeptPictures(3)
    kept.follow(tmp_path)
    journal = Journal(tmp_path, 0)
    for index, entry in ((2, line("c.jpg", instances=2)), (0, line("a.jpg")), (1, bad("b.jpg"))):
        journal.append(index, entry)
    kept.update()
    writer(kept, tmp_path).write_complete()
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(i["id"], i["file_name"]) for i in results["images"]] == [(1, "a.jpg"), (3, "c.jpg")]
    assert [a["image_id"] for a in results["annotations"]] == [1, 3, 3]
    assert len((tmp_path / "instances.csv").read_text().splitlines()) == 4
    totals = totals_of(kept)  # from the lines as they were copied
    assert (totals.pictures, totals.instances, totals.candidates) == (2, 3, 6)
    assert totals.bad_pictures == [{"file_name": "b.jpg", "reason": "cannot be decoded"}]
    assert not writer(kept, tmp_path)._waiting


def test_tables_of__one_for_all_or_one_a_folder(tmp_path: Path) -> None:
    found = FoundPictures(Path("pics"), ["a.jpg", "b.jpg", "x/c.jpg", "x/y/d.jpg"])
    assert tables_of(found, tmp_path, per_folder=False) == [Table(tmp_path, 0, 4)]
    assert tables_of(found, tmp_path, per_folder=True) == [
        Table(tmp_path / "tables", 0, 2),
        Table(tmp_path / "tables/x", 2, 3),
        Table(tmp_path / "tables/x/y", 3, 4),
    ]


@pytest.mark.parametrize("count", [150, 600])
def test_memory__does_not_grow_with_what_was_found(tmp_path: Path, count: int) -> None:
    """Lines of 20 kB: 3 MB and 12 MB of them, of which less than a megabyte is held at a time."""
    journal = Journal(tmp_path, 0)
    for index in range(count):
        journal.append(index, line(f"{index:06d}.jpg", counts="0" * 4000, instances=5))
    kept = KeptPictures(count)
    kept.follow(tmp_path)
    kept._sizes = {}
    tracemalloc.start()
    kept.update()
    writer(kept, tmp_path).write_complete()
    assert totals_of(kept).instances == 5 * count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
