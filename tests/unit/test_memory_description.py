"""A memory file is described without PyTorch as PyTorch reads it."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from no_time_to_train.checkpoint_index import read_index
from no_time_to_train.errors import InputError
from no_time_to_train.memory.checkpoint import read_memory
from no_time_to_train.memory.description import describe_memory
from tests.unit.memory_mutants import originals

INFO = {"encoder": "dinov2_demo", "img_size": 252, "class_names": ["boat", "bird"]}


def saved(content: object, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", ["filled", "dense", "post-processed", "published"])
def test_describe_memory__tells_what_read_memory_does(
    tmp_path: Path, kind: str, zipped: bool
) -> None:
    path = tmp_path / "memory.pth"
    path.write_bytes(saved(originals()[kind] | {"no_time_to_train": INFO}, zipped))
    found, read = describe_memory(path), read_memory(path)
    assert vars(found) == {key: value for key, value in vars(read).items() if key != "tensors"}
    assert (found.size, found.counts, found.class_names) == ((2, 3, 4), [1, 3], ["boat", "bird"])


NUMBERS = torch.arange(24.0).reshape(2, 3, 4)
VIEWS = {
    "whole": NUMBERS,
    "from the middle": NUMBERS[1:, 1:],
    "turned": NUMBERS.permute(2, 0, 1),
    "repeated": NUMBERS[:1].expand(2, 3, 4),
    "empty": NUMBERS[:0],
    "one": NUMBERS[1, 2, 3],
    "float16": NUMBERS.half(),
    "bfloat16": NUMBERS.bfloat16(),
    "float64": NUMBERS.double(),
    "int64": NUMBERS.long() - 7,
    "int8": NUMBERS.to(torch.int8) - 7,
    "uint8": NUMBERS.to(torch.uint8),
    "bool": NUMBERS > 5,
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", VIEWS)
def test_array__is_what_was_saved(tmp_path: Path, name: str, zipped: bool) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(saved({"before": torch.ones(5), "it": VIEWS[name]}, zipped))
    index = read_index(path, "the file", "write it again")
    expected = VIEWS[name].float() if name == "bfloat16" else VIEWS[name]
    found = index.array(index.content["it"])
    assert found.dtype == expected.numpy().dtype
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("kind", ["filled", "dense", "post-processed"])
@pytest.mark.parametrize("zipped", [True, False])
def test_describe_memory__refuses_what_read_memory_refuses(
    tmp_path: Path, kind: str, zipped: bool
) -> None:
    intact, path, generator = saved(originals()[kind], zipped), tmp_path / "a.pth", random.Random(3)
    outcomes = []
    for _ in range(60):
        damaged = bytearray(intact)
        for _ in range(3):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(damaged[: generator.choice([len(damaged), generator.randrange(4000)])])
        outcomes.append([refuses(describe_memory, path), refuses(read_memory, path)])
    # Of a zip file PyTorch compares checksums too.
    assert all(described <= read for described, read in outcomes)
    assert any(described for described, _ in outcomes)


def refuses(read: object, path: Path) -> bool:
    try:
        read(path)  # type: ignore[operator]
    except InputError:
        return True
    return False
