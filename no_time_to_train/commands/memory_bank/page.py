"""A memory as a page: a picture of each reference, class by class, in one file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from no_time_to_train.commands.memory_bank.table import about_pictures, counted, facts, rows
from no_time_to_train.memory.description import MemoryDescription
from no_time_to_train.memory.thumbnails import decode_thumbnail

TEMPLATE = "page.html.jinja"
BACKDROP = 0.35
"""Brightness around an instance, as in the pictures of vis_memory."""
QUALITY = 80
"""Of the pictures, from 0 to 100."""


@dataclass(frozen=True)
class ShownClass:
    """A class as the page has it."""

    name: str
    references: str
    similarity: str | None
    """None where there is nothing to compare."""
    pictures: list[str | None]
    """Addresses that hold the pictures themselves."""

    @property
    def has_pictures(self) -> bool:
        """Whether there is one at all."""
        return any(self.pictures)


def render(memory: MemoryDescription) -> str:
    """The whole page, which asks nothing of the network; names in it may be hostile."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    classes = _classes(memory)
    page = environment.get_template(TEMPLATE).render(
        name=memory.path.name,
        facts=facts(memory),
        notes=about_pictures(memory),
        classes=classes,
        any_pictures=any(each.has_pictures for each in classes),
    )
    return page.encode("utf-8", "replace").decode("utf-8")


def _classes(memory: MemoryDescription) -> list[ShownClass]:
    return [
        ShownClass(
            name,
            counted(count, "reference"),
            None if similarity == "-" else similarity,
            [_address(each) for each in thumbnails],
        )
        for name, (count, similarity, _), thumbnails in zip(
            memory.shown_names, rows(memory), memory.thumbnails, strict=True
        )
    ]


def _address(thumbnail: bytes | None) -> str | None:
    """A thumbnail, dark around the instance, as a data URI; None where it is damaged."""
    picture = decode_thumbnail(thumbnail)  # (T, T, 4)
    if picture is None:
        return None
    brightness = BACKDROP + (1 - BACKDROP) * picture[..., 3:] / 255  # (T, T, 1)
    file = io.BytesIO()
    shown = Image.fromarray((picture[..., :3] * brightness).astype(np.uint8))
    shown.save(file, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
