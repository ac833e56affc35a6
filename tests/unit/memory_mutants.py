"""Memory files, changed at random: what reads them must use them, or refuse them in one sentence.

Run as a program, it goes through many mutants under a limit of memory and of time for each, and
prints what ended in anything else.
"""

from __future__ import annotations

import io
import json
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from no_time_to_train.errors import InputError
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import read_memory
from no_time_to_train.memory.safetensors_file import to_safetensors
from no_time_to_train.memory.stored_references import classes_to_tensors, references_to_tensors
from no_time_to_train.models.matching import classify
from no_time_to_train.visualization.memory import draw_reference
from tests.unit.test_memory_bank import memory_of

CHANNELS = 4
SECONDS = 20
BYTES = 2 << 30
"""Memory that a mutant may take, beyond what the libraries take."""
State = dict[str, Any]


def originals() -> dict[str, State]:
    """One small memory of each kind: two classes, one to three references, four channels."""
    memory = memory_of([1, 3])
    filled = references_to_tensors(memory)
    memory.finalise(kmeans_k=2, n_components=2)
    statistics = classes_to_tensors(memory)
    dense = {
        "mem_fill_counts": torch.tensor([1, 3]),
        "mem_feats_ins_avg": torch.zeros(2, 3, CHANNELS),
        "mem_feats": torch.randn(2, 3, 9, CHANNELS, generator=torch.Generator().manual_seed(1)),
        "mem_masks": torch.ones(2, 3, 9),
        "mem_postprocessed": torch.tensor(False),
    }
    return {
        "filled": _file(filled),
        "dense": _file(dense),
        "post-processed": _file(statistics),
        "published": _file(dense | statistics | {"mem_feats_covariances": torch.zeros(2, 4, 4)}),
    }


def _file(tensors: State) -> State:
    return {
        "state_dict": {f"seg_model.{name}": tensor for name, tensor in tensors.items()},
        "pytorch-lightning_version": "2.6.4",
        "no_time_to_train": {
            "encoder": "dinov2_demo",
            "img_size": 252,
            "class_names": ["arrow", "coin"],
        },
    }


def use(path: Path) -> None:
    """Read a memory, and go through what each stage does with it."""
    file = read_memory(path)
    memory = file.load(Memory(max_patches=8))
    if not memory.is_finalised:
        references_to_tensors(memory)
        memory.finalise(kmeans_k=2, n_components=2)
    assert len(memory.thumbnails) == file.size.classes
    memory.add(0, 1, memory.references[0, 0])
    references_to_tensors(memory)
    memory.finalise(kmeans_k=2, n_components=2)
    statistics = memory.statistics
    prototypes = statistics.prototypes
    assert prototypes.isfinite().all()
    _, labels = classify(torch.ones(2, file.size.channels), prototypes, 1)
    names = memory.class_names
    for label in labels.flatten().tolist():
        print(names[label] if names else label, file=io.StringIO())
    draw_reference(
        torch.rand(3, 6, 6),
        torch.ones(6, 6),
        torch.rand(9, file.size.channels),
        torch.ones(9),
        statistics.centres[0],
        statistics.pca_mean[0],
        statistics.pca_components[0],
        names[0] if names else "",
    )


def outcome_of(path: Path) -> str:
    """What comes of a file: "used", "refused", or an exception that is no sentence."""
    try:
        use(path)
    except InputError as error:
        sentence = str(error)
        one = "\n" not in sentence and len(sentence) < 1000 and str(path) in sentence
        return "refused" if one and "; " in sentence else f"no sentence: {sentence}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "used"


VALUES: list[Any] = [
    None, 3, -1, 1.5, True, "text", "x" * 3000, "\ud800", "two\nlines", b"bytes", [], [1, 2], {},
    (), {"a": {}}, ["arrow"], ["arrow", 3], ["arrow"] * 3, ["x" * 3000, "y"], ["\ud800", "y"],
    {0: 1}, float("nan"), 10**20,
]  # fmt: skip


def _other_type(tensor: torch.Tensor, draw: random.Random) -> Any:
    types = [torch.complex64, torch.bool, torch.int8, torch.uint8, torch.int16, torch.int32]
    types += [torch.int64, torch.float16, torch.bfloat16, torch.float64, torch.uint16]
    types += [torch.float8_e4m3fn]
    return tensor.to(draw.choice(types))


