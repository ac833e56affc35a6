"""Classes of a memory are added, removed, renamed and merged, without their pictures.

What results equals a memory that was filled with the same references: of a filled memory in all,
of a finalised one in its prototypes and means. There, a class whose references stay the same keeps
what only pictures of the memory are drawn from; for one that has others now,
`stored_references.condensed_references` tells what that is made of. Where an error is raised, the
memory is as it was.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

import torch

from no_time_to_train.config import MAX_NAME
from no_time_to_train.errors import InputError, listed
from no_time_to_train.memory.bank import Memory, MemoryClass
from no_time_to_train.memory.references import ReferenceSummary


def add_classes(memory: Memory, other: Memory, names: Sequence[str] | None = None) -> list[int]:
    """Add classes of another memory; references go to a class of the same name, if there is one.

    References that their class holds already are not added a second time.

    Args:
        memory: To which they are added.
        other: From which they come; it stays as it is.
        names: Of the classes; by default all.

    Returns:
        How many references each of them has added.

    Raises:
        InputError: Another encoder filled the other memory, or it has no such class.
    """
    _check_encoders(memory, other)
    theirs, ours = other.classes(), memory.classes()
    chosen = theirs if names is None else [theirs[row] for row in _rows(theirs, names)]
    added = [_add_class(ours, new) for new in chosen]
    memory.set_classes(ours)
    return added


def remove_classes(memory: Memory, names: Sequence[str]) -> None:
    """Remove classes.

    Raises:
        InputError: There is no such class, or no other one.
    """
    classes = memory.classes()
    rows = _rows(classes, names)
    left = [each for row, each in enumerate(classes) if row not in rows]
    if not left:
        raise InputError(
            f"without {_shown(names)} there would be no class left; leave at least one"
        )
    memory.set_classes(left)


def rename_class(memory: Memory, old: str, new: str) -> None:
    """Give a class another name.

    Raises:
        InputError: There is no such class, or another one has the new name.
    """
    classes = memory.classes()
    (row,) = _rows(classes, [old])
    _check_new_name(new, [each.name for each in classes if each is not classes[row]])
    classes[row] = replace(classes[row], name=new)
    memory.set_classes(classes)


def merge_classes(memory: Memory, names: Sequence[str], into: str) -> None:
    """Make one class of the references of several; it stands where the first of them stood.

    Args:
        memory: That has them.
        names: Two or more.
        into: The name of the new class, which may be one of theirs.

    Raises:
        InputError: There is no such class, only one is named, or another one has the new name.
    """
    classes = memory.classes()
    rows = _rows(classes, names)
    if len(rows) < 2:
        raise InputError(f"{_shown(names)} is one class; name two or more to merge")
    _check_new_name(into, [each.name for row, each in enumerate(classes) if row not in rows])
    references = [reference for row in rows for reference in classes[row].references]
    kept = {row: each for row, each in enumerate(classes) if row not in rows}
    kept[min(rows)] = MemoryClass(into, references)
    memory.set_classes([kept[row] for row in sorted(kept)])


def _add_class(classes: list[MemoryClass], new: MemoryClass) -> int:
    """Add a class, or its references to the one of its name; how many references are added."""
    present = [each.name for each in classes]
    if new.name not in present:
        classes.append(new)
        return len(new.references)
    row = present.index(new.name)
    own = classes[row].references
    more = [each for each in new.references if not any(_same(each, other) for other in own)]
    if more:
        classes[row] = MemoryClass(new.name, [*own, *more])
    return len(more)


def _same(reference: ReferenceSummary, other: ReferenceSummary) -> bool:
    return torch.equal(reference.mean, other.mean)


def _rows(classes: Sequence[MemoryClass], names: Sequence[str]) -> list[int]:
    """Where classes of these names stand, each once, in the order of the names."""
    present = [each.name for each in classes]
    for name in names:
        if name not in present:
            nearest = difflib.get_close_matches(name[:100], present, n=1)
            repair = f"did you mean {nearest[0]}?" if nearest else f"there are {listed(present)}"
            raise InputError(f"there is no class {name[:60]!r}; {repair}")
    return list(dict.fromkeys(present.index(name) for name in names))


def _check_new_name(name: str, others: Sequence[str]) -> None:
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise InputError(
            f"{name[:60]!r} is no name for a class; give a short text without spaces around it"
        )
    if name in others:
        raise InputError(f"there is a class {name[:60]!r} already; choose another name, or merge")


def _check_encoders(memory: Memory, other: Memory) -> None:
    own, their = memory.encoder, other.encoder
    sizes_differ = own and their and None not in (own[1], their[1]) and own[1] != their[1]
    if own and their and (own.name != their.name or sizes_differ):
        raise InputError(
            f"it was filled with {their}, and the memory that it is added to with {own}; fill it "
            "with the same encoder"
        )
    channels = [next(iter(each.references.values())).mean.shape[0] for each in (memory, other)]
    if channels[0] != channels[1]:
        raise InputError(
            f"it holds features of {channels[1]} channels, and the memory that it is added to of "
            f"{channels[0]}; fill it with the same encoder"
        )


def _shown(names: Sequence[str]) -> str:
    return listed([repr(name[:60]) for name in names])
