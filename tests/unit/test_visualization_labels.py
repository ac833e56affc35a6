import numpy as np
import pytest

from no_time_to_train.visualization.labels import Chip, Label, draw_labels, place_chips
from no_time_to_train.visualization.text import load_font, shortened, text_size

BLUE = (0, 0, 200)
GREY = 90


def label(box, name="cat", suffix=" 0.92", colour=BLUE) -> Label:
    return Label(name, suffix, box, colour)


def extent_of(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """First and last column and row of a colour."""
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_place_chips__puts_a_chip_on_top_of_its_box():
    chips = place_chips([(20, 10)], [label((30, 40, 80, 90))], (200, 200))
    assert chips == [Chip(30, 30, 50, 40)]


def test_place_chips__moves_chips_into_the_image():
    boxes = [(190, 2, 199, 30), (-5, 190, 3, 230)]
    top, bottom = place_chips([(20, 10), (20, 10)], [label(box) for box in boxes], (200, 200))
    assert top == Chip(180, 0, 200, 10)
    assert bottom == Chip(0, 180, 20, 190)


def test_place_chips__does_not_cover_an_earlier_chip_where_a_place_is_free():
    same = [label((50, 50, 99, 99))] * 4
    chips = place_chips([(20, 10)] * 4, same, (200, 200))
    assert chips[:2] == [Chip(50, 40, 70, 50), Chip(80, 40, 100, 50)]  # above, left and right
    assert chips[2:] == [Chip(50, 100, 70, 110), Chip(80, 100, 100, 110)]  # below


def test_place_chips__covers_as_little_as_possible_where_no_place_is_free():
    chips = place_chips([(20, 10), (20, 10)], [label((0, 0, 19, 11))] * 2, (20, 12))
    assert chips == [Chip(0, 0, 20, 10), Chip(0, 2, 20, 12)]


def test_draw_labels__fills_a_chip_in_the_class_colour_above_the_box():
    picture = np.full((100, 200, 3), GREY, np.uint8)
    drawn = draw_labels(picture, [label((40, 60, 150, 90))], font_size=12)
    left, top, right, bottom = extent_of(drawn, BLUE)
    assert (left, bottom) == (40, 59)
    assert drawn[top:60, 40].tolist() == [list(BLUE)] * (60 - top)
    outside = drawn.copy()
    outside[top:60, left : right + 1] = GREY
    assert (outside == GREY).all()
    assert (picture == GREY).all()


def test_draw_labels__writes_in_a_contrasting_colour():
    picture = np.full((100, 200, 3), GREY, np.uint8)
    dark = draw_labels(picture, [label((40, 60, 150, 90), colour=(0, 0, 139))], font_size=24)
    light = draw_labels(picture, [label((40, 60, 150, 90), colour=(255, 255, 0))], font_size=24)
    assert (dark == 255).all(axis=2).any()
    assert (light == 0).all(axis=2).any()


def test_draw_labels__puts_the_first_label_on_top():
    picture = np.full((14, 60, 3), GREY, np.uint8)
    labels = [label((0, 0, 59, 13)), label((0, 0, 59, 13), name="a long name", colour=(200, 0, 0))]
    drawn = draw_labels(picture, labels, font_size=10)
    assert drawn[6, 0].tolist() == list(BLUE)


def test_draw_labels__shortens_names_that_do_not_fit():
    picture = np.full((60, 120, 3), GREY, np.uint8)
    drawn = draw_labels(picture, [label((10, 30, 50, 50), name="m" * 300)], font_size=12)
    left, _, right, _ = extent_of(drawn, BLUE)
    assert 100 < right + 1 - left <= 120


def test_draw_labels__shrinks_the_font_of_a_crowd():
    picture = np.full((300, 300, 3), GREY, np.uint8)
    alone = label((10, 100, 40, 120), colour=(200, 0, 0))
    crowd = [label((x, y, x + 9, y + 9)) for x in range(0, 290, 30) for y in range(0, 290, 30)]
    heights = []
    for labels in ([alone], [alone, *crowd]):
        _, top, _, bottom = extent_of(draw_labels(picture, labels, 30), alone.colour)
        heights.append(bottom - top)
    assert heights[1] < heights[0] / 2


@pytest.mark.parametrize("name", ["", "рыба", "魚", "سمكة", "two\nlines", "\ud800", "\0"])
def test_draw_labels__writes_any_name(name):
    picture = np.full((60, 200, 3), GREY, np.uint8)
    drawn = draw_labels(picture, [label((10, 30, 50, 50), name=name)], font_size=12)
    assert drawn.shape == picture.shape
    assert drawn[29, 10].tolist() == list(BLUE)


@pytest.mark.parametrize("side", [1, 2, 12, 30])
def test_draw_labels__leaves_images_smaller_than_a_label_as_they_are(side):
    picture = np.full((side, side, 3), GREY, np.uint8)
    drawn = draw_labels(picture, [label((0, 0, side - 1, side - 1))], font_size=10)
    assert drawn.tolist() == picture.tolist()  # `cat 0.92` and even `… 0.92` are wider


def test_draw_labels__takes_half_the_width_of_a_large_image_at_most():
    picture = np.full((200, 1000, 3), GREY, np.uint8)
    drawn = draw_labels(picture, [label((10, 100, 900, 150), name="m" * 300)], font_size=20)
    left, _, right, _ = extent_of(drawn, BLUE)
    assert 450 < right + 1 - left <= 500


def test_draw_labels__shortens_very_long_names_of_many_labels():
    picture = np.full((60, 120, 3), GREY, np.uint8)
    labels = [label((10, 30, 50, 50), name="m" * 3000, suffix=f" {row}") for row in range(50)]
    drawn = draw_labels(picture, labels, font_size=12)
    left, _, right, _ = extent_of(drawn, BLUE)
    assert 100 < right + 1 - left <= 120


def test_shortened__keeps_as_many_letters_as_fit():
    font = load_font(12)
    text = shortened("m" * 50, " 0.92", font, 120)
    kept = text.count("m")
    assert text == "m" * kept + "… 0.92"
    assert text_size(text, font)[0] <= 120 < text_size("m" + text, font)[0]
