"""Predictions of the Python API: chosen, filtered, iterated, handed over."""

from __future__ import annotations

import csv
import io
import json
import pickle
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as rle_codec

from no_time_to_train.api import ImageInstance, ImagePrediction
from no_time_to_train.errors import InputError
from no_time_to_train.models.mask_ops import mask_boxes
from no_time_to_train.structures import Prediction
from no_time_to_train.visualization.captions import write_note


def of_masks(
    masks: Any,
    scores: Sequence[float],
    labels: Sequence[int],
    image: Any,
    class_names: Sequence[str] = ("coin", "arrow"),
    thresholds: Sequence[float] = (0.5, 0.5),
    **more: Any,
) -> ImagePrediction:
    drawn = torch.from_numpy(masks)
    found = Prediction(drawn, mask_boxes(drawn), torch.tensor(scores), torch.tensor(labels))
    return ImagePrediction.of(found, image, class_names, thresholds, **more)


PICTURE = np.zeros((3, 4, 3), np.uint8)
MASKS = np.array(
    [
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]],  # columns 0 to 1, rows 0 to 1
        [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]],  # columns 2 to 3, rows 1 to 2
        [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]],
    ],
    bool,
)


def three(**more: Any) -> ImagePrediction:
    """A coin, an arrow, a coin."""
    return of_masks(MASKS, [0.75, 0.5, 0.25], [0, 1, 0], PICTURE, **more)


def test_prediction__gives_back_what_was_found() -> None:
    found = three()
    assert len(found) == 3
    assert found.boxes.tolist() == [[0, 0, 1, 1], [2, 1, 3, 2], [3, 0, 3, 0]]
    assert found.boxes.dtype == found.labels.dtype == torch.int64
    assert found.scores.tolist() == [0.75, 0.5, 0.25] and found.scores.dtype == torch.float32
    assert found.labels.tolist() == [0, 1, 0]
    assert found.names == ["coin", "arrow", "coin"]
    assert found.masks.dtype == torch.bool
    assert np.array_equal(found.masks.numpy(), MASKS)


def test_prediction__without_instances_has_the_same_shapes() -> None:
    nothing = three()[:0]
    assert len(nothing) == 0 and not list(nothing) and nothing.names == []
    assert nothing.boxes.shape == (0, 4) and nothing.masks.shape == (0, 3, 4)
    assert nothing.scores.shape == nothing.labels.shape == (0,)
    assert nothing.to_coco() == []


def test_iteration__gives_one_record_an_instance() -> None:
    first, second, _ = three()
    assert isinstance(first, ImageInstance)
    assert (first.name, first.score, first.label, first.area) == ("coin", 0.75, 0, 4)
    assert (second.name, second.box, second.bbox) == ("arrow", (2, 1, 3, 2), (2, 1, 2, 2))
    assert np.array_equal(second.mask, MASKS[1])


def rows(found: ImagePrediction) -> list[float]:
    return found.scores.tolist()


@pytest.mark.parametrize(
    ("chosen", "scores"),
    [
        (slice(1, None), [0.5, 0.25]),
        (slice(None, None, -1), [0.25, 0.5, 0.75]),
        ([2, 0], [0.25, 0.75]),
        ((1,), [0.5]),
        ([-1, -3], [0.25, 0.75]),
        ([0, 0], [0.75, 0.75]),
        ([], []),
        (np.array([1, 2]), [0.5, 0.25]),
        (torch.tensor([1]), [0.5]),
        ([True, False, True], [0.75, 0.25]),
        (np.array([False, True, False]), [0.5]),
        (torch.tensor([0.75, 0.5, 0.25]) > 0.3, [0.75, 0.5]),
    ],
)
def test_index__chooses_instances(chosen: Any, scores: list[float]) -> None:
    found = three()[chosen]
    assert isinstance(found, ImagePrediction)
    assert rows(found) == scores
    assert found.image is PICTURE


@pytest.mark.parametrize("chosen", [1, -2, np.int64(1), torch.tensor(1)])
def test_index__of_one_number_is_one_instance(chosen: Any) -> None:
    assert three()[chosen].box == (2, 1, 3, 2)


@pytest.mark.parametrize("chosen", [3, -4, [3], [0, -4]])
def test_index__beyond_the_last_instance_is_an_index_error(chosen: Any) -> None:
    with pytest.raises(IndexError):
        three()[chosen]


