"""Pascal VOC in little: VOC2007 and VOC2012 in the layout of the devkit, coloured shapes on grey.

The novel classes of split 1 have `shots` valid references each. Beside the usual entries there are
difficult objects, coordinates with decimals, parts of objects, and entries that leave out
`<difficult>` or `<size>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

SIDE = 96
"""Of every image, in pixels."""
NOVEL = ("bird", "bus", "cow", "motorbike", "sofa")
"""Split 1, in the order of the category ids."""
COLOURS = {
    "bird": (220, 60, 40),
    "bus": (60, 120, 220),
    "cow": (50, 160, 70),
    "motorbike": (220, 180, 40),
    "sofa": (150, 70, 180),
    "dog": (120, 80, 50),
    "person": (240, 150, 170),
}
CORNERS = ((10, 10), (54, 10), (10, 54), (54, 54))
"""Where four boxes of 32 x 32 pixels just keep clear of each other and of the border."""


class Shape(NamedTuple):
    """An object as the XML has it; an ellipse or a rectangle in the image."""

    name: str
    corners: Sequence[float | str]
    """xmin, ymin, xmax, ymax, counted from 1; text is written as it is."""
    difficult: int | None = 0
    """None leaves the tag out."""
    part: Sequence[int] | None = None
    """The box of a part of it, such as the head of a person."""


def write(root: Path, shots: int = 10, names: Sequence[str] = NOVEL) -> Path:
    """Lay out the devkit below a folder of data sets.

    Args:
        root: DATASETS_ROOT.
        shots: Valid references of each class.
        names: The classes; by default, those of split 1.

    Returns:
        The devkit, the folder of VOC2007 and VOC2012.
    """
    devkit = root / "pascal_voc" / "VOCdevkit"
    scenes = list(_reference_scenes(names, shots))
    first, second = scenes[::2], scenes[1::2]
    first.append([Shape("person", (20, 9, 60, 90), part=(30, 10, 50, 30)), DIFFICULT_BIRD])
    second.append([Shape("dog", ("20.2", "31", "45.7", "62.5"), difficult=None)])
    _write_year(devkit / "VOC2007", [f"{number:06}" for number in range(1, 60)], first)
    _write_year(devkit / "VOC2012", [f"2008_{number:06}" for number in range(1, 60)], second)
    xml = devkit / "VOC2012" / "Annotations" / f"2008_{len(second):06}.xml"
    xml.write_text(xml.read_text().replace(SIZE, ""))
    names = [f"{number:06}" for number in range(101, 101 + len(TEST))]
    _write_images(devkit / "VOC2007", names, TEST)
    _write_list(devkit / "VOC2007", "test", names)
    return devkit


DIFFICULT_BIRD = Shape("bird", (70, 70, 96, 96), difficult=1)
TEST = [
    [Shape("dog", (5, 5, 50, 50)), Shape("bird", (55, 40, 90, 90))],
    [Shape("bus", (11, 11, 80, 50), difficult=1), Shape("cow", (20, 55, 70, 92))],
    [Shape("sofa", (8, 30, 44, 80)), Shape("sofa", (52, 10, 90, 60)), DIFFICULT_BIRD],
    [Shape("motorbike", (30, 30, 75, 70)), Shape("bus", (1, 1, 25, 96))],
    [Shape("person", (40, 10, 60, 90))],
]
SIZE = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"


def _reference_scenes(names: Sequence[str], shots: int) -> Iterable[list[Shape]]:
    """Four classes an image, in turn."""
    for first in range(0, len(names) * shots, len(CORNERS)):
        yield [
            Shape(names[(first + place) % len(names)], (x + 1, y + 1, x + 33, y + 33))
            for place, (x, y) in enumerate(CORNERS)
        ]


def _write_year(folder: Path, names: Sequence[str], scenes: Sequence[list[Shape]]) -> None:
    names = names[: len(scenes)]
    _write_images(folder, names, scenes)
    _write_list(folder, "trainval", names)
    _write_list(folder, "train", names[::2])
    _write_list(folder, "val", names[1::2])


def _write_list(folder: Path, split: str, names: Iterable[str]) -> None:
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def _write_images(folder: Path, names: Sequence[str], scenes: Sequence[list[Shape]]) -> None:
    for kind in ("Annotations", "JPEGImages"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name, scene in zip(names, scenes, strict=True):
        text = _xml(folder.name, name, scene)
        (folder / "Annotations" / f"{name}.xml").write_text(text)
        _drawn(scene, seed=int(name[-6:])).save(
            folder / "JPEGImages" / f"{name}.jpg", quality=95, subsampling=0
        )


def _xml(year: str, name: str, scene: Sequence[Shape]) -> str:
    objects = "\n".join(map(_object, scene))
    return (
        f"<annotation>\n<folder>{year}</folder>\n<filename>{name}.jpg</filename>\n{SIZE}\n"
        f"<segmented>0</segmented>\n{objects}\n</annotation>\n"
    )


def _object(shape: Shape) -> str:
    difficult = "" if shape.difficult is None else f"<difficult>{shape.difficult}</difficult>"
    part = f"<part><name>head</name>{_box(shape.part)}</part>" if shape.part else ""
    return (
        f"<object><name>{shape.name}</name><pose>Left</pose><truncated>0</truncated>"
        f"{difficult}{part}{_box(shape.corners)}</object>"
    )


def _box(corners: Sequence[float | str]) -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    return "<bndbox>" + "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags) + "</bndbox>"


def _drawn(scene: Sequence[Shape], seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(150, 190, (SIDE, SIDE, 1), dtype=np.uint8)
    picture = Image.fromarray(np.repeat(noise, 3, axis=2))
    draw = ImageDraw.Draw(picture)
    for shape in scene:
        box = [float(value) - 1 for value in shape.corners]
        outline = draw.ellipse if shape.name in NOVEL else draw.rectangle
        outline(box, fill=COLOURS.get(shape.name, (200, 200, 60)))
    return picture
