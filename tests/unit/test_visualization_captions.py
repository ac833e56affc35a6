import numpy as np
import pytest

from no_time_to_train.visualization.captions import add_title, found_caption, write_note
from no_time_to_train.visualization.text import load_font, text_size

NOTE = "0 of 15 above 0.85, best 0.48"


@pytest.mark.parametrize(
    ("scores", "threshold", "expected"),
    [
        ([0.9, 0.86, 0.3], 0.85, "2 of 3 above 0.85"),
        ([0.1] * 14 + [0.48], 0.85, NOTE),
        ([0.4], 0.4, "0 of 1 above 0.4, best 0.40"),
        ([0.849], 0.85, "0 of 1 above 0.85, best 0.849"),
        ([0.8496], 0.85, "0 of 1 above 0.85, best 0.8496"),
        ([], 0.5, "nothing found"),
    ],
)
def test_found_caption__tells_how_many_and_how_close(scores, threshold, expected):
    shown = sum(score > threshold for score in scores)
    best = max(scores, default=None)
    assert found_caption(shown, len(scores), best, threshold) == expected


def test_add_title__puts_a_white_band_above_the_picture():
    picture = np.full((60, 300, 3), 90, np.uint8)
    _, band = text_size("predictions", load_font(12))
    titled = add_title(picture, "predictions", 12)
    assert titled.shape == (band + 60, 300, 3)
    assert (titled[band:] == 90).all()
    assert (titled[0] == 255).all()
    assert (titled[:band] < 100).any()


def test_add_title__makes_room_beside_a_picture_narrower_than_its_title():
    width, band = text_size(NOTE, load_font(12))
    titled = add_title(np.full((5, 20, 3), 90, np.uint8), NOTE, 12)
    assert titled.shape == (band + 5, width, 3)
    assert (titled[band:, :20] == 90).all()
    assert (titled[band:, 20:] == 255).all()


def test_write_note__covers_the_corner_alone():
    picture = np.full((200, 400, 3), 90, np.uint8)
    noted = write_note(picture, NOTE)
    width, height = text_size(NOTE, load_font(10))
    assert noted.shape == picture.shape
    assert noted[0, 0].tolist() == noted[height - 1, width - 1].tolist() == [0, 0, 0]
    assert (noted[:height, :width] == 255).any()
    assert (noted[height:] == 90).all() and (noted[:, width:] == 90).all()
    assert (picture == 90).all()


def test_write_note__shrinks_to_the_picture():
    width, height = text_size(NOTE, load_font(8))
    noted = write_note(np.full((200, width, 3), 90, np.uint8), NOTE)
    assert (noted[height:] == 90).all() and noted[0, width - 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [(1, 1), (20, 20), (6, 400)])
def test_write_note__leaves_pictures_too_small_for_letters(size):
    picture = np.full((*size, 3), 90, np.uint8)
    assert (write_note(picture, NOTE) == 90).all()
