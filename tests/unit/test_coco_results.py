"""Records of known masks, and result files that are whole or absent."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as rle_codec

from no_time_to_train.coco.results import to_records, write_records
from no_time_to_train.structures import Prediction

GOLDEN = Path(__file__).parents[1] / "golden"


def prediction(masks: torch.Tensor, boxes: list[list[int]], scores: list[float], labels: list[int]):
    return Prediction(
        masks, torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), torch.tensor(labels)
    )


def test_to_records__writes_pixel_box_score_class_and_run_lengths() -> None:
    masks = torch.zeros(1, 3, 4, dtype=torch.bool)
    masks[0, 1:3, 1:4] = True  # rows 1 to 2, columns 1 to 3
    (record,) = to_records(prediction(masks, [[1, 1, 3, 2]], [0.5], [1]), 98636, [9, 16])
    assert record == {
        "image_id": 98636,
        "category_id": 16,
        "bbox": [1, 1, 2, 1],
        "score": 0.5,
        # Down the columns: 4 off, 2 on, 1 off, 2 on, 1 off, 2 on; from the fourth run on as a
        # difference to the one before the last: 4 2 1 0 0 0, each a character from "0" on.
        "segmentation": {"size": [3, 4], "counts": "421000"},
    }
    assert type(record["score"]) is float
    assert json.loads(json.dumps(record)) == record


def test_to_records__nothing_found() -> None:
    empty = prediction(torch.zeros(0, 3, 4, dtype=torch.bool), [], [], [])
    assert to_records(empty, "a", [9]) == []


@pytest.mark.parametrize("case", ["mixed", "dense", "upscale", "downscale"])
def test_to_records__equals_the_published_results(case: str) -> None:
    golden = np.load(GOLDEN / f"matching_{case}.npz")
    size = golden["original_size"].tolist()
    rles = [{"size": size, "counts": counts} for counts in golden["rle"].tolist()]
    masks = torch.from_numpy(rle_codec.decode(rles).astype(bool)).permute(2, 0, 1)
    records = to_records(
        prediction(masks, golden["boxes"].tolist(), golden["scores"], golden["labels"].tolist()),
        7,
        list(range(100)),
    )
    assert [record["segmentation"] for record in records] == rles
    assert [record["score"] for record in records] == golden["scores"].tolist()
    for record, (x1, y1, x2, y2) in zip(records, golden["boxes"].tolist(), strict=True):
        assert record["bbox"] == [x1, y1, x2 - x1, y2 - y1]


def test_write_records__is_read_back_as_written(tmp_path: Path) -> None:
    masks = torch.ones(2, 3, 4, dtype=torch.bool)
    boxes = [[0, 0, 3, 2], [0, 0, 3, 2]]
    records = to_records(prediction(masks, boxes, [0.25, 0.1], [0, 0]), "a", [9])
    path = tmp_path / "new_folder" / "results.json"
    write_records(path, records)
    assert json.loads(path.read_text()) == records
    assert len(path.read_text().splitlines()) == 4  # a line per record between the brackets


def test_write_records__no_records_are_an_empty_list(tmp_path: Path) -> None:
    write_records(tmp_path / "results.json", [])
    assert json.loads((tmp_path / "results.json").read_text()) == []


def test_write_records__leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("before")
    with pytest.raises(TypeError):
        write_records(path, [{"image_id": object()}])
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