@pytest.mark.parametrize(
    "chosen",
    ["coin", None, 1.0, True, np.True_, torch.tensor(True), [0.5], [[0]], [True], [True] * 4],
)
def test_index__of_another_kind_is_named(chosen: Any) -> None:
    with pytest.raises(InputError, match=r"^the index is "):
        three()[chosen]


def test_filter__by_score_and_class() -> None:
    found = three()
    assert rows(found.filter(min_score=0.5)) == [0.75, 0.5]  # the lowest score counts
    assert rows(found.filter(names="coin")) == [0.75, 0.25]
    assert rows(found.filter(names=["coin", "arrow"], min_score=0.3)) == [0.75, 0.5]
    assert rows(found.filter(names=[])) == []
    assert rows(found.filter()) == [0.75, 0.5, 0.25]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"min_score": "high"}, "^min_score is 'high'; give a number"),
        ({"min_score": float("nan")}, "^min_score is nan"),
        ({"min_score": True}, "^min_score is True"),
        ({"names": "ring"}, "^names holds 'ring', but the classes are coin, arrow"),
        ({"names": ["coin", 3]}, "^names holds 3"),
        ({"names": 3}, "^names is 3; give names"),
    ],
)
def test_filter__an_argument_of_another_kind_is_named(arguments: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        three().filter(**arguments)


def test_above__takes_the_threshold_of_each_class_unless_it_is_told_one() -> None:
    found = three(thresholds=(0.8, 0.5))
    assert rows(found.above()) == [0.5]  # the arrow; the coins are below 0.8
    assert rows(found.above(0.3)) == [0.75, 0.5]
    with pytest.raises(InputError, match=r"^threshold is "):
        found.above("low")  # type: ignore[arg-type]


def test_to_coco__is_what_pycocotools_encodes() -> None:
    record = three().to_coco(image_id=7, category_ids=[3, 8])[1]
    expected = rle_codec.encode(np.asfortranarray(MASKS[1].astype(np.uint8)))
    assert record == {
        "image_id": 7,
        "category_id": 8,
        "bbox": [2, 1, 1, 1],
        "score": 0.5,
        "segmentation": {"size": [3, 4], "counts": expected["counts"].decode()},
    }
    json.dumps(record)


def test_to_csv__gives_a_text_or_writes_a_file(tmp_path: Path) -> None:
    found = three(source=Path("photos/a b.jpg"))
    text = found.to_csv()
    assert text is not None
    first, second, _ = csv.DictReader(io.StringIO(text))
    assert (first["picture"], first["class"], first["score"]) == ("a b.jpg", "coin", "0.75")
    assert [second[key] for key in ("x", "y", "width", "height", "area")] == list("21222")
    assert found.to_csv(tmp_path / "found.csv") is None
    assert (tmp_path / "found.csv").read_text() == text
    with pytest.raises(InputError, match=r"^path is "):
        found.to_csv(3)  # type: ignore[arg-type]


def test_to_labelme__points_to_the_file_that_was_segmented(tmp_path: Path) -> None:
    found = three(source=tmp_path / "a b.png")
    (tmp_path / "json").mkdir()
    found.to_labelme(tmp_path / "json" / "found.json")
    written = json.loads((tmp_path / "json" / "found.json").read_text())
    assert written["imagePath"] == "../a b.png"
    assert (written["imageHeight"], written["imageWidth"]) == (3, 4)
    assert {shape["label"] for shape in written["shapes"]} == {"coin", "arrow"}


def test_to_labelme__of_pixels_asks_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^picture is None, but .*save it, and give its path"):
        three().to_labelme(tmp_path / "found.json")
    assert not (tmp_path / "found.json").exists()
    three().to_labelme(tmp_path / "found.json", picture=tmp_path / "b.png")
    assert json.loads((tmp_path / "found.json").read_text())["imagePath"] == "b.png"


def test_to_supervision__is_what_supervision_counts_and_filters() -> None:
    detections = three().to_supervision()
    assert len(detections) == 3
    assert detections["class_name"].tolist() == ["coin", "arrow", "coin"]
    assert np.array_equal(detections.mask, MASKS)
    kept = detections[detections.confidence > 0.3]
    assert kept.area.tolist() == [4, 2]


def test_prediction__cannot_be_changed_by_what_it_gives_away() -> None:
    found = three()
    found.masks[:] = True
    found.scores[:] = 0
    found.names.append("ring")
    assert rows(found) == [0.75, 0.5, 0.25] and found.masks.sum() == 7
    assert found.class_names == ("coin", "arrow")


def test_prediction__goes_to_other_processes() -> None:
    again = pickle.loads(pickle.dumps(three()))
    assert np.array_equal(again.masks.numpy(), MASKS)
    assert again.names == ["coin", "arrow", "coin"]


def test_prediction__keeps_masks_compressed() -> None:
    masks = torch.zeros(4, 1000, 1000, dtype=torch.bool)  # 4 MB
    masks[:, 100:900, 100:900] = True
    found = Prediction(masks, mask_boxes(masks), torch.ones(4), torch.zeros(4, dtype=torch.int64))
    image = np.zeros((1000, 1000, 3), np.uint8)
    tracemalloc.start()
    kept = ImagePrediction.of(found, image, ["coin"], [0.5])
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 50_000
    assert torch.equal(kept.masks, masks)


def prediction() -> ImagePrediction:
    """An arrow all over 2 x 3 pixels."""
    return of_masks(np.ones((1, 2, 3), bool), [0.9], [1], np.zeros((2, 3, 3), np.uint8))


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda found: found.to_coco(image_id=1.5), "image_id"),
        (lambda found: found.to_coco(image_id=True), "image_id"),
        (lambda found: found.to_coco(image_id=None), "image_id"),
        (lambda found: found.to_coco(category_ids=[1]), "category_ids"),
        (lambda found: found.to_coco(category_ids=[]), "category_ids"),
        (lambda found: found.to_coco(category_ids=[1, 2, 3]), "category_ids"),
        (lambda found: found.to_coco(category_ids=["1", "2"]), "category_ids"),
        (lambda found: found.to_coco(category_ids=7), "category_ids"),
        (lambda found: found.draw(threshold="high"), "threshold"),
        (lambda found: found.draw(threshold=float("nan")), "threshold"),
        (lambda found: found.draw(colour_by="score"), "colour_by"),
        (lambda found: found.draw(colour_by=["instance"]), "colour_by"),
    ],
)
def test_prediction__an_argument_of_another_type_is_named(
    call: Callable[[ImagePrediction], Any], word: str
) -> None:
    with pytest.raises(InputError, match=f"^{word} is "):
        call(prediction())


