"""Many pictures from Python: batches, reading ahead, progress, pictures that cannot be read."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.api.many import read_ahead
from no_time_to_train.errors import InputError
from tests.unit.test_api_state import ColourEncoder, make, picture, remember  # noqa: F401

NAMES = {"red": "arrow", "green": "crescent", "blue": "coin"}


@pytest.fixture
def segmenter(make: Any) -> FewShotSegmenter:  # noqa: F811
    segmenter: FewShotSegmenter = make()
    for colour, name in NAMES.items():
        remember(segmenter, colour, name)
    segmenter.finalise()
    return segmenter


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that reach the encoder."""
    sizes: list[int] = []
    encode = ColourEncoder.__call__

    def listening(self: ColourEncoder, images: Any) -> Any:
        sizes.append(len(images))
        return encode(self, images)

    monkeypatch.setattr(ColourEncoder, "__call__", listening)
    return sizes


def written(folder: Path, *colours: str) -> list[Path]:
    paths = []
    for number, colour in enumerate(colours):
        path = folder / f"{number}_{colour}.png"
        if colour == "broken":
            path.write_bytes(b"no picture")
        else:
            Image.fromarray(picture(colour)).save(path)
        paths.append(path)
    return paths


@pytest.mark.parametrize(("batch_size", "sizes"), [(None, [1] * 5), (2, [2, 2, 1]), (9, [5])])
def test_segment_many__gives_predictions_in_order(
    segmenter: FewShotSegmenter,
    batches: list[int],
    tmp_path: Path,
    batch_size: int | None,
    sizes: list[int],
) -> None:
    batches.clear()
    colours = ("red", "blue", "green", "blue", "red")
    paths = written(tmp_path, *colours)
    found = list(segmenter.segment_many(paths, batch_size=batch_size))
    assert [each.names[0] for each in found] == [NAMES[colour] for colour in colours]
    assert [each.source for each in found] == paths
    assert batches == sizes


def test_segment_many__gives_a_prediction_before_the_last_picture_is_asked_for(
    segmenter: FewShotSegmenter,
) -> None:
    asked = []

    def endless() -> Iterator[Any]:
        while True:
            asked.append(1)
            yield picture("red")

    found = segmenter.segment_many(endless(), batch_size=2)
    assert not asked
    assert [next(found).names[0] for _ in range(3)] == ["arrow"] * 3
    assert len(asked) <= 8  # 4 under way, and one more for each that was read
    found.close()  # type: ignore[attr-defined]
    assert not [each for each in threading.enumerate() if "read-pictures" in each.name]


def test_segment_many__ends_at_a_bad_picture_after_those_before_it(
    segmenter: FewShotSegmenter, tmp_path: Path
) -> None:
    found = segmenter.segment_many(written(tmp_path, "red", "broken", "blue"), batch_size=2)
    assert next(found).names[0] == "arrow"
    with pytest.raises(InputError, match=r"1_broken.png is no image"):
        next(found)
    assert list(found) == []


def test_segment_many__leaves_bad_pictures_out_where_it_is_asked_to(
    segmenter: FewShotSegmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = written(tmp_path, "broken", "red", "broken", "blue")
    with caplog.at_level(logging.WARNING):
        found = list(segmenter.segment_many(paths, batch_size=2, on_bad="skip"))
    assert [each.source for each in found] == [paths[1], paths[3]]
    messages = [message for message in caplog.messages if message.startswith("Left out: ")]
    assert [path.name in text for path, text in zip(paths[::2], messages, strict=True)] == [
        True
    ] * 2


def test_segment_many__tells_how_many_pictures_are_done(
    segmenter: FewShotSegmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = written(tmp_path, "red", "broken", "blue")
    told: list[Any] = []
    tell = lambda done, total: told.append((done, total))  # noqa: E731
    list(segmenter.segment_many(paths, 2, tell, "skip"))
    list(segmenter.segment_many(iter(paths[:1]), progress=tell))
    # The broken one is met before the batch of the first is full.
    assert told == [(1, 3), (2, 3), (3, 3), (1, None)]
    capsys.readouterr()
    list(segmenter.segment_many(paths[:1], progress=True))
    assert "1/1" in capsys.readouterr().err
    list(segmenter.segment_many(paths[:1]))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"images": "park.jpg"}, "^images is 'park.jpg'; give several"),
        ({"images": Path("park.jpg")}, "^images is "),
        ({"images": Image.new("RGB", (3, 3))}, "^images is "),
        ({"images": np.zeros((3, 3, 3), np.uint8)}, "^images is "),
        ({"images": 3}, "^images is 3"),
        ({"images": None}, "^images is None"),
        ({"batch_size": 0}, "^batch_size is 0; give a whole number from 1 on"),
        ({"batch_size": "all"}, "^batch_size is 'all'"),
        ({"batch_size": 2.0}, "^batch_size is 2.0"),
        ({"progress": "bar"}, "^progress is 'bar'; give True, False or a function"),
        ({"on_bad": "ignore"}, "^on_bad is 'ignore'; give 'raise' or 'skip'"),
        ({"on_bad": ["skip"]}, "^on_bad is "),
    ],
)
def test_segment_many__an_argument_of_another_kind_is_named_before_anything_is_read(
    segmenter: FewShotSegmenter, arguments: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        segmenter.segment_many(**({"images": []} | arguments))


def test_segment_many__without_classes_says_so_at_once(make: Any) -> None:  # noqa: F811
    with pytest.raises(InputError, match="no classes yet"):
        make().segment_many([])


def test_segment_all__is_segment_many(segmenter: FewShotSegmenter) -> None:
    (found,) = segmenter.segment_all([picture("blue")])
    assert found.names == ["coin"] and found.source is None


def test_read_ahead__reads_while_the_consumer_works() -> None:
    read = threading.Event()

    def reading(number: int) -> int:
        if number == 1:
            read.set()
        return number

    results = read_ahead([0, 1, 2], reading, count=2)
    assert next(results) == 0
    assert read.wait(timeout=10)  # nobody has asked for it yet
    assert list(results) == [1, 2]


def test_threads__share_a_segmenter_and_get_their_own_predictions(
    segmenter: FewShotSegmenter,
) -> None:
    found: dict[str, list[str]] = {}

    def search(colour: str) -> None:
        pictures = [picture(colour)] * 5
        found[colour] = [each.names[0] for each in segmenter.segment_many(pictures, batch_size=2)]

    threads = [threading.Thread(target=search, args=(colour,)) for colour in NAMES]
    for thread in threads:
        thread.start()
    for _ in range(5):
        segmenter.set_threshold("coin", 0.7)
        segmenter.fresh().forget()
    for thread in threads:
        thread.join()
    assert found == {colour: [name] * 5 for colour, name in NAMES.items()}
