"""From boxes to polygons: the tool around the networks, with ellipses in place of theirs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.polygons import outer_polygons
from no_time_to_train.dataset import sam_bbox_to_segm_batch
from no_time_to_train.dataset.sam_bbox_to_segm_batch import complete, main
from no_time_to_train.errors import InputError

ROOT = Path(__file__).parents[2]


def mask(height: int = 12, width: int = 16) -> np.ndarray:
    return np.zeros((height, width), dtype=bool)


def corners(polygon: list[float]) -> set[tuple[float, float]]:
    return set(zip(polygon[::2], polygon[1::2], strict=True))


def test_outer_polygons__a_rectangle_has_its_corner_pixels() -> None:
    rectangle = mask()
    rectangle[2:5, 1:6] = True  # rows 2 to 4, columns 1 to 5
    (polygon,) = outer_polygons(rectangle)
    assert len(polygon) == 8
    assert corners(polygon) == {(1, 2), (5, 2), (5, 4), (1, 4)}
    assert all(type(number) is float for number in polygon)


def test_outer_polygons__holes_are_filled_and_pieces_kept_apart() -> None:
    two = mask()
    two[1:8, 1:8] = True
    two[3:6, 3:6] = False
    two[9:11, 10:14] = True
    polygons = sorted(outer_polygons(two))
    assert [corners(polygon) for polygon in polygons] == [
        {(1, 1), (7, 1), (7, 7), (1, 7)},
        {(10, 9), (13, 9), (13, 10), (10, 10)},
    ]


def test_outer_polygons__lines_and_points_are_left_out() -> None:
    thin = mask()
    thin[3, 2:9] = True
    thin[8, 8] = True
    assert outer_polygons(thin) == []


def test_complete__area_counts_pixels_without_the_hole() -> None:
    ring = mask()
    ring[1:8, 1:8] = True
    ring[3:6, 3:6] = False
    entry = {"id": 5, "image_id": 1, "bbox": [1.0, 1.0, 7.0, 7.0]}
    complete(entry, ring)
    assert entry["area"] == 49 - 9
    assert type(entry["area"]) is int


def test_complete__an_empty_mask_becomes_the_box_with_a_warning(caplog) -> None:
    entry = {"id": 5, "image_id": "x", "bbox": [2.0, 1.0, 6.0, 4.0]}
    complete(entry, mask())
    assert entry["segmentation"] == [[2.0, 1.0, 8.0, 1.0, 8.0, 5.0, 2.0, 5.0]]
    assert entry["area"] == 24
    assert "annotation 5 of image 'x'" in caplog.text


def draw_ellipses(image: Image.Image, boxes: np.ndarray) -> np.ndarray:
    """The ellipse in each box, (P, H, W)."""
    rows, columns = np.mgrid[: image.height, : image.width] + 0.5
    x1, y1, x2, y2 = boxes.T[..., None, None]
    across, down = (2 * columns - x1 - x2) / (x2 - x1), (2 * rows - y1 - y2) / (y2 - y1)
    return across**2 + down**2 < 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images with boxes, one of them in a sub-folder, and one without."""
    for name in ("a.png", "sub/b.jpg", "empty.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), "grey").save(path)
    document = {
        "info": {"year": 2017},
        "licenses": [],
        "images": [
            {"id": 1, "file_name": "a.png", "height": 40, "width": 60, "camera": "x"},
            {"id": "two", "file_name": "sub/b.jpg", "height": 40, "width": 60},
            {"id": 3, "file_name": "empty.png", "height": 40, "width": 60},
        ],
        "annotations": [
            {"id": 7, "image_id": "two", "category_id": 16, "bbox": [10, 5, 40, 30], "by": "me"},
            {"id": 8, "image_id": 1, "category_id": 9, "bbox": [2, 2, 20, 10], "segmentation": []},
            {"id": 9, "image_id": "two", "category_id": 9, "bbox": [0, 0, 12, 12], "iscrowd": 0},
        ],
        "categories": [{"id": 9, "name": "boat", "level": 1}, {"id": 16, "name": "bird"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(document))
    return tmp_path


def arguments(folder: Path, *more: str) -> list[str]:
    return [
        *("--input_json", str(folder / "boxes.json"), "--image_dir", str(folder / "images")),
        *("--sam_checkpoint", str(folder / "sam.pth"), "--device", "cpu", *more),
    ]


@pytest.fixture
def ellipses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sam_bbox_to_segm_batch, "load_segmenter", lambda *_: draw_ellipses)


@pytest.mark.usefixtures("ellipses")
def test_main__adds_masks_and_changes_nothing_else(folder: Path) -> None:
    before = json.loads((folder / "boxes.json").read_text())
    main(arguments(folder))
    after = json.loads((folder / "boxes_with_segm.json").read_text())
    # An ellipse of semi-axes a and b has a b pi pixels.
    areas = {entry["id"]: entry.pop("area") for entry in after["annotations"]}
    assert areas == pytest.approx({7: 20 * 15 * np.pi, 8: 10 * 5 * np.pi, 9: 36 * np.pi}, rel=0.02)
    for entry in after["annotations"]:
        (polygon,) = entry.pop("segmentation")
        x, y, w, h = entry["bbox"]
        assert (min(polygon[::2]), max(polygon[::2])) == (x, x + w - 1)
        assert (min(polygon[1::2]), max(polygon[1::2])) == (y, y + h - 1)
    before["annotations"][1].pop("segmentation")
    assert after == before
    assert json.loads((folder / "boxes.json").read_text()) != after  # the input is left alone
    assert not (folder / "boxes_with_SAM_segm").exists()


@pytest.mark.usefixtures("ellipses")
def test_main__visualize_draws_the_images_with_boxes(folder: Path) -> None:
    main(arguments(folder, "--visualize"))
    pictures = folder / "boxes_with_SAM_segm"
    files = {str(path.relative_to(pictures)) for path in pictures.rglob("*") if path.is_file()}
    assert files == {"a.png", "sub/b.jpg"}
    pixels = np.array(Image.open(pictures / "a.png")).astype(int)
    assert pixels.shape == (40, 60, 3)
    assert np.ptp(pixels[7, 12]) > 20  # the middle of the ellipse is tinted
    assert np.ptp(pixels[38, 58]) == 0


@pytest.mark.usefixtures("ellipses")
@pytest.mark.parametrize(
    ("more", "size"), [((), (60, 40)), (("--orientation", "stored"), (40, 60))]
)
def test_main__draws_masks_on_turned_photographs_as_they_are_shown(
    folder: Path, more: tuple[str, ...], size: tuple[int, int]
) -> None:
    content = json.loads((folder / "boxes.json").read_text())
    for image in content["images"]:
        del image["height"], image["width"]
    (folder / "boxes.json").write_text(json.dumps(content))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 60), "grey").save(folder / "images/a.png", exif=exif)
    main(arguments(folder, "--visualize", *more))
    assert Image.open(folder / "boxes_with_SAM_segm/a.png").size == size


