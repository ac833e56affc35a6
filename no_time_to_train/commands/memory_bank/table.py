"""A memory in words: a line about the file, and a row per class."""

from __future__ import annotations

import os
from collections.abc import Iterator

from no_time_to_train.memory.description import MemoryDescription
from no_time_to_train.memory.layout import Kind
from no_time_to_train.memory.safetensors_file import is_safetensors

MAX_WIDTH = 60
"""Letters of a name that are shown."""
STATES = {
    Kind.FILLED: "filled, not post-processed yet",
    Kind.DENSE: "filled by the published code, not post-processed yet",
    Kind.FINALISED: "post-processed",
}


def table(memory: MemoryDescription) -> str:
    """What `bank show` prints."""
    names = [printable(name) for name in memory.shown_names]
    width = max(len("class"), *map(len, names))
    head = f"{'class':{width}}  references  similarity  pictures\n"
    lines = (
        f"{name:{width}}  {count:10}  {similarity:>10}  {pictures:8}\n"
        for name, (count, similarity, pictures) in zip(names, rows(memory), strict=True)
    )
    about = "".join(f"{label:8}  {text}\n" for label, text in facts(memory).items())
    notes = "".join(f"\n{note}\n" for note in about_pictures(memory))
    return f"{memory.path}\n{about}\n{head}{''.join(lines)}{notes}"


def facts(memory: MemoryDescription) -> dict[str, str]:
    """What is known of a file as a whole, by what it is about."""
    form = "safetensors" if is_safetensors(memory.path) else "checkpoint"
    classes, shots, channels = memory.size
    return {
        "state": STATES[memory.kind],
        "classes": f"{classes}, with up to {counted(shots, 'reference')} each",
        "encoder": str(memory.encoder) if memory.encoder else "not known",
        "features": f"{channels} channels",
        "file": f"{form}, {os.path.getsize(memory.path) / 1e6:.2f} MB",
    }


def rows(memory: MemoryDescription) -> Iterator[tuple[int, str, int]]:
    """Of each class: references, how alike they are, and how many of them have a picture."""
    for index, count in enumerate(memory.counts):
        alike = f"{memory.similarity[index]:.3f}" if memory.similarity and count > 1 else "-"
        yield count, alike, sum(each is not None for each in memory.thumbnails[index])


def about_pictures(memory: MemoryDescription) -> list[str]:
    """Why references have no picture, where they have none."""
    missing = sum(each is None for own in memory.thumbnails for each in own)
    if not missing:
        return []
    whose = "The" if missing == sum(memory.counts) else f"{missing} of the"
    return [
        f"{whose} references have no picture: they were filled by a version that kept none, or by "
        "the published code."
    ]


def counted(number: int, noun: str) -> str:
    """A number of things, such as "1 class", "2 classes"."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def printable(name: str) -> str:
    """A name on one line of a terminal."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in name)
    return shown if len(shown) <= MAX_WIDTH else f"{shown[: MAX_WIDTH - 3]}..."
