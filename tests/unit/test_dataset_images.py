"""Image files of every kind, and the sentence for those that cannot be read."""

from __future__ import annotations

import contextlib
import os
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from no_time_to_train.coco.annotations import ImageInfo
from no_time_to_train.dataset.image_files import existing_paths
from no_time_to_train.dataset.images import (
    as_rgb,
    read_entry,
    read_image,
    rgb_from_array,
    to_pixels,
    to_tensor,
)
from no_time_to_train.errors import InputError
from tests.unit.coco_files import write_images

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


FILES = (
    "1.png L.jpg L.gif P.png P.gif LA.png RGBA.png CMYK.jpg CMYK.tiff I.tiff RGB.webp RGB.bmp"
).split()


@pytest.mark.parametrize("name", FILES)
def test_read_image__turns_every_mode_into_rgb_as_pil_does(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(PIXELS).convert(path.stem).save(path)
    found = read_image(path)
    assert (found.mode, found.size) == ("RGB", (30, 20))
    with Image.open(path) as file:
        np.testing.assert_array_equal(np.array(found), np.array(file.convert("RGB")))


def turned_file(path: Path, orientation: int | bytes = 6) -> Path:
    """PIXELS with an EXIF orientation, or with these bytes for EXIF, lossless."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = orientation if isinstance(orientation, bytes) else exif
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    Image.fromarray(PIXELS).save(path, exif=content, **lossless)
    return path


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_readers__turn_as_exif_says(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = turned_file(tmp_path / f"a.{suffix}", orientation)
    with Image.open(path) as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
    np.testing.assert_array_equal(read_image(path), expected)
    with Image.open(path) as file:
        np.testing.assert_array_equal(as_rgb(file, "the image"), expected)
    np.testing.assert_array_equal(read_entry(entry("a"), path)[0], expected)
    np.testing.assert_array_equal(read_entry(entry("a"), path, "stored")[0], PIXELS)


def test_read_image__turns_by_hand_made_numbers(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: its first row is the right column
    rows = np.array([[10, 20], [30, 40], [50, 60]], dtype=np.uint8)
    Image.fromarray(rows).save(tmp_path / "a.png", exif=exif)
    found = np.asarray(read_image(tmp_path / "a.png"))[:, :, 0]
    assert found.tolist() == [[50, 30, 10], [60, 40, 20]]


BROKEN_EXIF = [
    b"garbage",
    b"Exif\0\0MM\0*\0\0\0\x08\0\x05garbage",
    b"Exif\0\0II*\0\xff\xff\xff\xff",
]


@pytest.mark.parametrize("exif", BROKEN_EXIF)
@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
def test_read_image__of_broken_exif_is_as_stored(tmp_path: Path, exif: bytes, suffix: str) -> None:
    path = turned_file(tmp_path / f"a.{suffix}", exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(path).size == (30, 20)


@pytest.mark.parametrize("value", [0, 9, 65_535])
def test_read_image__of_an_unknown_orientation_is_as_stored(tmp_path: Path, value: int) -> None:
    np.testing.assert_array_equal(read_image(turned_file(tmp_path / "a.png", value)), PIXELS)


SAYS_STORED = "a.png is read as it is stored, not turned as its EXIF orientation 6 says, since"
SAYS_TURNED = "a.png is turned as its EXIF orientation 6 says; if its annotations are drawn on"


@pytest.mark.parametrize(
    ("orientation", "height", "width", "size", "line"),
    [
        ("auto", None, None, (30, 20), SAYS_TURNED),
        ("auto", 30, 20, (30, 20), ""),
        ("auto", 20, 30, (20, 30), SAYS_STORED),
        ("auto", 20, None, (20, 30), SAYS_STORED),
        ("auto", None, 20, (30, 20), ""),
        ("shown", 30, 20, (30, 20), ""),
        ("stored", 20, 30, (20, 30), ""),
        ("stored", None, None, (20, 30), ""),
    ],
)
def test_read_entry__decides_by_the_size_in_the_json(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, orientation, height, width, size, line
) -> None:
    path = turned_file(tmp_path / "a.png")
    with caplog.at_level("INFO"):
        picture, found = read_entry(entry("a.png", height, width), path, orientation)
    assert found == entry("a.png", *size)
    assert picture.size == size[::-1]
    assert caplog.text.count("\n") == bool(line)
    assert line in caplog.text


def test_read_entry__half_a_turn_fits_both_ways_and_is_shown(tmp_path: Path) -> None:
    path = turned_file(tmp_path / "a.png", 3)
    picture, _ = read_entry(entry("a.png", 20, 30), path)
    np.testing.assert_array_equal(picture, PIXELS[::-1, ::-1])
    picture, _ = read_entry(entry("a.png", 20, 30), path, "stored")
    np.testing.assert_array_equal(picture, PIXELS)


@pytest.mark.parametrize(
    ("orientation", "size", "words"),
    [
        ("auto", (20, 31), "has 30 x 20 .* as shown and 20 x 30 as stored, .* says 20 x 31; corr"),
        ("shown", (20, 30), "has 30 x 20 .* the json says 20 x 30; set orientation to auto"),
        ("stored", (30, 20), ".* as stored, the json says 30 x 20; set orientation to auto"),
    ],
)
def test_read_entry__names_both_sizes_where_none_fits(
    tmp_path: Path, orientation, size, words
) -> None:
    path = turned_file(tmp_path / "a.png")
    with pytest.raises(InputError, match=rf"image a\.png \(id 7\) {words}"):
        read_entry(entry("a.png", *size), path, orientation)


# Value by value: 257 is one step of 8 bits in 16, 25,700 and 128 * 257 are steps 100 and 128.
SIXTEEN = np.array([[0, 128, 257], [25_700, 32_896, 65_535]], dtype=np.uint16)
EIGHT = [[0, 0, 1], [100, 128, 255]]
SMALL = np.array([[0, 7, 255]], dtype=np.uint16)
UNIT = np.array([[0, 0.2, 0.5, 1]], dtype=np.float32)
SCALED = {
    "16 bits": (SIXTEEN, EIGHT, "holds uint16 values up to 65535: 0 to 65535 becomes 0 to 255"),
    "16 bits swapped": (SIXTEEN.astype(">u2"), EIGHT, "0 to 65535 becomes 0 to 255, so that fewer"),
    "32 bits": (SIXTEEN.astype(np.int32), EIGHT, "holds int32 values up to 65535: 0 to 65535"),
    "8 bits in 16": (SMALL, [[0, 7, 255]], "holds uint16 values up to 255, taken as 8 bits"),
    "floats": (UNIT, [[0, 51, 128, 255]], "holds floats: 0 to 1 becomes 0 to 255"),
}


@pytest.mark.parametrize(("values", "expected", "line"), SCALED.values(), ids=list(SCALED))
def test_wide_values__are_scaled_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, values, expected, line
) -> None:
    Image.fromarray(values).save(tmp_path / "a.tiff")
    with Image.open(tmp_path / "a.tiff") as file:
        found = [read_image(tmp_path / "a.tiff"), as_rgb(file, "it"), rgb_from_array(values, "it")]
    for picture in found:
        assert np.asarray(picture)[:, :, 1].tolist() == expected
    assert caplog.text.count(line) == 3
    assert f"{tmp_path / 'a.tiff'} {line.split()[0]}" in caplog.text or "becomes" in line


def test_read_image__scales_a_png_of_sixteen_bits(tmp_path: Path) -> None:
    Image.fromarray(SIXTEEN).save(tmp_path / "a.png")
    assert np.asarray(read_image(tmp_path / "a.png"))[:, :, 0].tolist() == EIGHT


REFUSED = {
    "above 16 bits": (np.array([[0, 70_000]], np.int32), "int32 values from 0 to 70000; give 0 to"),
    "negative": (np.array([[-1, 7]], np.int32), "holds int32 values from -1 to 7"),
    "above 1": (
        np.array([[0, 1.5]], np.float32),
        "float32 values from 0 to 1.5; give .* floats",
    ),
    "below 0": (np.array([[-0.5, 1]], np.float32), "holds float32 values from -0.5 to 1"),
    "NaN": (np.array([[np.nan, 1]], np.float32), "holds float32 values from nan to nan"),
    "infinite": (np.array([[np.inf, 1]], np.float32), "holds float32 values from 1 to inf"),
}


@pytest.mark.parametrize(("values", "words"), REFUSED.values(), ids=list(REFUSED))
def test_wide_values__that_are_no_colours_are_refused(tmp_path: Path, values, words) -> None:
    Image.fromarray(values).save(tmp_path / "a.tiff")
    for read in (
        lambda: read_image(tmp_path / "a.tiff"),
        lambda: as_rgb(Image.fromarray(values), "the image"),
        lambda: rgb_from_array(values, "the image"),
    ):
        with pytest.raises(InputError, match=words):
            read()


def test_rgb_from_array__takes_grey_colour_and_alpha() -> None:
    np.testing.assert_array_equal(rgb_from_array(PIXELS, "it"), PIXELS)
    grey = PIXELS[:, :, 0]
    np.testing.assert_array_equal(np.asarray(rgb_from_array(grey, "it"))[:, :, 2], grey)
    alpha = np.dstack([PIXELS, grey])
    np.testing.assert_array_equal(rgb_from_array(alpha, "it"), PIXELS)
    deep = rgb_from_array(PIXELS.astype(np.uint16) * 257, "it")
    np.testing.assert_array_equal(deep, PIXELS)
    black_white = rgb_from_array(np.array([[False, True]]), "it")
    assert np.asarray(black_white)[:, :, 0].tolist() == [[0, 255]]


NO_PICTURE = {
    "channels first": (PIXELS.transpose(2, 0, 1), r"shape \(3, 20, 30\); give .* channels last"),
    "batch": (PIXELS[None], r"shape \(1, 20, 30, 3\)"),
    "row": (PIXELS[0, :, 0], r"shape \(30,\)"),
    "empty": (PIXELS[:0], r"shape \(0, 30, 3\)"),
    "tensor": (torch.zeros(3, 20, 30), r"is of type torch\.Tensor; give a path, a PIL image or"),
    "bytes": (b"png", r"is of type bytes; give"),
    "none": (None, r"is of type NoneType; give"),
    "text": (np.array([["a"]]), "values of type <U1; give 0 to 255"),
    "complex": (np.ones((2, 2), complex), "values of type complex128; give"),
}


@pytest.mark.parametrize(("value", "words"), NO_PICTURE.values(), ids=list(NO_PICTURE))
def test_rgb_from_array__says_what_is_no_picture(value, words) -> None:
    with pytest.raises(InputError, match=f"^the image .*{words}"):
        rgb_from_array(value, "the image")


def test_as_rgb__of_a_closed_file_is_a_sentence(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        pass
    with pytest.raises(InputError, match=r"the image cannot be read \(.*\); give another image"):
        as_rgb(picture, "the image")


@pytest.mark.parametrize("name", ["a.gif", "a.tiff", "a.webp", "a.png"])
def test_read_image__takes_the_first_of_several_frames(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("#ff0000", "#00ff00")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    red, green, _ = np.asarray(read_image(tmp_path / name))[2, 3]
    assert red > 200 and green < 50


def test_read_image__does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png is a named pipe"):
        read_image(tmp_path / "a.png")


def test_read_image__names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no image .*a\.png; check its folder and its name"):
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


def test_to_pixels__puts_channels_first() -> None:
    found = to_pixels(Image.fromarray(PIXELS))
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), PIXELS)


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


def test_read_entry__fills_gaps_and_refuses_contradictions(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.png"])
    for given in (entry("a.png"), entry("a.png", 40, 60), entry("a.png", 40), entry("a.png", 40)):
        picture, found = read_entry(given, tmp_path / "a.png")
        assert (picture.size, found) == ((60, 40), entry("a.png", 40, 60))
    with pytest.raises(InputError, match=r"a\.png \(id 7\) has 40 x 60 .* the json says 60 x 40;"):
        read_entry(entry("a.png", 60, 40), tmp_path / "a.png")
