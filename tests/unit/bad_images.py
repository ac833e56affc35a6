"""Image files that cannot be read, each in its own way."""

from __future__ import annotations

import ctypes
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

IGNORE_MODES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
VERSION_3 = 0x20080522
PR_CAPBSET_DROP = 24


def truncate(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:1500])


def enlarge(path: Path) -> None:
    """A PNG whose header says 20,000 x 20,000."""
    Image.new("RGB", (6, 4)).save(path, format="PNG")
    png = bytearray(path.read_bytes())
    png[16:24] = (20_000).to_bytes(4, "big") * 2
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    path.write_bytes(png)


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BREAK: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncate, "cannot be decoded (image file is truncated"),
    "empty": (lambda path: path.write_bytes(b""), "is no image in a known format"),
    "html": (
        lambda path: path.write_text("<html><body>404 Not Found</body></html>"),
        "is no image in a known format",
    ),
    "folder": (into_folder, "is a folder; give the name of a file"),
    "forbidden": (lambda path: path.chmod(0), "may not be read (Permission denied); change its"),
    "missing": (lambda path: path.unlink(), "there is no image"),
    "too large": (enlarge, "the limit is 80000000 in all; scale it down"),
}
"""What is done to a file, and a part of what is said about it."""


def write_frames(path: Path, size: tuple[int, int] = (60, 40)) -> None:
    """A GIF of a red frame and a green one, whatever the name says."""
    frames = [Image.new("RGB", size, colour) for colour in ("#ff0000", "#00ff00")]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:])


@contextmanager
def modes_respected() -> Iterator[None]:
    """Let this thread, and processes that it starts, be refused files as others are: root is not.

    The user stays the same, so that all other files are as they were.
    """
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "capset"):
        pytest.skip("root cannot give up its rights here")
    header, sets = (ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    effective = sets[0]
    try:
        sets[0] = effective & ~IGNORE_MODES
        assert libc.capset(header, sets) == 0
        yield
    finally:
        sets[0] = effective
        assert libc.capset(header, sets) == 0


def give_up_rights() -> None:
    """The same for this process and what it becomes, for good."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        assert [libc.prctl(PR_CAPBSET_DROP, each) for each in (1, 2)] == [0, 0]
