import subprocess
import sys

import numpy as np
import pytest

from no_time_to_train.visualization.palette import class_colours, text_colour


@pytest.mark.parametrize("count", [0, 1, 2, 20, 80, 1203])
def test_class_colours__are_all_different(count):
    colours = class_colours(count)
    assert colours.shape == (count, 3)
    assert colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == count


def test_class_colours__stay_when_classes_are_added():
    np.testing.assert_array_equal(class_colours(3), class_colours(80)[:3])


def test_class_colours__start_with_orange_and_sky_blue_of_okabe_and_ito():
    assert class_colours(2).tolist() == [[230, 159, 0], [86, 180, 233]]


def test_class_colours__of_80_classes_are_far_from_grey_and_from_each_other():
    colours = class_colours(80).astype(int)
    assert (colours.max(axis=1) - colours.min(axis=1)).min() >= 30
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=2)  # (80, 80)
    assert distances[~np.eye(80, dtype=bool)].min() >= 20


def test_class_colours__cannot_be_changed_for_other_callers():
    with pytest.raises(ValueError, match="read-only"):
        class_colours(3)[0] = 0


@pytest.mark.parametrize("count", [-1, 10_000])
def test_class_colours__of_impossible_counts_are_refused(count):
    with pytest.raises(ValueError, match=f"classes, not for {count}"):
        class_colours(count)


@pytest.mark.parametrize(
    ("background", "text"),
    [
        ((255, 255, 0), (0, 0, 0)),
        ((0, 0, 139), (255, 255, 255)),
        ((255, 255, 255), (0, 0, 0)),
        ((0, 0, 0), (255, 255, 255)),
    ],
)
def test_text_colour__is_black_on_light_and_white_on_dark(background, text):
    assert text_colour(background) == text


def test_visualization__imports_no_heavy_library():
    script = (
        "import sys, no_time_to_train.visualization.predictions;"
        "print(sorted({'torch', 'matplotlib', 'lightning'} & sys.modules.keys()))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert answer.stdout.strip() == b"[]"
