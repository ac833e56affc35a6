"""Clicks on a picture of the page: what they mean, and where they lie in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from no_time_to_train.app.marking import MarkedPicture, Marks, Mode, resampled
from no_time_to_train.app.session import unique_names
from no_time_to_train.errors import InputError
from no_time_to_train.visualization.marks import draw_mask


def opened(folder: Path, width: int, height: int) -> MarkedPicture:
    path = folder / "picture.png"
    Image.new("RGB", (width, height), "grey").save(path)
    return MarkedPicture.open(path, as_stored=False)


@pytest.mark.parametrize(
    ("size", "shown", "point", "in_file"),
    [
        ((800, 400), (800, 400), (10, 20), (10, 20)),
        ((100, 50), (700, 350), (7 * 10 + 3, 7 * 20 + 3), (10, 20)),  # the middle of 7 x 7 pixels
        ((2560, 1280), (1280, 640), (10, 20), (20.5, 40.5)),  # between 20 and 21, 40 and 41
        ((100, 50), (700, 350), (0, 0), (0, 0)),
    ],
)
def test_in_file__leads_to_the_pixel_that_was_clicked(
    tmp_path: Path,
    size: tuple[int, int],
    shown: tuple[int, int],
    point: tuple[int, int],
    in_file: tuple[float, float],
) -> None:
    picture = opened(tmp_path, *size)
    assert picture.shown.shape == (shown[1], shown[0], 3)
    assert picture.in_file(point) == pytest.approx(in_file)


def test_clicked__collects_points_and_boxes() -> None:
    marks = Marks()
    assert not marks.make_mask
    marks = marks.clicked((5, 6), Mode.OUTSIDE)
    assert not marks.make_mask  # nothing says yet where the object is
    marks = marks.clicked((9, 2), Mode.BOX)
    assert (marks.corner, marks.box, marks.make_mask) == ((9, 2), None, False)
    marks = marks.clicked((9, 7), Mode.BOX)
    assert (marks.corner, marks.box) == ((9, 7), None)  # no width: a new corner
    marks = marks.clicked((1, 8), Mode.BOX)
    assert (marks.corner, marks.box, marks.make_mask) == (None, (1, 7, 9, 8), True)
    marks = marks.clicked((3, 4), Mode.INSIDE)
    assert (marks.points, marks.inside) == (((5, 6), (3, 4)), (False, True))


def test_undone__goes_back_click_by_click(tmp_path: Path) -> None:
    picture = opened(tmp_path, 40, 30).clicked((1, 1), Mode.INSIDE).clicked((2, 2), Mode.INSIDE)
    assert picture.undone().marks.points == ((1, 1),)
    assert picture.undone().undone().undone().marks == Marks()
    assert picture.unmarked().marks == Marks()


def test_thumbnail__shows_the_object_and_a_fifth_around_it(tmp_path: Path) -> None:
    picture = opened(tmp_path, 800, 400)
    mask = np.zeros((400, 800), bool)
    mask[100:150, 300:400] = True
    margin = 1 + 100 // 5
    thumbnail = picture.thumbnail(mask)
    wanted = (50 + 2 * margin, 100 + 2 * margin)  # height, width
    assert thumbnail.shape == (*wanted, 3)
    assert (thumbnail[wanted[0] // 2, wanted[1] // 2] != 128).any()  # tinted
    assert (thumbnail[0, 0] == 128).all()


def test_thumbnail__of_an_object_between_the_shown_pixels_is_the_picture(tmp_path: Path) -> None:
    picture = opened(tmp_path, 2560, 1280)
    mask = np.zeros((1280, 2560), bool)
    mask[0, 0] = True
    assert picture.thumbnail(mask).shape == (120, 240, 3)


def test_open__says_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("text")
    with pytest.raises(InputError, match="no image in a known format"):
        MarkedPicture.open(tmp_path / "text.jpg", as_stored=False)


def test_resampled__takes_the_pixel_in_the_middle() -> None:
    mask = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)
    # The middle of 2 x 2 pixels is the corner that all share: that of the last one begins there.
    assert resampled(mask, (2, 2)).tolist() == [[False, False], [False, True]]
    assert resampled(mask, (4, 8)).tolist() == np.repeat(mask, 2, axis=1).tolist()


def test_draw_mask__changes_the_object_and_its_border_alone() -> None:
    picture = np.full((40, 40, 3), 100, np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    drawn = draw_mask(picture, mask)
    assert drawn[20, 20].tolist() == [55, 106, 170]  # 55 % of 100, 45 % of (0, 114, 255)
    assert (drawn[:7] == 100).all()
    assert (picture == 100).all()


def test_unique_names__tell_files_of_one_name_apart() -> None:
    names = ["a.jpg", "b.jpg", "a.jpg", "a (2).jpg", "a.jpg"]
    assert unique_names(names) == ["a.jpg", "b.jpg", "a (2).jpg", "a (2) (2).jpg", "a (3).jpg"]
