"""Image files of every kind, and the sentence for those that cannot be read."""

from __future__ import annotations

import contextlib
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from no_time_to_train.dataset.annotations import ImageInfo
from no_time_to_train.dataset.images import (
    existing_paths,
    read_image,
    to_tensor,
    with_measured_size,
)
from no_time_to_train.errors import InputError
from tests.unit.coco_files import write_images

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


FILES = (
    "1.png L.jpg L.gif P.png P.gif LA.png RGBA.png "
    "CMYK.jpg CMYK.tiff I.tiff F.tiff RGB.webp RGB.bmp"
).split()


@pytest.mark.parametrize("name", FILES)
def test_read_image__turns_every_mode_into_rgb_as_pil_does(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(PIXELS).convert(path.stem).save(path)
    found = read_image(path)
    assert (found.mode, found.size) == ("RGB", (30, 20))
    with Image.open(path) as file:
        np.testing.assert_array_equal(np.array(found), np.array(file.convert("RGB")))


def test_read_image__clips_sixteen_bits_as_pil_does(tmp_path: Path) -> None:
    pixels = np.array([[0, 100, 60_000]], dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = np.array(read_image(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as file:
        np.testing.assert_array_equal(found, np.array(file.convert("RGB")))


def test_read_image__leaves_exif_rotation_alone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 90 degrees to view
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(np.array(read_image(tmp_path / "a.png")), PIXELS)


def test_read_image__names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no image .*a\.png; check the setting root"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "bmp"])
def test_read_image__refuses_a_truncated_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path} ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_read_image__refuses_what_is_no_photograph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is no image in a known format \(BMP, GIF, JPEG, "):
        read_image(path)


def test_read_image__turns_any_damage_into_an_input_error(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for suffix in ("png", "jpg", "gif", "tiff"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(PIXELS).save(path)
        intact = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        for _ in range(50):
            damaged = intact.copy()
            damaged[generator.integers(len(damaged), size=4)] = generator.integers(256, size=4)
            path.write_bytes(damaged.tobytes())
            with warnings.catch_warnings(), contextlib.suppress(InputError):
                warnings.simplefilter("ignore")
                assert read_image(path).mode == "RGB"


def test_read_image__has_a_limit_of_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    assert read_image(path, max_pixels=600).size == (30, 20)
    with pytest.raises(InputError, match=r"a\.png has 30 x 20 pixels, the limit is 599 in all"):
        read_image(path, max_pixels=599)


@pytest.mark.parametrize("side", [10_000, 20_000], ids=["PIL warns", "PIL fails"])
def test_read_image__says_so_of_a_bomb_without_pil_warnings(tmp_path: Path, side: int) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    png = bytearray((tmp_path / "a.png").read_bytes())
    png[16:24] = side.to_bytes(4, "big") * 2  # width and height in the header, then its checksum
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(png)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="the limit is 80000000 in all; scale it down"):
            read_image(tmp_path / "a.png")


def test_to_tensor__scales_to_the_unit_interval() -> None:
    tensor = to_tensor(Image.fromarray(np.array([[[0, 51, 255]]], dtype=np.uint8)))
    torch.testing.assert_close(tensor, torch.tensor([0.0, 0.2, 1.0]).reshape(3, 1, 1))


def entry(name: str, height: int | None = None, width: int | None = None) -> ImageInfo:
    return ImageInfo(7, name, height, width)


def test_existing_paths__counts_what_is_missing(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.png"])
    assert existing_paths(tmp_path, "x.root", [entry("a.png")] * 2) == [tmp_path / "a.png"] * 2
    missing = [entry("a.png"), entry("b.png"), entry("c.png"), entry("b.png")]
    with pytest.raises(InputError, match=r"^x\.root: 2 of 3 images .* the first is .*b\.png; set"):
        existing_paths(tmp_path, "x.root", missing)
    with pytest.raises(InputError, match=r"^x\.root: there is no folder .*nowhere; set"):
        existing_paths(tmp_path / "nowhere", "x.root", [])


def test_existing_paths__survives_any_name(tmp_path: Path) -> None:
    for name in ("a" * 5000, "\ud800.png", "a.png/b.png"):
        write_images(tmp_path, ["a.png"])
        with pytest.raises(InputError):
            existing_paths(tmp_path, "x.root", [entry(name)])


def test_with_measured_size__fills_gaps_and_refuses_contradictions() -> None:
    picture = Image.new("RGB", (60, 40))
    assert with_measured_size(entry("a.png"), picture) == entry("a.png", 40, 60)
    assert with_measured_size(entry("a.png", 40, 60), picture) == entry("a.png", 40, 60)
    with pytest.raises(InputError, match=r"a\.png \(id 7\) has 40 x 60 .* the json says 60 x 40;"):
        with_measured_size(entry("a.png", 60, 40), picture)
