"""Pictures of results on grey images: what is drawn where, and which files appear."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle_codec

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.errors import InputError
from no_time_to_train.pl_wrapper.prediction_visualizations import Style, write_visualizations
from no_time_to_train.visualization.predictions import titled
from no_time_to_train.visualization.text import load_font, text_size

HEIGHT, WIDTH, MARGIN = 90, 120, 10
BOX = [20, 30, 60, 40]  # x, y, w, h
GREY = 128


def document(file_names: list[str], annotations: list[dict]) -> dict:
    return {
        "images": [
            {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH}
            for number, name in enumerate(file_names, start=1)
        ],
        "categories": [{"id": 9, "name": "boat"}, {"id": 16, "name": "bird"}],
        "annotations": [{"id": number, **a} for number, a in enumerate(annotations, start=1)],
    }


def polygon() -> list[list[int]]:
    x, y, w, h = BOX
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def truth(**fields) -> dict:
    annotation = {"image_id": 1, "category_id": 9, "bbox": BOX, "segmentation": polygon()}
    return annotation | fields


def record(score: float, image_id: int = 1) -> dict:
    (rle,) = rle_codec.frPyObjects(polygon(), HEIGHT, WIDTH)
    x, y, w, h = BOX
    return {
        "image_id": image_id,
        "category_id": 9,
        "bbox": [x, y, w - 1, h - 1],
        "score": score,
        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
    }


class Gallery:
    """A data set of grey images, and where its pictures go."""

    def __init__(self, folder: Path) -> None:
        self.images, self.out, self.json = folder / "images", folder / "out", folder / "truth.json"

    def draw(
        self,
        records: list[dict],
        annotations: list[dict],
        file_names: tuple[str, ...] = ("a.png",),
        threshold: float = 0.4,
        with_truth: bool = True,
    ) -> list[Path]:
        for name in file_names:
            path = self.images / name
            path.parent.mkdir(parents=True, exist_ok=True)
            grey = Image.new("RGB", (WIDTH, HEIGHT), (GREY, GREY, GREY))
            grey.save(path, "JPEG" if path.suffix == ".jpg" else "PNG")
        content = document(list(file_names), annotations)
        return self.draw_existing(records, content, threshold, with_truth)

    def draw_existing(
        self, records: list[dict], content: dict, threshold: float, with_truth: bool = True
    ) -> list[Path]:
        self.json.write_text(json.dumps(content))
        annotations = CocoAnnotations.read(self.json)
        boat = [category for category in annotations.categories if category.id == 9]
        style = Style(boat, threshold, with_truth=with_truth)
        return write_visualizations(annotations, records, self.images, self.out, style)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery(tmp_path)


def panes(path: Path) -> list[np.ndarray]:
    """The panes below their titles, which are wider than the images, as far as those reach."""
    pixels = np.array(Image.open(path)).astype(int)
    _, band = text_size("ground truth", load_font(10))
    assert len(pixels) == band + HEIGHT
    assert (pixels[0] == 255).all() or path.suffix == ".jpg"
    grey = (np.abs(pixels[-1] - GREY).max(axis=1) < 10).nonzero()[0]  # nothing is drawn there
    lefts = [int(grey[0]), int(grey[-1]) + 1 - WIDTH]
    return [pixels[band:, left : left + WIDTH] for left in dict.fromkeys(lefts)]


def sides(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Where the left and the right half differ from the grey image, (H, W) each."""
    left, right = (np.abs(pane - GREY).max(axis=2) > 10 for pane in panes(path))
    return left, right


CENTRE, CORNER = (50, 50), (85, 115)  # row, column: inside the box, far from it


def test_pictures__truth_left_predictions_right(gallery: Gallery) -> None:
    (path,) = gallery.draw([], [truth()])
    left, right = sides(path)
    assert left[CENTRE] and not left[CORNER]
    assert not right.any()
    (path,) = gallery.draw([record(0.9)], [])
    left, right = sides(path)
    assert not left.any()
    assert right[CENTRE] and not right[CORNER]


