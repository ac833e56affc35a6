import os

import numpy as np
import pytest
from PIL import Image

from no_time_to_train.visualization.palette import class_colours
from no_time_to_train.visualization.predictions import (
    Instance,
    compare,
    draw_instances,
    save_picture,
)

NAMES = ["boat", "bird"]


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def square(image: np.ndarray, left: int, top: int, side: int, label: int = 0, score=None):
    mask = np.zeros(image.shape[:2], bool)
    mask[top : top + side, left : left + side] = True
    return Instance(mask, (left, top, left + side - 1, top + side - 1), label, score)


def lined(picture: np.ndarray, label: int) -> np.ndarray:
    """Where a line of the class is; antialiased lines are a little translucent."""
    return (np.abs(picture.astype(int) - class_colours(2)[label]) <= 25).all(axis=2)


@pytest.mark.parametrize("size", [(136, 200), (400, 592), (1000, 3000), (7, 5)])
def test_draw_instances__keeps_the_size_and_the_original(size):
    image = grey(*size)
    drawn = draw_instances(image, [square(image, 1, 1, 4, score=0.9)], NAMES)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert (image == 100).all()


def test_draw_instances__without_instances_changes_nothing():
    assert (draw_instances(grey(50, 60), [], NAMES) == 100).all()


def test_draw_instances__tints_the_inside_by_30_percent_of_the_class_colour():
    image = grey(200, 200)
    drawn = draw_instances(image, [square(image, 60, 80, 60, label=1)], NAMES)
    # 70 % of grey 100 and 30 % of sky blue (86, 180, 233)
    assert drawn[110, 90].tolist() == [96, 124, 140]
    assert drawn[160, 90].tolist() == [100, 100, 100]


def test_draw_instances__outlines_the_mask_in_the_class_colour():
    image = grey(200, 200)
    drawn = draw_instances(image, [square(image, 60, 80, 60, label=1)], NAMES)
    line = lined(drawn, label=1)[80:140, 60:120]
    assert line[2:-2, [0, -1]].all()  # corners are a little round
    assert line[[0, -1], 2:-2].all()
    assert not line[3:-3, 3:-3].any()


def test_draw_instances__outlines_holes():
    image = grey(200, 200)
    ring = square(image, 40, 60, 100)
    ring.mask[90:130, 70:110] = False
    drawn = draw_instances(image, [ring], NAMES)
    assert drawn[110, 90].tolist() == [100, 100, 100]
    assert lined(drawn, label=0)[110, [69, 110]].all()  # left and right of the hole


def test_draw_instances__draws_the_box_more_lightly_than_the_outline():
    image = grey(200, 200)
    mask = np.zeros((200, 200), bool)
    mask[90:110, 90:110] = True
    drawn = draw_instances(image, [Instance(mask, (60, 80, 119, 139), 1)], NAMES)
    # 40 % grey and 60 % sky blue
    assert drawn[110, 60].tolist() == drawn[139, 119].tolist() == [92, 148, 180]


