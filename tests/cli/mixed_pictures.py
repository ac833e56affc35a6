"""Two hundred files as people have them: each kind that docs/predict.md lists, in some variants."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.conftest import ROOT

SIZE = (60, 40)  # width, height
TURNED = SIZE[::-1]
TOTAL = 200
COMMON_FORMATS = ("jpg", "png", "tif", "webp")


@dataclass(frozen=True)
class Made:
    """A file that was written."""

    name: str
    size: tuple[int, int] | None
    """(width, height) as shown; None where it is to be left out."""
    reason: str = ""
    """Why it is left out: words of the message."""
    warning: str = ""
    """What is said about it."""


Maker = Callable[[Path, Image.Image], Iterator[Made]]


def turned(folder: Path, scene: Image.Image) -> Iterator[Made]:
    for suffix in COMMON_FORMATS:
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            name = f"turned_{orientation}.{suffix}"
            scene.save(folder / name, exif=exif)
            yield Made(name, SIZE if orientation < 5 else TURNED)


def modes(folder: Path, scene: Image.Image) -> Iterator[Made]:
    kinds = {"grey": "L", "black_white": "1", "palette": "P", "cmyk": "CMYK"}
    for kind, mode in kinds.items():
        suffixes = {"CMYK": ("jpg", "tif"), "L": ("jpg", "png", "tif", "bmp", "pgm")}
        for suffix in suffixes.get(mode, ("png", "tif", "bmp")):
            scene.convert(mode).save(folder / f"{kind}.{suffix}")
            yield Made(f"{kind}.{suffix}", SIZE)


def alpha(folder: Path, scene: Image.Image) -> Iterator[Made]:
    for mode, suffix in (("RGBA", "png"), ("LA", "png"), ("RGBA", "webp"), ("RGBA", "tif")):
        clear = scene.convert(mode)
        clear.putalpha(120)
        clear.save(folder / f"alpha_{mode}.{suffix}")
        yield Made(f"alpha_{mode}.{suffix}", SIZE)


def deep(folder: Path, scene: Image.Image) -> Iterator[Made]:
    values = np.asarray(scene.convert("L")).astype(np.uint16) * 257
    for suffix in ("png", "tif"):
        Image.fromarray(values).save(folder / f"deep.{suffix}")
        yield Made(f"deep.{suffix}", SIZE, warning="16 bits")


def floats(folder: Path, scene: Image.Image) -> Iterator[Made]:
    values = np.asarray(scene.convert("L")).astype(np.float32) / 255
    Image.fromarray(values).save(folder / "float.tif")
    yield Made("float.tif", SIZE)


def other_floats(folder: Path, scene: Image.Image) -> Iterator[Made]:
    values = np.asarray(scene.convert("L")).astype(np.float32) * 40
    Image.fromarray(values).save(folder / "float_heights.tif")
    yield Made("float_heights.tif", None, "float_heights.tif")


def animated(folder: Path, scene: Image.Image) -> Iterator[Made]:
    more = [scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    for suffix in ("gif", "webp", "tif", "png"):
        scene.save(folder / f"frames.{suffix}", save_all=True, append_images=more)
        yield Made(f"frames.{suffix}", SIZE, warning="several frames")


def huge(folder: Path, scene: Image.Image) -> Iterator[Made]:
    Image.new("1", (12_000, 9_000)).save(folder / "huge.png")
    yield Made("huge.png", None, "12000 x 9000 pixels, the limit is 80000000")


def tiny(folder: Path, scene: Image.Image) -> Iterator[Made]:
    for suffix in ("png", "jpg", "bmp"):
        scene.resize((1, 1)).save(folder / f"tiny.{suffix}")
        yield Made(f"tiny.{suffix}", (1, 1))


def empty(folder: Path, scene: Image.Image) -> Iterator[Made]:
    (folder / "broken_empty.jpg").touch()
    yield Made("broken_empty.jpg", None, "no image in a known format")


def text(folder: Path, scene: Image.Image) -> Iterator[Made]:
    (folder / "broken_text.png").write_text("<html>404</html>")
    yield Made("broken_text.png", None, "no image in a known format")


def cut_off(folder: Path, scene: Image.Image) -> Iterator[Made]:
    for suffix in COMMON_FORMATS:
        path = folder / f"broken_cut.{suffix}"
        scene.save(path)
        path.write_bytes(path.read_bytes()[:-300])
        yield Made(path.name, None, "cannot be decoded")


def damaged(folder: Path, scene: Image.Image) -> Iterator[Made]:
    path = folder / "broken_damaged.png"
    scene.save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    yield Made(path.name, None, "cannot be decoded")


def nowhere(folder: Path, scene: Image.Image) -> Iterator[Made]:
    (folder / "broken_link.jpg").symlink_to("nothing.jpg")
    yield Made("broken_link.jpg", None, "there is no image")


def misnamed(folder: Path, scene: Image.Image) -> Iterator[Made]:
    scene.save(folder / "misnamed.jpg", "PNG")
    yield Made("misnamed.jpg", SIZE)


def names(folder: Path, scene: Image.Image) -> Iterator[Made]:
    for stem in (
        "two words",
        "grün Äpfel",
        "鳥",
        "quote'\"",
        "comma,semicolon;",
        "line\nbreak",
        "#1%20",
    ):
        scene.save(folder / f"{stem}.jpg")
        yield Made(f"{stem}.jpg", SIZE)


def no_text_name(folder: Path, scene: Image.Image) -> Iterator[Made]:
    scene.save(os.fsencode(folder) + b"/latin_\xe4.jpg", "JPEG")
    yield Made("latin_\\xe4.jpg", None, "no UTF-8")


def twins(folder: Path, scene: Image.Image) -> Iterator[Made]:
    for name in ("twin.jpg", "twin.png", "sub/twin.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        scene.save(folder / name)
        yield Made(name, SIZE)


def plain(folder: Path, scene: Image.Image) -> Iterator[Made]:
    """Scenes, without an end."""
    paths = sorted((ROOT / "scenes" / "images").glob("target_*.jpg"))
    for number, path in enumerate(cycle(paths)):
        name = f"plain/{number:03d}.jpg"
        (folder / "plain").mkdir(exist_ok=True)
        (folder / name).write_bytes(path.read_bytes())
        yield Made(name, Image.open(path).size)


KINDS: dict[str, Maker] = {
    "turned by EXIF": turned,
    "grey, black and white, palette, CMYK": modes,
    "with transparency": alpha,
    "16 bits a pixel": deep,
    "float TIFF, values from 0 to 1": floats,
    "float TIFF, other values": other_floats,
    "several frames or pages": animated,
    "12,000 x 9,000 pixels": huge,
    "1 x 1 pixel": tiny,
    "empty file": empty,
    "something else by the name of a picture": text,
    "cut off": cut_off,
    "damaged": damaged,
    "link to nowhere": nowhere,
    "PNG called .jpg": misnamed,
    "spaces, umlauts, commas, quotes, line breaks in the name": names,
    "name that is no UTF-8": no_text_name,
    "names that differ in the suffix alone": twins,
}
"""By what docs/predict.md calls them."""


def make_pictures(folder: Path) -> dict[str, list[Made]]:
    """Write the files, and others that are no pictures; what was made, by kind."""
    folder.mkdir()
    path = ROOT / "scenes" / "images" / "target_03.jpg"
    scene = Image.open(path).convert("RGB").resize(SIZE)
    made = {kind: list(make(folder, scene)) for kind, make in KINDS.items()}
    count = sum(map(len, made.values()))
    scenes = plain(folder, scene)
    made["plain"] = [next(scenes) for _ in range(TOTAL - count)]
    (folder / ".hidden.jpg").write_bytes(path.read_bytes())
    (folder / "notes.txt").write_text("not a picture")
    (folder / "sub" / "back").symlink_to(folder)  # round and round
    return made