def _other_shape(tensor: torch.Tensor, draw: random.Random) -> Any:
    changes: list[Callable[[], Any]] = [
        lambda: tensor.flatten(),
        lambda: tensor[None],
        lambda: tensor.transpose(0, -1) if tensor.ndim else tensor,
        lambda: tensor[:0] if tensor.ndim else tensor,
        lambda: tensor[:1] if tensor.ndim else tensor,
        lambda: (
            torch.cat([tensor, tensor], dim=draw.randrange(tensor.ndim)) if tensor.ndim else tensor
        ),
        lambda: tensor.new_zeros(()),
        lambda: tensor.new_empty(0, 10**9),
        lambda: tensor.new_zeros(1).expand([10 ** draw.randrange(1, 7)] * max(tensor.ndim, 1)),
        lambda: tensor.new_zeros(1).expand(10**12),
        lambda: tensor.as_strided(tensor.shape, [0] * tensor.ndim),
    ]
    return draw.choice(changes)()


def _other_value(tensor: torch.Tensor, draw: random.Random) -> Any:
    changed = tensor.clone().flatten()
    value = draw.choice([float("nan"), float("inf"), -float("inf"), -1, 0, 2, 1e30, 1e5, 10**12])
    if not changed.is_floating_point():
        value = draw.choice([-1, 0, 2, 4, 100, 2**31, 2**62, -(2**63)])
    if changed.dtype is torch.bool:
        value = True
    positions = slice(None) if draw.random() < 0.3 else draw.randrange(len(changed))
    changed[positions] = value
    return changed.view(tensor.shape)


def _other_layout(tensor: torch.Tensor, draw: random.Random) -> Any:
    changes: list[Callable[[], Any]] = [
        lambda: tensor.to_sparse(),
        lambda: tensor.float().reshape(len(tensor), -1).to_sparse_csr() if tensor.ndim else tensor,
        lambda: tensor.to("meta"),
        lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        lambda: torch.nn.Parameter(tensor.float()),
        lambda: tensor.float().requires_grad_(),
        lambda: torch.nested.nested_tensor([tensor.flatten(), tensor.flatten()]),
        lambda: tensor.numpy(),
        lambda: tensor.tolist(),
        lambda: tensor.to(torch.complex64).conj(),
    ]
    return draw.choice(changes)()


