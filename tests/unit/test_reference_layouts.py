"""References found by looking, in a folder per class, and what is said where they cannot be."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from no_time_to_train.coco.annotations import rasterise
from no_time_to_train.dataset.reference_layouts import FoundReferences, find_references
from no_time_to_train.dataset.reference_layouts.found_dataset import FoundDataset
from no_time_to_train.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SIZE = (30, 40)  # height, width


def write(folder: Path, name: str, content: Any, **options: Any) -> Path:
    """An array as an image; anything else as it is."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray):
        content = Image.fromarray(content)
    if isinstance(content, Image.Image):
        content.save(path, **options)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def picture(size: tuple[int, int] = SIZE) -> np.ndarray:
    """Grey."""
    return np.full((*size, 3), 128, np.uint8)


def square(value: int = 255, top: int = 5, left: int = 10, side: int = 8) -> np.ndarray:
    """A mask that is `value` on a square."""
    mask = np.zeros(SIZE, np.uint8)
    mask[top : top + side, left : left + side] = value
    return mask


def found_in(folder: Path, files: Mapping[str, Any]) -> FoundReferences:
    for name, content in files.items():
        write(folder, name, content)
    return find_references(folder)


def boxes(found: FoundReferences) -> list[tuple[str, str, tuple[float, ...]]]:
    """Class, image and box of each reference."""
    names = {category.id: category.name for category in found.annotations.categories}
    images = found.annotations.images
    return [
        (names[each.category_id], images[each.image_id].file_name, each.bbox)
        for each in found.annotations.annotations
    ]


BOX = (10, 5, 8, 8)


def test_class_folders__pair_each_picture_with_its_mask(tmp_path: Path) -> None:
    found = found_in(
        tmp_path,
        {
            "kea/a.JPG": picture(),
            "kea/a.png": square(),
            "kea/b.png": picture(),
            "kea/b_mask.png": square(),
            "ara/über den See.webp": picture(),
            "ara/über den See_MASK.PNG": square(1),
            "ara/C.tif": picture(),
            "ara/c.PNG": square(7),
        },
    )
    assert (found.layout, found.root) == ("class folders", tmp_path)
    assert boxes(found) == [
        ("ara", "ara/C.tif", BOX),
        ("ara", "ara/über den See.webp", BOX),
        ("kea", "kea/a.JPG", BOX),
        ("kea", "kea/b.png", BOX),
    ]
    assert found.notes == []
    assert (found.class_names, found.counts, found.shots) == (["ara", "kea"], [2, 2], 2)
    sizes = {(each.height, each.width) for each in found.annotations.images.values()}
    assert sizes == {SIZE}


