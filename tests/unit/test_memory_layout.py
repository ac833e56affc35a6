"""The description of a memory file: what is found to contradict it, in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from no_time_to_train.errors import InputError
from no_time_to_train.memory.checkpoint import read_memory
from no_time_to_train.memory.layout import PREFIX, Kind, check_layout, kind_of
from tests.unit.memory_mutants import originals

NAN, INF = float("nan"), float("inf")


def memory(kind: str) -> dict[str, Tensor]:
    """Two classes, one and three references, four channels."""
    state = originals()[kind]["state_dict"]
    return {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}


def put(tensor: Tensor, place: tuple[int, ...], value: float) -> Tensor:
    changed = tensor.clone()
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("filled", Kind.FILLED),
        ("dense", Kind.DENSE),
        ("post-processed", Kind.FINALISED),
        ("published", Kind.FINALISED),
    ],
)
def test_check_layout__knows_kind_and_size(name: str, kind: Kind) -> None:
    tensors = memory(name)
    assert kind_of(tensors) is kind
    assert check_layout(tensors) == (2, 3, 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["filled", "dense", "post-processed"])
def test_check_layout__takes_every_precision(kind: str, dtype: torch.dtype) -> None:
    floats = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in memory(kind).items()
    }
    assert check_layout(floats) == (2, 3, 4)


CONTRADICTIONS = [  # kind, tensor, what becomes of it, words
    ("filled", "mem_patches", lambda t: None, "it lacks mem_patches"),
    ("filled", "mem_feats_ins_avg", lambda t: t[0], r"shape \(3, 4\) instead of \(2, S, C\)"),
    ("filled", "mem_feats_fg_avg", lambda t: t[:, :2], r"\(2, 2, 4\) instead of \(2, 3, 4\)"),
    ("filled", "mem_patches", lambda t: t[:, :3], r"instead of \(Q, 4\)"),
    ("filled", "mem_patches", lambda t: t[:-1], "mem_patch_counts gives .* patches, and"),
    ("filled", "mem_fill_counts", lambda t: t.float(), "float32 instead of integers"),
    ("filled", "mem_mask_sums", lambda t: t.bool(), "bool instead of real numbers"),
    ("filled", "mem_fill_counts", lambda t: torch.tensor([0, 3]), "no reference for class 0"),
    ("filled", "mem_fill_counts", lambda t: torch.tensor([1, 4]), "4 references for class 1, of 3"),
    ("filled", "mem_fill_counts", lambda t: torch.tensor([-1, 3]), "-1 references for class 0"),
    ("filled", "mem_fill_counts", lambda t: torch.tensor([2**62, 3]), "for class 0, of 3 places"),
    ("filled", "mem_mask_sums", lambda t: put(t, (1, 2), 0), "0 for reference 2 .* 1e-38"),
    ("filled", "mem_fg_counts", lambda t: put(t, (1, 0), -3), "-3 for reference 0 of class 1"),
    ("filled", "mem_feats_fg_avg", lambda t: put(t, (1, 1, 3), NAN), "reference 1 .* not f"),
    ("filled", "mem_patches", lambda t: put(t, (2, 1), INF), "mem_patches holds inf, .* not f"),
    ("filled", "mem_thumbnails", lambda t: None, "it lacks mem_thumbnails"),
    ("filled", "mem_thumbnails", lambda t: t[1:], "mem_thumbnail_sizes gives .* bytes, and"),
    ("filled", "mem_thumbnail_sizes", lambda t: put(t, (1, 0), -8), "-8 for reference 0 of class"),
    ("filled", "mem_thumbnail_sizes", lambda t: put(t, (1, 0), 70000), "not in 0 to 65536"),
    ("final", "mem_thumbnail_sizes", lambda t: None, "it lacks mem_thumbnail_sizes"),
    ("final", "mem_thumbnails", lambda t: t.float(), "mem_thumbnails holds float32"),
    ("final", "mem_mask_sums", lambda t: put(t, (1, 2), -1), "-1 for reference 2 of class 1"),
    ("filled", "mem_postprocessed", lambda t: torch.zeros(3), "instead of one truth value"),
    ("dense", "mem_masks", lambda t: put(t, (1, 2, 0), -1), "-1 for reference 2 of class 1"),
    ("dense", "mem_masks", lambda t: put(t, (1, 2, 0), NAN), "reference 2 of class 1, .* not f"),
    ("dense", "mem_masks", lambda t: put(t, (1, 2), 0), "vanished .*reference 2 of class 1"),
    ("dense", "mem_feats", lambda t: t.int(), "int32 instead of real numbers"),
    ("final", "mem_feats_ins_avg", lambda t: put(t, (0, 0, 1), NAN), "of class 0, .* not f"),
    ("final", "mem_feats_ins_avg", lambda t: put(t, (0, 0, 1), 1e30), "1e.30 .* -65504 to"),
    ("final", "mem_pca_mean", lambda t: put(t, (1, 1), INF), "class 1, which is not f"),
    ("final", "mem_feats_centers", lambda t: put(t, (1, 0, 1), INF), "class 1, .* not f"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "change", "words"), CONTRADICTIONS)
def test_check_layout__says_what_contradicts_it(
    kind: str, name: str, change: Any, words: str
) -> None:
    tensors = memory("post-processed" if kind == "final" else kind)
    changed = change(tensors.pop(name))
    if changed is not None:
        tensors[name] = changed
    with pytest.raises(InputError, match=words):
        check_layout(tensors)


@pytest.mark.parametrize(
    ("kind", "name", "place"),
    [
        ("post-processed", "mem_feats_centers", (1, 0)),  # an empty cluster
        ("post-processed", "mem_ins_sim_avg", (0,)),  # a class with one reference
        ("post-processed", "mem_feats_ins_avg", (0, 2)),  # no reference is there
        ("post-processed", "mem_mask_sums", (1, 2)),  # of a file that was without
    ],
)
def test_check_layout__nan_for_what_does_not_exist_is_fine(
    kind: str, name: str, place: tuple[int, ...]
) -> None:
    tensors = memory(kind)
    tensors[name] = put(tensors[name], place, NAN)
    assert check_layout(tensors) == (2, 3, 4)


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ("text", "does not name the encoder"),
        ({"class_names": []}, "does not name the encoder"),
        ({"encoder": 3, "class_names": []}, "does not name the encoder"),
        ({"encoder": "x" * 3000, "class_names": []}, "does not name the encoder"),
        ({"encoder": "two\nlines", "class_names": []}, "does not name the encoder"),
        ({"encoder": "dinov2_demo"}, "no list of texts"),
        ({"encoder": "dinov2_demo", "class_names": "ab"}, "no list of texts"),
        ({"encoder": "dinov2_demo", "class_names": ["a", 3]}, "no list of texts"),
        ({"encoder": "dinov2_demo", "class_names": ["a", "\ud800"]}, "no list of texts"),
        ({"encoder": "dinov2_demo", "class_names": ["a"]}, "2 classes and 1 class names"),
    ],
)
def test_read_memory__information_of_another_type_is_refused(
    tmp_path: Path, info: Any, words: str
) -> None:
    path = tmp_path / "memory.pth"
    torch.save(originals()["filled"] | {"no_time_to_train": info}, path)
    with pytest.raises(InputError, match=f"the memory in {path} cannot be used: .*{words}"):
        read_memory(path)
