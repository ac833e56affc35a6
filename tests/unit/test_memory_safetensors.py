"""Memories in the safetensors format: read by the library alone, as checkpoints are, or refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from no_time_to_train.errors import InputError
from no_time_to_train.memory.bank import EncoderSpec, Memory
from no_time_to_train.memory.checkpoint import read_memory, write_memory
from no_time_to_train.memory.description import describe_memory
from no_time_to_train.memory.safetensors_file import to_safetensors
from tests.unit.memory_mutants import originals, outcome_of
from tests.unit.test_memory_bank import memory_of

ROOT = Path(__file__).resolve().parents[2]


def memory(finalised: bool) -> Memory:
    made = memory_of([1, 3])
    made.encoder, made.class_names = EncoderSpec("dinov2_demo", 252), ["arrow", "Ölfaß"]
    if finalised:
        made.finalise(kmeans_k=2, n_components=2)
    return made


@pytest.mark.parametrize("finalised", [False, True])
def test_write_memory__by_suffix_in_either_format_holds_the_same(
    tmp_path: Path, finalised: bool
) -> None:
    paths = [tmp_path / "memory.pth", tmp_path / "memory.SafeTensors"]
    for path in paths:
        write_memory(path, memory(finalised))
    checkpoint, safetensors = map(read_memory, paths)
    assert checkpoint.tensors.keys() == safetensors.tensors.keys()
    for name, tensor in checkpoint.tensors.items():
        assert torch.equal(tensor, safetensors.tensors[name]), name
        assert tensor.dtype == safetensors.tensors[name].dtype
    known = [{**vars(describe_memory(path)), "path": None} for path in paths]
    assert known[0] == known[1] and known[0]["class_names"] == ["arrow", "Ölfaß"]
    loaded = safetensors.load(Memory())
    assert loaded.is_finalised == finalised
    assert loaded.references.keys() == memory(finalised).references.keys()


def test_write_memory__is_read_by_the_library_alone(tmp_path: Path) -> None:
    path, made = tmp_path / "memory.safetensors", memory(finalised=True)
    write_memory(path, made)
    tensors = load_file(path)
    means = made.statistics.instance_means.numpy()
    np.testing.assert_array_equal(tensors["mem_feats_ins_avg"], means)
    with safe_open(path, "numpy") as file:
        info = json.loads(file.metadata()["no_time_to_train"])
    assert info == {"encoder": "dinov2_demo", "img_size": 252, "class_names": ["arrow", "Ölfaß"]}


@pytest.mark.parametrize("kind", ["filled", "dense", "post-processed", "published"])
def test_read_memory__of_each_kind_is_used(tmp_path: Path, kind: str) -> None:
    path, state = tmp_path / "named_otherwise.pth", originals()[kind]
    tensors = {name.removeprefix("seg_model."): each for name, each in state["state_dict"].items()}
    path.write_bytes(to_safetensors(tensors, state["no_time_to_train"]))
    assert outcome_of(path) == "used"
    halves = {
        name: each.bfloat16() if each.is_floating_point() else each
        for name, each in tensors.items()
    }
    path.write_bytes(to_safetensors(halves, None))
    assert outcome_of(path) == "used"
    assert describe_memory(path).size == (2, 3, 4)
    assert describe_memory(path).encoder is None


def test_describe_memory__of_this_format_imports_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "memory.safetensors"
    write_memory(path, memory(finalised=True))
    program = (
        "import sys; from pathlib import Path\n"
        "from no_time_to_train.memory.description import describe_memory\n"
        "print(describe_memory(Path(sys.argv[1])).counts, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[1, 3] False\n"


def with_header(content: bytes, change: Any) -> bytes:
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    changed = change(header)
    text = changed if isinstance(changed, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[end:]


def repeated(header: dict[str, Any]) -> bytes:
    text = json.dumps(header)
    return text[:-1].encode() + b', "mem_fill_counts": ' + b'{"dtype": "I64"}}'


DAMAGES = [
    (lambda content: b"", "it is empty"),
    (lambda content: content[:5], "cut off within its header"),
    (lambda content: content[:300], "cut off within its header"),
    (lambda content: content[:-1], r"damaged \("),
    (lambda content: content + b"\0", r"damaged \("),
    (lambda content: b"<html><body>", "in no format of memories"),
    (lambda content: (3 << 20).to_bytes(8, "little") + b"{" + bytes(3 << 20), "longer than 2 MB"),
    (lambda content: (2**63).to_bytes(8, "little") + content[8:], "cut off within its header"),
    (lambda content: content[:8] + b"[" + content[9:], r"damaged \("),
    (lambda content: with_header(content, repeated), r"damaged \("),
    (
        lambda content: with_header(
            content, lambda header: header["mem_feats_avg"].update(data_offsets=[0, 10**9])
        ),
        r"damaged \(",
    ),
    (
        lambda content: with_header(
            content, lambda header: header["__metadata__"].update(no_time_to_train="{")
        ),
        "metadata no_time_to_train are no json",
    ),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_read_memory__of_a_damaged_file_is_one_sentence(
    tmp_path: Path, damage: Any, words: str
) -> None:
    path = tmp_path / "memory.safetensors"
    write_memory(path, memory(finalised=True))
    path.write_bytes(damage(path.read_bytes()))
    for read in (read_memory, describe_memory):
        with pytest.raises(InputError, match=f"the memory {path} cannot be read: .*{words}") as it:
            read(path)
        assert "\n" not in str(it.value) and str(it.value).endswith("; write it again")


def test_read_memory__of_numbers_that_no_memory_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "memory.safetensors"
    path.write_bytes(to_safetensors({"mem_feats_avg": torch.zeros(2, dtype=torch.complex64)}, None))
    with pytest.raises(InputError, match="numbers of type C64, which no memory has"):
        describe_memory(path)
    path.write_bytes(to_safetensors({"other": torch.zeros(2)}, None))
    with pytest.raises(InputError, match="cannot be used: it holds no reference memory"):
        read_memory(path)
