"""Classes added, removed, renamed and merged after saving equal a memory that is filled anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from no_time_to_train.errors import InputError
from no_time_to_train.memory.bank import EncoderSpec, Memory
from no_time_to_train.memory.checkpoint import read_memory, write_memory
from no_time_to_train.memory.editing import (
    add_classes,
    merge_classes,
    remove_classes,
    rename_class,
)
from no_time_to_train.memory.references import ReferenceSummary, summarise

CHANNELS, PATCHES = 16, 25
K, N = 4, 3
"""Centres and components."""
ENCODER = EncoderSpec("dinov2_demo", 252)
Names = dict[str, Sequence[int]]
"""Classes, and which of the references each has."""


def reference(number: int) -> ReferenceSummary:
    """The same for the same number; those of one ten are alike."""
    own, group = torch.Generator().manual_seed(number), torch.Generator().manual_seed(number // 10)
    centre = 3 * torch.randn(CHANNELS, generator=group)
    features = centre + torch.randn(PATCHES, CHANNELS, generator=own)
    weights = (torch.rand(PATCHES, generator=own) * 2 - 0.8).clamp(0, 1)  # soft, with zeros
    return summarise(features, weights, max_patches=PATCHES)


def filled(classes: Names, encoder: EncoderSpec | None = ENCODER) -> Memory:
    memory = Memory(encoder, list(classes), shots=3)
    for index, numbers in enumerate(classes.values()):
        for slot, number in enumerate(numbers):
            memory.add(index, slot, reference(number))
    return memory


def finalised(classes: Names) -> Memory:
    memory = filled(classes)
    memory.finalise(K, N)
    return memory


def stored(memory: Memory, path: Path) -> Memory:
    write_memory(path, memory)
    return read_memory(path).load(Memory())


START: Names = {"arrow": [0, 1, 2], "coin": [10, 11], "gear": [20]}
EDITS: dict[str, tuple[Callable[[Memory], object], Names]] = {
    "add": (
        lambda memory: add_classes(memory, finalised({"leaf": [30, 31], "coin": [12]})),
        {"arrow": [0, 1, 2], "coin": [10, 11, 12], "gear": [20], "leaf": [30, 31]},
    ),
    "add some": (
        lambda memory: add_classes(memory, filled({"leaf": [30], "ring": [40]}), ["ring"]),
        START | {"ring": [40]},
    ),
    "add more than there are places": (
        lambda memory: add_classes(memory, filled({"arrow": [3, 4]})),
        START | {"arrow": [0, 1, 2, 3, 4]},
    ),
    "add what is there": (
        lambda memory: add_classes(memory, filled({"coin": [11, 12]})),
        START | {"coin": [10, 11, 12]},
    ),
    "remove": (
        lambda memory: remove_classes(memory, ["arrow"]),
        {"coin": [10, 11], "gear": [20]},
    ),
    "rename": (
        lambda memory: rename_class(memory, "coin", "medal"),
        {"arrow": [0, 1, 2], "medal": [10, 11], "gear": [20]},
    ),
    "merge": (
        lambda memory: merge_classes(memory, ["gear", "arrow"], "metal"),
        {"metal": [20, 0, 1, 2], "coin": [10, 11]},
    ),
    "merge into one of them": (
        lambda memory: merge_classes(memory, ["coin", "gear"], "gear"),
        {"arrow": [0, 1, 2], "gear": [10, 11, 20]},
    ),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", EDITS)
def test_edits__after_saving_finalised_equal_filling_anew(
    tmp_path: Path, name: str, suffix: str
) -> None:
    edit, classes = EDITS[name]
    memory = stored(finalised(START), tmp_path / f"memory{suffix}")
    edit(memory)
    found, expected = stored(memory, tmp_path / f"edited{suffix}"), finalised(classes)
    assert (found.class_names, found.encoder) == (list(classes), ENCODER)
    close = {"rtol": 0, "atol": 1e-6}
    new, anew = found.statistics, expected.statistics
    torch.testing.assert_close(new.prototypes, anew.prototypes, **close)
    torch.testing.assert_close(new.class_means, anew.class_means, **close)
    torch.testing.assert_close(new.instance_means, anew.instance_means, **close)
    assert torch.equal(new.counts, anew.counts)
    for row, numbers in enumerate(classes.values()):
        if numbers in START.values():
            assert_pictures_equal(new, anew, row)
        assert abs(float(new.instance_similarity[row] - anew.instance_similarity[row])) < 0.03
        cosines = new.centres[row] @ new.class_means[row] / new.class_means[row].norm()
        assert new.centres.shape == anew.centres.shape and (cosines > 0).all()


def assert_pictures_equal(new: object, anew: object, row: int) -> None:
    for field in ("centres", "pca_mean", "pca_components", "instance_similarity"):
        pair: list[Tensor] = [getattr(each, field)[row] for each in (new, anew)]
        torch.testing.assert_close(*pair, rtol=0, atol=2e-3)  # they are stored as float16


@pytest.mark.parametrize("name", EDITS)
def test_edits__after_saving_filled_equal_filling_anew_in_all(tmp_path: Path, name: str) -> None:
    edit, classes = EDITS[name]
    memory = stored(filled(START), tmp_path / "memory.pth")
    if name == "add":  # of a finalised memory, whose patches are there still
        edit = lambda memory: add_classes(memory, filled({"leaf": [30, 31], "coin": [12]}))  # noqa: E731
    edit(memory)
    assert not memory.is_finalised
    found, expected = stored(memory, tmp_path / "edited.pth"), filled(classes)
    assert found.references.keys() == expected.references.keys()
    found.finalise(K, N)
    expected.finalise(K, N)
    for field, values in vars(expected.statistics).items():
        torch.testing.assert_close(getattr(found.statistics, field), values, rtol=0, atol=1e-6)


def test_add_classes__to_a_finalised_memory_with_other_numbers_of_centres() -> None:
    memory, other = finalised(START), filled({"leaf": [30, 31]})
    other.finalise(kmeans_k=2, n_components=1)
    add_classes(memory, other)
    assert memory.statistics.picture_sizes == (K, N)
    expected = finalised(START | {"leaf": [30, 31]}).statistics
    torch.testing.assert_close(memory.statistics.centres, expected.centres)


def test_add_classes__says_how_many_references_are_new() -> None:
    memory = finalised(START)
    before = memory.statistics.centres[2]
    assert add_classes(memory, filled({"coin": [11, 12, 13], "leaf": [30], "gear": [20]})) == [
        2,
        1,
        0,
    ]
    assert torch.equal(memory.statistics.centres[2], before)


def test_add_classes__of_classes_that_share_a_name_loses_none() -> None:
    memory = finalised({"arrow": [0], "coin": [10, 10]})
    memory.class_names = ["coin", "coin"]
    assert add_classes(memory, filled({"coin": [10, 20]})) == [2]
    assert memory.statistics.counts.tolist() == [3, 2]
    memory.class_names = ["arrow", "coin"]
    assert add_classes(memory, filled({"coin": [10, 20]})) == [1]
    assert memory.statistics.counts.tolist() == [3, 3]


REFUSED: list[tuple[Callable[[Memory], object], str]] = [
    (lambda memory: remove_classes(memory, ["arow"]), "no class 'arow'; did you mean arrow"),
    (lambda memory: remove_classes(memory, ["zzz"]), "'zzz'; there are arrow, coin, gear"),
    (lambda memory: remove_classes(memory, list(START)), "would be no class left"),
    (lambda memory: rename_class(memory, "coin", "gear"), "a class 'gear' already; choose"),
    (lambda memory: rename_class(memory, "cion", "x"), "did you mean coin"),
    (lambda memory: rename_class(memory, "coin", " "), "no name for a class"),
    (lambda memory: rename_class(memory, "coin", "two\nlines"), "no name for a class"),
    (lambda memory: merge_classes(memory, ["coin"], "x"), "'coin' is one class; name two"),
    (lambda memory: merge_classes(memory, ["coin", "coin"], "x"), "is one class; name two"),
    (lambda memory: merge_classes(memory, ["coin", "arrow"], "gear"), "'gear' already; choose"),
    (lambda memory: add_classes(memory, filled({"a": [1]}), ["b"]), "no class 'b'; there are a"),
    (
        lambda memory: add_classes(memory, filled({"a": [1]}, EncoderSpec("dinov2_base", 252))),
        "filled with dinov2_base at 252 .* added to with dinov2_demo",
    ),
    (
        lambda memory: add_classes(memory, filled({"a": [1]}, EncoderSpec("dinov2_demo", 280))),
        "filled with dinov2_demo at 280 x 280",
    ),
    (lambda memory: add_classes(memory, of_other_width()), "5 channels, .* of 16; fill it"),
]


def of_other_width() -> Memory:
    memory = Memory(None, ["a"])
    memory.add(0, 0, summarise(torch.ones(2, 5), torch.ones(2), max_patches=2))
    return memory


@pytest.mark.parametrize(("edit", "words"), REFUSED)
def test_edits__that_cannot_work_are_refused_and_change_nothing(
    edit: Callable[[Memory], object], words: str
) -> None:
    memory = finalised(START)
    before = memory.statistics
    with pytest.raises(InputError, match=words):
        edit(memory)
    assert memory.statistics is before and memory.class_names == list(START)


def test_rename_class__of_a_memory_without_names_is_kept(tmp_path: Path) -> None:
    memory = finalised(START)
    memory.class_names, memory.encoder = [], None
    memory = stored(memory, tmp_path / "published.pth")
    rename_class(memory, "class 2", "coin")
    again = stored(memory, tmp_path / "renamed.pth")
    assert (again.class_names, again.encoder) == (["class 1", "coin", "class 3"], None)