@pytest.mark.usefixtures("ellipses")
def test_main__its_result_is_read_as_references(folder: Path) -> None:
    main(arguments(folder))
    annotations = CocoAnnotations.read(folder / "boxes_with_segm.json")
    assert len(annotations.images) == 3
    assert all(annotation.segmentation for annotation in annotations.annotations)


def test_main__leaves_no_file_when_it_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: Image.Image, boxes: np.ndarray) -> np.ndarray:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(sam_bbox_to_segm_batch, "load_segmenter", lambda *_: fail)
    before = set(folder.iterdir())
    with pytest.raises(RuntimeError):
        main(arguments(folder))
    assert set(folder.iterdir()) == before


@pytest.mark.usefixtures("ellipses")
@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("boxes.json", "no such file"),
        ("images/sub/b.jpg", "--image_dir: 1 of 2 images are not in"),
        ("images", "--image_dir: there is no folder"),
    ],
)
def test_main__missing_input(folder: Path, missing: str, sentence: str) -> None:
    path = folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=sentence):
        main(arguments(folder))


def test_main__missing_checkpoint(folder: Path) -> None:
    with pytest.raises(InputError, match=r"there is no checkpoint .*sam\.pth"):
        main(arguments(folder))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<html>", "is no PyTorch checkpoint"),
        ([1, 2], "holds list and no named weights"),
        ({"model": {"backbone": torch.zeros(1)}}, "no weights of SAM 2 nor of the first SAM"),
        ({"cls_token": torch.zeros(1)}, "no weights of SAM 2 nor of the first SAM"),
    ],
)
def test_main__a_checkpoint_of_something_else(folder: Path, content: object, sentence: str) -> None:
    path = folder / "sam.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(InputError, match=sentence):
        main(arguments(folder))
    assert not (folder / "boxes_with_segm.json").exists()


def test_script__wrong_input_is_one_line_and_exit_code_2(folder: Path) -> None:
    script = ROOT / "no_time_to_train" / "dataset" / "sam_bbox_to_segm_batch.py"
    (folder / "boxes.json").write_text("[]")
    command = [sys.executable, str(script), *arguments(folder)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.usefixtures("ellipses")
def test_main__an_image_of_another_size(folder: Path) -> None:
    Image.new("RGB", (40, 60)).save(folder / "images" / "a.png")
    with pytest.raises(InputError, match=r"a\.png .* has 60 x 40 pixels .* says 40 x 60"):
        main(arguments(folder))
    assert not (folder / "boxes_with_segm.json").exists()