def restructured(state: State, draw: random.Random) -> State:
    """One tensor, name or entry changed, or a few."""
    tensors = dict(state["state_dict"])
    info = dict(state["no_time_to_train"])
    changed: State = {**state, "state_dict": tensors, "no_time_to_train": info}
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        name = draw.choice([key for key in tensors if isinstance(tensors[key], torch.Tensor)])
        kind = draw.randrange(12)
        if kind == 0:
            del tensors[name]
        elif kind == 1:
            tensors[draw.choice([f"{name}_", 0, 7.5, None, name.upper(), (name,)])] = tensors.pop(
                name
            )
        elif kind in (2, 3):
            tensors[name] = _other_type(tensors[name], draw)
        elif kind in (4, 5):
            tensors[name] = _other_shape(tensors[name], draw)
        elif kind in (6, 7):
            tensors[name] = _other_value(tensors[name], draw)
        elif kind == 8:
            tensors[name] = _other_layout(tensors[name], draw)
        elif kind == 9:
            tensors[name] = draw.choice(VALUES)
        elif kind == 10:
            info[draw.choice(["encoder", "img_size", "class_names"])] = draw.choice(VALUES)
        else:
            changed[draw.choice(list(changed))] = draw.choice(VALUES)
    return changed


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Bytes changed, left out or repeated; half of the time near the pickle."""
    data = bytearray(content)
    end = max(content.find(b"PK\x07\x08"), 100) if draw.random() < 0.5 else len(data)
    for _ in range(draw.choice([1, 1, 2, 5, 20])):
        place = draw.randrange(min(end, len(data)) or 1)
        kind = draw.randrange(5)
        if kind == 0:
            data[place] = draw.randrange(256)
        elif kind == 1:
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 2:
            del data[place : place + draw.randrange(1, 50)]
        elif kind == 3:
            data[place:place] = data[place : place + draw.randrange(1, 50)]
        else:
            data[place : place + 8] = draw.choice([b"\xff" * 8, bytes(8), b"(lp0\nI1\n"])
        if not data:
            break
    return bytes(data[: draw.randrange(len(data) + 1)] if draw.random() < 0.1 else data)


def mutant(number: int, files: dict[str, State]) -> bytes:
    """A mutated file; the same for the same number."""
    draw = random.Random(number)
    state = files[draw.choice(list(files))]
    structural = number % 2 == 0
    zipped = draw.random() < 0.7
    buffer = io.BytesIO()
    while True:
        try:
            content = restructured(state, draw) if structural else state
            torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
            break
        except Exception:  # a combination that torch cannot store
            buffer = io.BytesIO()
    if structural:
        return buffer.getvalue()
    damage = damaged(buffer.getvalue(), draw)
    # A record whose check sum is right again tests what comes after the check sum.
    return _with_valid_pickle(state, draw) if draw.random() < 0.5 else damage


def _with_valid_pickle(state: State, draw: random.Random) -> bytes:
    """A zip file in order, whose pickle is damaged."""
    import zipfile

    source = io.BytesIO()
    torch.save(state, source)
    target = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for record in old.infolist():
            content = old.read(record)
            new.writestr(
                record.filename,
                damaged(content, draw) if record.filename.endswith("data.pkl") else content,
            )
    return target.getvalue()


HEADERS: list[Callable[[dict[str, Any], str], Any]] = [
    lambda header, name: header.pop(name),
    lambda header, name: header[name].update(dtype="F8_E4M3"),
    lambda header, name: header[name].update(dtype=3),
    lambda header, name: header[name].update(shape=[10**18, 0]),
    lambda header, name: header[name].update(shape=[-1]),
    lambda header, name: header[name].update(shape=[2] * 5000),
    lambda header, name: header[name].update(data_offsets=[0, 10**15]),
    lambda header, name: header[name].update(data_offsets=[8, 0]),
    lambda header, name: header.update({name: header["mem_fill_counts"]}),
    lambda header, name: header.update({name: 7}),
    lambda header, name: header.update(__metadata__={"no_time_to_train": "[" * 100_000}),
    lambda header, name: header.update(__metadata__={"no_time_to_train": 3}),
    lambda header, name: header.update(__metadata__=[]),
    lambda header, name: header.update(
        mem_more={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    ),
]


def safetensors_mutant(number: int, files: dict[str, State]) -> bytes:
    """A mutated file in the safetensors format; the same for the same number."""
    draw = random.Random(number)
    state = files[draw.choice(list(files))]
    try:
        changed = restructured(state, draw) if number % 3 == 0 else state
        tensors = {
            str(name).removeprefix("seg_model."): tensor
            for name, tensor in changed["state_dict"].items()
        }
        content = to_safetensors(tensors, changed["no_time_to_train"])
    except BaseException:  # what the format does not hold; the library may panic then
        return safetensors_mutant(number + 3_000_000, files)
    if number % 3 == 0:
        return content
    return damaged(content, draw) if number % 3 == 1 else _with_header(content, draw)


def _with_header(content: bytes, draw: random.Random) -> bytes:
    """A file whose header is in order, and says something else."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    draw.choice(HEADERS)(header, draw.choice([name for name in header if name != "__metadata__"]))
    changed = json.dumps(header).encode()
    return len(changed).to_bytes(8, "little") + changed + content[end:]


def outcomes(numbers: range, folder: Path) -> Iterator[tuple[int, str]]:
    """What comes of a mutant of each format for each number."""
    files = originals()
    for number in numbers:
        for name, make in (("mutant.pth", mutant), ("mutant.safetensors", safetensors_mutant)):
            path = folder / name
            path.write_bytes(make(number, files))
            yield number, outcome_of(path)


def _mapped_bytes() -> int:
    """Address space that the libraries take, none of which is a file's doing."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmSize:")[2].split()[0]) * 1024


def main(count: int) -> int:
    """Go through mutants under the limits; 0 where each is used or refused."""

    def too_slow(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    limit = _mapped_bytes() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, too_slow)
    tally: Counter[str] = Counter()
    slowest, start = 0.0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, outcome in outcomes(range(count), Path(folder)):
            signal.alarm(SECONDS)
            slowest, start = max(slowest, time.monotonic() - start), time.monotonic()
            tally[outcome if outcome in ("used", "refused") else "other"] += 1
            if outcome not in ("used", "refused"):
                print(number, outcome[:300], flush=True)
    print(dict(tally), f"slowest {slowest:.2f} s")
    return 1 if tally["other"] else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