def test_class_folders__read_the_very_pixels_of_a_mask(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random(SIZE) > 0.7
    found = found_in(tmp_path, {"kea/a.jpg": picture(), "kea/a.png": mask.astype(np.uint8)})
    (annotation,) = found.annotations.annotations
    image = found.annotations.images[annotation.image_id]
    np.testing.assert_array_equal(rasterise(annotation, image), mask)


def test_class_folders__read_the_very_pixels_of_a_label_map(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 9, SIZE).astype(np.uint16) * 500
    found = found_in(tmp_path, {"kea/a.jpg": picture(), "kea/a.png": labels})
    (image,) = found.annotations.images.values()
    assert len(found.annotations.annotations) == 8
    for value, annotation in enumerate(found.annotations.annotations, start=1):
        np.testing.assert_array_equal(rasterise(annotation, image), labels == 500 * value)


def test_class_folders__take_an_instance_per_value_of_a_label_map(tmp_path: Path) -> None:
    labels = square(3) + square(9, top=20, left=0, side=4)
    palette = Image.fromarray(labels).convert("P")
    palette.putdata(labels.ravel().tolist())
    sixteen = (square(1) + square(2, top=20, left=0, side=4)).astype(np.uint16) * 300
    found = found_in(
        tmp_path,
        {
            "a/p.jpg": picture(),
            "a/p.png": palette,
            "b/q.jpg": picture(),
            "b/q.png": sixteen,
        },
    )
    both = [BOX, (0, 20, 4, 4)]
    assert [box for *_, box in boxes(found)] == both + both
    assert found.notes == [
        "label maps, 4 references, one per value: a/p.png (2 values), b/q.png (2 values)"
    ]


def test_class_folders__say_what_is_odd_about_masks(tmp_path: Path) -> None:
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[5:13, 10:14, 0] = 200
    colours[5:13, 14:18, 1] = 200
    found = found_in(
        tmp_path,
        {
            "a/all.jpg": picture(),
            "a/all.png": np.full(SIZE, 255, np.uint8),
            "a/rgb.jpg": picture(),
            "a/rgb.png": colours,
            "a/none.jpg": picture(),
            "loose.jpg": picture(),
            "a/deep/one.jpg": picture(),
        },
    )
    assert [box for *_, box in boxes(found)] == [(0, 0, 40, 30), BOX]
    assert found.notes == [
        "masks that cover the whole picture: a/all.png",
        "masks in several colours, of which all that is not black is one instance: a/rgb.png (2)",
        "pictures without a mask, which are no references: a/none.jpg",
        "pictures that lie in no class folder, which are no references: a/deep/one.jpg, loose.jpg",
    ]


def test_class_folders__pass_over_what_programs_leave(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    write(other, "x.jpg", picture())
    write(other, "x.png", square())
    root = tmp_path / "references"
    for name in (".DS_Store", "kea/Thumbs.db", "__MACOSX/kea/._a.jpg", "kea/._a.png", "notes.txt"):
        write(root, name, b"\0")
    (root / "empty").mkdir()
    (root / "ara").symlink_to(other)
    (root / "kea" / "back").symlink_to(root)
    found = found_in(root, {"kea/a.jpg": picture(), "kea/a.png": square()})
    assert found.class_names == ["ara", "kea"]
    assert [name for _, name, _ in boxes(found)] == ["ara/x.jpg", "kea/a.jpg"]


def turned(size: tuple[int, int]) -> bytes:
    """A JPEG of that stored (height, width) that viewers show turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(picture(size)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("stored", [(40, 30), (30, 40)])
def test_class_folders__take_masks_drawn_on_either_orientation(
    tmp_path: Path, stored: tuple[int, int]
) -> None:
    found = found_in(tmp_path, {"kea/a.jpg": turned(stored), "kea/a.png": square()})
    (image,) = found.annotations.images.values()
    assert (image.height, image.width) == SIZE


def test_class_folders__pass_over_the_damaged_exif_of_a_mask(tmp_path: Path) -> None:
    write(tmp_path, "kea/a.jpg", picture())
    write(tmp_path, "kea/a.png", square(), exif=b"Exif\0\0no header")
    assert [box for *_, box in boxes(find_references(tmp_path))] == [BOX]


@pytest.mark.parametrize("stored", [(40, 30), (30, 40)])
def test_found_dataset__crops_what_a_mask_in_either_orientation_marks(
    tmp_path: Path, stored: tuple[int, int]
) -> None:
    pixels = np.repeat(square()[:, :, None], 3, axis=2)  # as shown
    exif = Image.Exif()
    if stored == (40, 30):
        exif[0x0112] = 6  # which turns to the right
        pixels = np.rot90(pixels)
    write(tmp_path, "kea/a.tif", np.ascontiguousarray(pixels), exif=exif)
    write(tmp_path, "kea/a.png", square())
    found = find_references(tmp_path)
    (reference,) = FoundDataset(found, context_ratio=1.0, image_size=16)
    assert found.path(reference.image_id) == tmp_path / "kea" / "a.tif"
    torch.testing.assert_close(reference.image, reference.mask.expand(3, -1, -1))
    assert reference.mask.sum() == 64
    (tmp_path / "kea" / "a.tif").unlink()
    with pytest.raises(InputError, match="there is no image"):
        FoundDataset(found, context_ratio=1.0, image_size=16)[0]


def soft() -> np.ndarray:
    """A disk with soft edges."""
    rows, columns = np.ogrid[:30, :40]
    distance = np.hypot(rows - 15, columns - 20)
    return np.clip((11 - distance) * 128, 0, 255).astype(np.uint8)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape or SIZE).astype(np.uint8)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "other size": (
        {"kea/a.jpg": picture((60, 80)), "kea/a.png": square()},
        "the mask FOLDER/kea/a.png is 30 x 40 pixels (height x width), but its picture "
        "FOLDER/kea/a.jpg is 60 x 80; give both the same size",
    ),
    "other size, turned": (
        {"kea/a.jpg": turned((60, 80)), "kea/a.png": square()},
        "is 80 x 60 as shown and 60 x 80 as stored; give both the same size",
    ),
    "empty": (
        {"kea/a.jpg": picture(), "kea/a.png": square(0)},
        "the mask FOLDER/kea/a.png has no pixel that is not zero; mark the instance",
    ),
    "soft": (
        {"kea/a.jpg": picture(), "kea/a.png": soft()},
        "like a photograph or a mask with soft edges; save 0 and 255 alone, or number",
    ),
    "photograph in grey": (
        {"kea/a.jpg": picture(), "kea/a.png": noise()},
        "values from 1 to 254, like a photograph or a mask with soft edges; save 0 and 255 alone",
    ),
    "photograph": (
        {"kea/a.jpg": picture((99, 99)), "kea/a.png": noise(99, 99, 3)},
        "colours, like a photograph; save 0 and 255 alone, or number its instances from 1 on",
    ),
    "jpeg": (
        {"kea/a.jpg": picture(), "kea/a_mask.jpg": square()},
        "the mask FOLDER/kea/a_mask.jpg is a JPEG file, whose compression leaves traces",
    ),
    "alpha": (
        {"kea/a.jpg": picture(), "kea/a.png": Image.new("RGBA", (40, 30))},
        "the mask FOLDER/kea/a.png has an alpha channel (mode RGBA)",
    ),
    "damaged": (
        {"kea/a.jpg": picture(), "kea/a.png": b"no image"},
        "the mask FOLDER/kea/a.png cannot be read (cannot identify image file "
        "'FOLDER/kea/a.png'); save it as PNG again",
    ),
    "damaged picture": (
        {"kea/a.jpg": b"no image", "kea/a.png": square()},
        "FOLDER/kea/a.jpg is no image in a known format",
    ),
    "two masks": (
        {"kea/a.jpg": picture(), "kea/a.png": square(), "kea/a_mask.png": square()},
        "kea: of a.jpg, a_mask.png, a.png it is not clear which is the picture and which is its",
    ),
    "two pictures": (
        {"kea/a.jpg": picture(), "kea/a.tif": picture(), "kea/a.png": square()},
        "kea: of a.jpg, a.tif, a.png it is not clear which",
    ),
    "class without masks": (
        {"kea/a.jpg": picture(), "kea/a.png": square(), "ara/b.jpg": picture()},
        "FOLDER/ara has 1 picture and no mask, such as b.png or b_mask.png for b.jpg; add them",
    ),
    "no masks": (
        {"kea/a.jpg": picture(), "kea/b.jpg": picture(), "kea/b.txt": "x"},
        "FOLDER holds 2 pictures, 1 .txt file and no references that are recognised; lay",
    ),
    "nothing": ({".hidden": "x"}, "FOLDER holds no files and no references"),
}


@pytest.mark.parametrize(("files", "piece"), WRONG.values(), ids=list(WRONG))
def test_class_folders__say_why_they_cannot_be_read(
    tmp_path: Path, files: dict[str, Any], piece: str
) -> None:
    with pytest.raises(InputError) as caught:
        found_in(tmp_path, files)
    assert piece.replace("FOLDER", str(tmp_path)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_find_references__needs_a_folder(tmp_path: Path) -> None:
    for name in ("nowhere", "x" * 5000):
        with pytest.raises(InputError, match="there is no folder of references"):
            find_references(tmp_path / name)


def test_find_references__needs_no_network_library() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from no_time_to_train.dataset.reference_layouts import find_references\n"
        "find_references(Path('scenes'))\n"
        "sys.exit(bool({'torch', 'lightning', 'cv2', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
