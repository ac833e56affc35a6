"""Reference sets: plain data goes through unchanged, everything else is a sentence."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from no_time_to_train.dataset.reference_set import (
    ReferencePick,
    read_reference_set,
    tell_references,
    write_reference_set,
)
from no_time_to_train.errors import InputError

PLAIN = {
    16: [{"img_id": 7, "ann_ids": [1]}, {"img_id": "b", "ann_ids": [3, 2**40]}],
    9: [{"img_id": 7, "ann_ids": [2]}],
}
PICKS = {
    16: [ReferencePick(7, [1]), ReferencePick("b", [3, 2**40])],
    9: [ReferencePick(7, [2])],
}


def write(folder: Path, content: bytes) -> Path:
    path = folder / "set.pkl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_read__takes_every_pickle_protocol_in_order(tmp_path: Path, protocol: int) -> None:
    found = read_reference_set(write(tmp_path, pickle.dumps(PLAIN, protocol)))
    assert found == PICKS
    assert list(found) == [16, 9]


def test_read__takes_json(tmp_path: Path) -> None:
    found = read_reference_set(write(tmp_path, b"\n " + json.dumps(PLAIN).encode()))
    assert found == PICKS
    assert list(found) == [16, 9]


def test_write__leaves_a_plain_dict_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "set.pkl"
    write_reference_set(path, PICKS)
    assert pickle.loads(path.read_bytes()) == PLAIN
    assert list(path.parent.iterdir()) == [path]
    assert read_reference_set(path) == PICKS


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch exploded",)


HOSTILE = {
    "call": Bomb(),
    "call inside": {16: [{"img_id": 7, "ann_ids": [Bomb()]}]},
    "class": OrderedDict(PLAIN),
    "numpy": {np.int64(16): PLAIN[16]},
    "tuple": {16: [{"img_id": 7, "ann_ids": (1,)}]},
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_read__never_looks_up_an_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="holds more than dicts, lists, strings and numbers"):
        read_reference_set(write(tmp_path, pickle.dumps(content, protocol)))
    assert not Path("exploded").exists()


def test_read__refuses_a_memo_larger_than_the_file(tmp_path: Path) -> None:
    bomb = b"\x80\x04}r\xff\xff\xff\x7f."  # LONG_BINPUT 2**31 - 1: an array of 17 GB
    with pytest.raises(InputError, match="a damaged pickle"):
        read_reference_set(write(tmp_path, bomb))


WRONG = {
    "empty": (b"", "the file is empty"),
    "text": (b"reference set", "a damaged pickle, or no reference set"),
    "broken json": (b'{"16": [', "neither a pickle nor valid json"),
    "deep json": (b'{"16": ' + b"[" * 100_000, "neither a pickle nor valid json"),
    "cut off": (pickle.dumps(PLAIN)[:-5], "a damaged pickle"),
    "unbalanced": (b"\x80\x04}e.", "a damaged pickle"),
    "list": (pickle.dumps([1]), r"expected a dict of category_id -> .* got \[1\]"),
    "nothing": (pickle.dumps({}), r"expected a dict .* got {}"),
    "name as key": (b'{"bird": []}', "category ids are whole numbers, got 'bird'"),
    "bool as key": (pickle.dumps({True: []}), "category ids are whole numbers, got True"),
    "no list": (b'{"16": 3}', "category 16 must have a list, got 3"),
    "no dict": (b'{"16": [7]}', "a reference of category 16 must be .* got 7"),
    "no image": (b'{"16": [{"ann_ids": [1]}]}', "a reference of category 16 must be"),
    "no annotations": (b'{"16": [{"img_id": 7}]}', r"\(image 7\) must list its .* got None"),
    "empty annotations": (b'{"16": [{"img_id": 7, "ann_ids": []}]}', r"ann_ids, got \[\]"),
    "half annotation": (b'{"16": [{"img_id": 7, "ann_ids": [0.5]}]}', r"ann_ids, got \[0.5\]"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=list(WRONG))
def test_read__says_in_one_line_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        read_reference_set(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_read__names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such reference set; make one with few_shot_sampling"):
        read_reference_set(tmp_path / "set.pkl")
    with pytest.raises(InputError, match="is a folder"):
        read_reference_set(tmp_path)


def mutate(data: bytes, generator: random.Random) -> bytes:
    """Overwrite, insert, delete or repeat a few bytes."""
    mutated = bytearray(data)
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(mutated))
        piece = bytes(generator.randrange(256) for _ in range(generator.randint(1, 3)))
        mutated[at : at + generator.choice((0, 1, len(piece)))] = generator.choice(
            (piece, b"", mutated[at : at + 9] * 2)
        )
        mutated = mutated or bytearray(b".")
    return bytes(mutated)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_read__turns_any_damage_into_an_input_error(tmp_path: Path, protocol: int) -> None:
    generator = random.Random(protocol)
    data = pickle.dumps(PLAIN, protocol)
    refused = 0
    for _ in range(400):
        try:
            found = read_reference_set(write(tmp_path, mutate(data, generator)))
        except InputError:
            refused += 1
        else:
            assert all(
                isinstance(pick, ReferencePick) for picks in found.values() for pick in picks
            )
    assert 200 < refused < 400


def test_read__refuses_one_list_used_a_hundred_thousand_times(tmp_path: Path) -> None:
    shared = {"img_id": 7, "ann_ids": list(range(100_000))}
    path = write(tmp_path, pickle.dumps({16: [shared] * 100_000}))
    with pytest.raises(InputError, match="more than 10000000 annotation ids"):
        read_reference_set(path)


def test_read__takes_a_list_used_a_few_times(tmp_path: Path) -> None:
    shared = {"img_id": 7, "ann_ids": [1, 2]}
    found = read_reference_set(write(tmp_path, pickle.dumps({16: [shared] * 3})))
    assert found == {16: [ReferencePick(7, [1, 2])] * 3}


def test_read__refuses_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pkl")
    with pytest.raises(InputError, match="is a named pipe"):
        read_reference_set(tmp_path / "pipe.pkl")


def picks(*image_ids: int) -> list[ReferencePick]:
    return [ReferencePick(image_id, [10 * image_id]) for image_id in image_ids]


@pytest.mark.parametrize(
    ("birds", "boats", "expected"),
    [
        (picks(1, 2), picks(3, 4), "4 references of 2 classes, 2 each"),
        (picks(1, 2, 3), picks(4), "4 references of 2 classes: bird 3, boat 1"),
        (
            picks(1, 2),
            picks(3, 3),
            "4 references of 2 classes, 2 each; without repetitions: boat 1",
        ),
        (
            picks(1, 2, 2),
            picks(3, 3),
            "5 references of 2 classes: bird 3, boat 2; without repetitions: bird 2, boat 1",
        ),
    ],
)
def test_tell_references__counts_each_class_where_they_differ(
    birds: list[ReferencePick], boats: list[ReferencePick], expected: str
) -> None:
    assert tell_references({16: birds, 9: boats}, {9: "boat", 16: "bird"}) == expected