def on_grey(scores: list[float], **more: Any) -> ImagePrediction:
    """Two squares of one class, beside each other on grey, 200 x 400 pixels."""
    masks = np.zeros((2, 200, 400), bool)
    masks[0, 80:140, 20:80] = masks[1, 80:140, 120:180] = True
    grey = np.full((200, 400, 3), 100, np.uint8)
    return of_masks(masks, scores, [0, 0], grey, ("coin",), **more)


ORANGE_ON_GREY, BLUE_ON_GREY = [139, 118, 70], [96, 124, 140]  # 30 % over grey 100


def test_draw__takes_threshold_and_colours_from_the_configuration_unless_told() -> None:
    found = on_grey([0.9, 0.8], thresholds=(0.85,), colour_by="instance")
    drawn = np.asarray(found.draw())
    assert [drawn[110, x].tolist() for x in (50, 150)] == [ORANGE_ON_GREY, [100, 100, 100]]
    drawn = np.asarray(found.draw(threshold=0.7))
    assert [drawn[110, x].tolist() for x in (50, 150)] == [ORANGE_ON_GREY, BLUE_ON_GREY]
    drawn = np.asarray(found.draw(0.7, colour_by="class"))
    assert [drawn[110, x].tolist() for x in (50, 150)] == [ORANGE_ON_GREY, ORANGE_ON_GREY]


def test_draw__without_instances_says_how_close_the_best_one_is() -> None:
    found = on_grey([0.48, 0.3])
    expected = write_note(found.image, "0 of 2 above 0.5, best 0.48")
    assert np.asarray(found.draw()).tolist() == expected.tolist()


def test_prediction__takes_numpy_ids() -> None:
    (record,) = prediction().to_coco(np.int64(5), np.array([3, 8]))
    assert (record["image_id"], record["category_id"]) == (5, 8)
