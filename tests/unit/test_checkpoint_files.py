"""Which files are opened as checkpoints, and what is said of the others."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from no_time_to_train.checkpoint_files import check_checkpoint, check_finite, load_checkpoint
from no_time_to_train.errors import InputError
from no_time_to_train.pickle_index import MAX_INDEX_BYTES

STATE = OrderedDict(weight=torch.arange(6.0).view(2, 3), count=torch.tensor(3))


def saved(content: Any, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def repacked(
    pickled: Callable[[bytes], bytes], compression: int = zipfile.ZIP_STORED, name: str = "data.pkl"
) -> bytes:
    """A checkpoint in order, but for its pickle."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(STATE))) as old:
        with zipfile.ZipFile(target, "w", compression) as new:
            for record in old.infolist():
                content = old.read(record)
                is_pickle = record.filename.endswith("/data.pkl")
                new.writestr(
                    record.filename.replace("data.pkl", name),
                    pickled(content) if is_pickle else content,
                )
    return target.getvalue()


def program(*parts: bytes) -> bytes:
    """A pickle of these operations."""
    return b"\x80\x02" + b"".join(parts) + b"."


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


class Payload:
    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


DEEP = b")" + b"\x85" * 100_000  # a tuple in a tuple in a tuple ...
BOMBS = {
    "700 MB of pickle": repacked(lambda _: bytes(700 << 20), zipfile.ZIP_DEFLATED),
    "pickle longer than any": repacked(lambda content: content + bytes(MAX_INDEX_BYTES)),
    "bytearray of 10 GB": repacked(
        lambda _: program(b"c__builtin__\nbytearray\n", b"\x8a\x05\x00\xe4\x0b\x54\x02", b"\x85R")
    ),
    "text that doubles": repacked(
        lambda _: program(b"c_codecs\nencode\n", text("x"), text("hex"), b"\x86R")
    ),
    "tensor of 10 GB": repacked(
        lambda _: program(b"ctorch\nFloatTensor\n", b"\x8a\x05\x00\xe4\x0b\x54\x02", b"\x85R")
    ),
    "memo of 30 GB": repacked(lambda _: program(b"]r\xff\xff\xff\x7f")),
    "key of tuples": repacked(lambda _: program(b"}", DEEP, b"K\x01s")),
    "one number, 10^12 times": saved({"weight": torch.zeros(1).expand(10**12)}),
    "the same, as before 1.6": saved({"weight": torch.zeros(1).expand(10**12)}, zipped=False),
}


@pytest.mark.parametrize("name", BOMBS)
def test_check_checkpoint__refuses_what_takes_more_than_the_file_has(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "bomb.pth"
    path.write_bytes(BOMBS[name])
    with pytest.raises(InputError) as caught:
        check_checkpoint(path, "the memory", "write it again")
    assert str(caught.value).startswith(f"the memory {path} cannot be read: ")


WHOLE, LEGACY = saved(STATE), saved(STATE, zipped=False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty; write it again"),
        (WHOLE[: len(WHOLE) // 2], "its end is missing, it is cut off; write it again"),
        (LEGACY[:100], "its end is missing, it is cut off; write it again"),
        (LEGACY[:-4], f"it has {len(LEGACY) - 4} of {len(LEGACY)} bytes, it is cut off"),
        (b"<html>404</html>", r"it is no PyTorch checkpoint \(it begins with b'<html>40'\)"),
        (b"\x89PNG\r\n\x1a\n", "it is no PyTorch checkpoint"),
        (pickle.dumps({"weight": 1}), "it is no PyTorch checkpoint"),
        (repacked(lambda content: content, name="data.txt"), "zip file without data.pkl"),
        (repacked(lambda content: content[:-9]), "damaged"),
        (repacked(lambda content: content, zipfile.ZIP_DEFLATED), "records are compressed"),
        (saved({"weight": Payload()}), "posix.system, .* not opened .*; take a file of tensors"),
        (saved({"weight": Payload()}, zipped=False), "posix.system, .* not opened"),
        (saved({"weight": torch.zeros(2).to_sparse()}), "_rebuild_sparse_tensor"),
        (saved({"weight": torch.zeros(2, device="meta")}), "_rebuild_meta_tensor"),
        (saved({"weight": torch.zeros(2, dtype=torch.complex64)}), "ComplexFloatStorage"),
    ],
)  # fmt: skip
def test_check_checkpoint__says_what_is_wrong(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        load_checkpoint(path, "the memory", "write it again")
    assert "\n" not in str(caught.value)
    assert not Path("executed").exists()


def test_check_checkpoint__refuses_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path, "a folder"), (tmp_path / "pipe", "a named pipe")):
        with pytest.raises(InputError, match=kind):
            check_checkpoint(path, "the memory", "write it again")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"model": dict(STATE), "epoch": 3, "loops": {0: [None, True, 1.5, "text", ("a",)]}},
        {"half": torch.ones(3).bfloat16(), "parameter": torch.nn.Parameter(torch.ones(2))},
        {"view": torch.arange(9.0).view(3, 3).T[1:], "empty": torch.zeros(0, 4), "large": 2**40},
    ],
)  # fmt: skip
def test_load_checkpoint__reads_what_torch_saves(
    tmp_path: Path, content: Any, zipped: bool
) -> None:
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    read = load_checkpoint(tmp_path / "a.pth", "the memory", "write it again")
    assert read.keys() == content.keys()
    for name, value in content.items():
        assert torch.equal(read[name], value) if torch.is_tensor(value) else True
    plain = {name: value for name, value in content.items() if not torch.is_tensor(value)}
    assert str({name: read[name] for name in plain}) == str(plain)


def test_load_checkpoint__keeps_the_metadata_of_a_module(tmp_path: Path) -> None:
    state = torch.nn.Sequential(torch.nn.Linear(2, 3)).state_dict()
    torch.save(state, tmp_path / "a.pth")
    read = load_checkpoint(tmp_path / "a.pth", "the weights", "get it again")
    assert read._metadata == state._metadata


def test_load_checkpoint__a_dictionary_with_covered_up_methods_is_refused(tmp_path: Path) -> None:
    state = OrderedDict(STATE)
    state.keys = 3  # type: ignore[assignment]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(InputError, match="damaged"):
        load_checkpoint(tmp_path / "a.pth", "the weights", "get it again")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_check_finite__names_the_tensor_and_the_file(value: float, dtype: torch.dtype) -> None:
    broken = torch.ones(5, dtype=dtype)
    broken[3] = value
    tensors = {"norm.bias": torch.ones(2), "norm.weight": broken}
    with pytest.raises(InputError, match=r"w\.pth: the tensor norm\.weight holds NaN or infinite"):
        check_finite(tensors.items(), "w.pth")


def test_check_finite__large_values_and_other_types_pass() -> None:
    tensors = {"large": torch.full((4,), 3e38), "half": torch.full((9,), 6e4).half()}
    check_finite((tensors | {"count": torch.tensor(3), "none": torch.zeros(0)}).items(), "w.pth")