def test_pictures__boxes_of_truth_and_prediction_lie_on_the_same_pixels(gallery: Gallery) -> None:
    # Without masks and names: only what the boxes of both change.
    box_only = truth(segmentation=None)
    (path,) = gallery.draw([record(0.9)], [box_only])
    left, right = sides(path)
    x, y, w, h = BOX
    for side in (left, right):
        assert side[y + h // 2, x] and side[y + h // 2, x + w - 1]
        assert side[y + h - 1, x + w // 2]
        assert not side[y + h // 2, x - 3] and not side[y + h // 2, x + w + 3]
    assert not left[CENTRE]  # a box has no inside


def test_pictures__only_scores_above_the_threshold(gallery: Gallery) -> None:
    (path,) = gallery.draw([record(0.4)], [], threshold=0.4)
    assert not sides(path)[1].any()
    (path,) = gallery.draw([record(0.41)], [], threshold=0.4)
    assert sides(path)[1].any()


def test_pictures__only_wanted_classes(gallery: Gallery) -> None:
    (path,) = gallery.draw([], [truth(category_id=16)])
    assert not sides(path)[0].any()


def test_pictures__without_ground_truth_have_one_pane(gallery: Gallery) -> None:
    (path,) = gallery.draw([record(0.9)], [], with_truth=False)
    (pane,) = panes(path)
    assert (np.abs(pane - GREY).max(axis=2) > 10)[CENTRE]


def written(path: Path, left: int, length: int) -> np.ndarray:
    """Where a title has ink, (band, length)."""
    _, band = text_size("ground truth", load_font(10))
    return np.array(Image.open(path))[:band, left : left + length].max(axis=2) < 128


def test_pictures__have_titles_with_counts(gallery: Gallery) -> None:
    (path,) = gallery.draw([record(0.9), record(0.3)], [truth()])
    blank = np.zeros((1, 1, 3), np.uint8)
    first, second = "ground truth: 1", "predictions: 1 of 2 above 0.4"
    left = max(text_size(first, load_font(10))[0], WIDTH) + MARGIN
    for start, title in ((0, first), (left, second)):
        expected = titled(blank, title)[:-1].max(axis=2) < 128
        assert written(path, start, expected.shape[1]).tolist() == expected.tolist()


def test_pictures__without_anything_above_the_threshold_say_so(gallery: Gallery) -> None:
    (path,) = gallery.draw([record(0.3)] * 15, [], with_truth=False, threshold=0.85)
    expected = titled(np.zeros((1, 1, 3), np.uint8), "predictions: 0 of 15 above 0.85, best 0.30")
    assert (
        written(path, 0, expected.shape[1]).tolist() == (expected[:-1].max(axis=2) < 128).tolist()
    )


def test_pictures__one_per_image_under_its_own_name(gallery: Gallery) -> None:
    names = ("b.jpg", "sub/folder/a.png", "no_suffix", "c.scan", "d.h5", "e.pdf")
    paths = gallery.draw([record(0.9, 2)], [], file_names=names)
    expected = ["b.jpg", "sub/folder/a.png", "no_suffix.png", "c.scan.png"]
    expected += ["d.h5.png", "e.pdf.png"]
    assert [str(path.relative_to(gallery.out)) for path in paths] == expected
    assert all(path.is_file() for path in paths)
    assert Image.open(paths[0]).format == "JPEG"
    assert sides(paths[1])[1][CENTRE]


def test_pictures__refuse_a_name_that_leaves_the_folder(gallery: Gallery) -> None:
    gallery.images.mkdir()
    with pytest.raises(InputError, match=r"\.\./a\.png"):
        gallery.draw_existing([], document(["../a.png"], []), 0.4)
    assert not gallery.out.exists()


def test_pictures__missing_image(gallery: Gallery) -> None:
    gallery.images.mkdir()
    with pytest.raises(InputError, match=r"imgs_path: 1 of 1 images are not in .*images"):
        gallery.draw_existing([], document(["a.png"], []), 0.4)
    assert not gallery.out.exists()