def test_draw_instances__draws_lines_that_grow_with_the_image():
    widths = []
    for side in (350, 1400):
        image = grey(side, side)
        instance = square(image, side // 3, side // 3, side // 3)
        drawn = draw_instances(image, [instance], NAMES)
        widths.append(lined(drawn, label=0)[side // 2, : side // 2].sum())
    assert widths[0] == 1
    assert 4 <= widths[1] <= 6


def test_draw_instances__puts_small_instances_on_top_of_large_ones():
    image = grey(200, 200)
    small, large = square(image, 90, 90, 30, label=1), square(image, 40, 40, 120, label=0)
    drawn = draw_instances(image, [small, large], NAMES)
    assert lined(drawn, label=1)[100, [90, 119]].all()
    # 30 % orange (230, 159, 0) over grey is (139, 118, 70); 30 % sky blue over that:
    assert drawn[105, 105].tolist() == [123, 137, 119]


def test_draw_instances__writes_the_score_only_where_there_is_one():
    image = grey(200, 200)
    chips = []
    for score in (None, 0.92):
        drawn = draw_instances(image, [square(image, 60, 80, 60, score=score)], NAMES)
        above = (drawn[:80] == class_colours(2)[0]).all(axis=2)
        chips.append(above.any(axis=0).sum())
    assert chips[0] < chips[1]  # `boat`, then `boat 0.92`


def test_draw_instances__draws_box_and_name_of_an_empty_mask():
    image = grey(200, 200)
    instance = Instance(np.zeros((200, 200), bool), (60, 80, 119, 139), 0, 0.5)
    drawn = draw_instances(image, [instance], NAMES)
    assert drawn[100, 90].tolist() == [100, 100, 100]
    assert drawn[110, 60].tolist() != [100, 100, 100]
    assert drawn[79, 60].tolist() == class_colours(2)[0].tolist()


@pytest.mark.parametrize("layout", ["C", "F"])
def test_draw_instances__reads_masks_of_any_memory_layout(layout):
    image = grey(60, 90)
    mask = np.zeros((60, 90), bool, order=layout)
    mask[30:50, 40:80] = True
    drawn = draw_instances(image, [Instance(mask, (40, 30, 79, 49), 0)], NAMES)
    assert drawn[40, 60].tolist() != [100, 100, 100]
    assert drawn[40, 85].tolist() == [100, 100, 100]


def test_draw_instances__colours_instances_of_one_class_alike_or_each_for_itself():
    image = grey(200, 200)
    two = [square(image, 20, 80, 60), square(image, 120, 80, 60)]
    alike, apart = draw_instances(image, two, NAMES), draw_instances(image, two, NAMES, "instance")
    # 70 % grey 100 and 30 % orange (230, 159, 0), then 30 % sky blue (86, 180, 233)
    assert alike[110, 50].tolist() == alike[110, 150].tolist() == [139, 118, 70]
    assert apart[110, 50].tolist() == [139, 118, 70]
    assert apart[110, 150].tolist() == [96, 124, 140]


def test_draw_instances__has_colours_for_any_number_of_instances():
    image = grey(60, 60)
    many = [square(image, 5, 5, 20)] * 200
    assert draw_instances(image, many, NAMES, "instance").shape == image.shape


def test_draw_instances__writes_the_note_only_where_nothing_is_drawn():
    image = grey(200, 400)
    note = "0 of 15 above 0.85, best 0.48"
    empty = draw_instances(image, [], NAMES, empty_note=note)
    assert empty.shape == image.shape
    assert empty[0, 0].tolist() == [0, 0, 0]
    full = draw_instances(image, [square(image, 60, 80, 60)], NAMES, empty_note=note)
    assert full[0, 0].tolist() == [100, 100, 100]


def test_compare__puts_10_white_pixels_between_truth_and_predictions():
    truth, predictions = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 7, np.uint8)
    both = compare(truth, predictions)
    assert both.shape == (20, 70, 3)
    assert (both[:, :30] == 0).all()
    assert (both[:, 30:40] == 255).all()
    assert (both[:, 40:] == 7).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.JPG", "a.png", "a.bmp", "a.tif", "a.webp"])
def test_save_picture__writes_the_format_of_the_suffix(tmp_path, name):
    path = tmp_path / "new" / "folders" / name
    picture = grey(40, 60)
    picture[:, 30:] = (200, 30, 10)
    save_picture(path, picture)
    with Image.open(path) as image:
        written = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(written[20, [10, 50]] - [[100, 100, 100], [200, 30, 10]]).max() <= 4
    assert os.listdir(path.parent) == [name]


Image.init()


@pytest.mark.parametrize("suffix", ["", ".txt", *sorted(Image.registered_extensions())])
def test_save_picture__adds_png_to_suffixes_that_are_no_pictures(tmp_path, suffix):
    path = save_picture(tmp_path / f"a{suffix}", grey(20, 30))
    assert path.name in (f"a{suffix}", f"a{suffix}.png")
    assert os.listdir(tmp_path) == [path.name]
    with Image.open(path) as image:
        assert (path.name == f"a{suffix}") == (suffix in READABLE)
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - 100).max() <= 4
        assert image.size == (30, 20)


READABLE = (
    ".apng .bmp .gif .j2c .j2k .jfif .jp2 .jpc .jpe .jpeg .jpf .jpg .jpx .pbm .pfm .pgm .png .pnm "
    ".ppm .tif .tiff .webp"
).split()


@pytest.mark.parametrize(("suffix", "side"), [("jpg", 65_500), ("webp", 16_383), ("gif", 65_535)])
def test_save_picture__keeps_to_the_limit_of_the_format(tmp_path, suffix, side):
    fits = save_picture(tmp_path / f"fits.{suffix}", grey(2, side))
    beyond = save_picture(tmp_path / f"beyond.{suffix}", grey(side + 1, 1))
    assert (fits.name, beyond.name) == (f"fits.{suffix}", f"beyond.{suffix}.png")
    with Image.open(fits) as first, Image.open(beyond) as second:
        assert (first.size, second.size, second.format) == ((side, 2), (1, side + 1), "PNG")


def test_save_picture__leaves_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "a.png"
    save_picture(path, grey(4, 4))
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_picture(path, np.zeros((4, 4, 7)))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.png"]


def test_save_picture__gives_files_the_usual_permissions(tmp_path):
    save_picture(tmp_path / "a.png", grey(4, 4))
    (tmp_path / "usual").touch()
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "usual").stat().st_mode
