import numpy as np
import pytest
import torch

from no_time_to_train.visualization.memory import draw_reference
from no_time_to_train.visualization.palette import class_colours
from no_time_to_train.visualization.text import load_font, text_size

SIDE = 8  # pixels; 2 x 2 patches of 4 x 4 pixels
DARK = [35, 35, 35]  # 0.35 * 100
TITLES = "…: reference", "…", "…"
"""Of panels 8 pixels wide: names are cut to nothing, and each panel is as wide as what is left."""


def draw(**changes) -> np.ndarray:
    """A grey crop; foreground are patches 0, 1 and 2; 4 channels, of which PCA sees the first."""
    case = {
        "image": torch.full((3, SIDE, SIDE), 100 / 255),
        "mask": torch.tensor([[1.0, 1], [1, 0]]).kron(torch.ones(4, 4)),
        "patch_features": torch.tensor(
            [[1.0, 0, 0, 1], [0, 1, 0, 0], [0.5, 0, 1, 0], [9, 9, 9, 9]]
        ),
        "patch_mask": torch.tensor([1.0, 0.2, 1.0, 0.0]),
        "centres": torch.tensor([[0.0, 5, 0, 0], [1, 0, 0, 0]]),
        "pca_mean": torch.tensor([0.3, 0, 0, 0]),
        "pca_components": torch.eye(4)[:3],
        "class_name": "bird",
        **changes,
    }
    return draw_reference(**case)


def panels(picture: np.ndarray) -> list[np.ndarray]:
    """The three panels without titles, margins and the white beside them."""
    widths, bands = zip(*(text_size(title, load_font(10)) for title in TITLES), strict=True)
    assert picture.shape == (bands[0] + SIDE, sum(widths) + 2 * 5, 3)
    assert picture.dtype == np.uint8
    lefts = [0, widths[0] + 5, widths[0] + widths[1] + 10]
    return [picture[bands[0] :, left : left + SIDE] for left in lefts]


def test_draw_reference__puts_5_white_pixels_between_crop_clusters_and_components():
    picture = draw(image=torch.zeros(3, 200, 200), mask=torch.ones(200, 200))
    height = len(picture)
    assert picture.shape[1] == 3 * 200 + 10
    for left in (200, 405):
        assert (picture[:, left : left + 5] == 255).all()
        assert (picture[height - 200 :, [left - 1, left + 5]] != 255).any(axis=2).all()


def inked(title: np.ndarray) -> int:
    """Width of what is written in a band, in pixels."""
    columns = np.nonzero((title < 128).all(axis=2).any(axis=0))[0]
    return int(columns[-1] - columns[0] + 1)


def test_draw_reference__writes_class_and_repetitions_above_the_crop():
    size = {"image": torch.zeros(3, 200, 200), "mask": torch.ones(200, 200)}
    once, thrice = draw(**size), draw(**size, repeats=3)
    font, band = load_font(10), len(once) - 200
    for picture, title in ((once, "bird: reference"), (thrice, "bird: reference x3")):
        assert abs(inked(picture[:band, :200]) - font.getlength(title)) <= 3
    for left, title in ((205, "clusters"), (410, "principal components")):
        assert abs(inked(once[:band, left : left + 200]) - font.getlength(title)) <= 3


def test_draw_reference__paints_patches_in_the_colour_of_the_nearest_centre_by_cosine():
    _, clusters, _ = panels(draw())
    first, second = class_colours(2).tolist()
    assert clusters[0, 0].tolist() == second  # patch 0 points along centre 1, however long centre 0
    assert clusters[3, 4].tolist() == first
    assert clusters[4, 3].tolist() == second


def test_draw_reference__paints_components_stretched_over_the_foreground():
    _, _, components = panels(draw())
    # over patches 0 to 2 the first channel is 1, 0, 0.5, the second 0, 1, 0, the third 0, 0, 1
    assert components[0, 0].tolist() == [255, 0, 0]
    assert components[0, 7].tolist() == [0, 255, 0]
    assert components[7, 0].tolist() == [128, 0, 255]


def test_draw_reference__darkens_what_is_outside_the_mask():
    _, clusters, components = panels(draw())
    assert clusters[4:, 4:].tolist() == components[4:, 4:].tolist() == [[DARK] * 4] * 4


def test_draw_reference__follows_the_mask_pixel_by_pixel():
    mask = torch.zeros(SIDE, SIDE)
    mask[0, 0] = 0.1
    _, clusters, components = panels(draw(mask=mask))
    for panel in (clusters, components):
        painted = (panel != DARK[0]).any(axis=2)
        assert np.argwhere(painted).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("count", "colour"), [(1, [255, 128, 128]), (2, [255, 0, 128]), (4, [255, 0, 0])]
)
def test_draw_reference__leaves_channels_without_a_component_half_bright(count, colour):
    _, _, components = panels(draw(pca_components=torch.eye(4)[:count]))
    assert components[0, 0].tolist() == colour


def test_draw_reference__without_foreground_patches_paints_nothing():
    _, clusters, components = panels(draw(patch_mask=torch.zeros(4)))
    assert (clusters == DARK[0]).all()
    assert (components == DARK[0]).all()


def test_draw_reference__with_one_foreground_patch_paints_it_half_bright():
    _, _, components = panels(draw(patch_mask=torch.tensor([1.0, 0, 0, 0])))
    assert components[0, 0].tolist() == [128, 128, 128]


def test_draw_reference__ignores_centres_that_are_not_numbers():
    centres = torch.tensor([[torch.nan] * 4, [1, 0, 0, 0]])
    _, clusters, _ = panels(draw(centres=centres))
    assert clusters[0, 0].tolist() == class_colours(2)[1].tolist()


def test_draw_reference__is_518_high_below_the_titles_for_a_518_crop():
    picture = draw(
        image=torch.rand(3, 518, 518),
        mask=torch.ones(518, 518),
        patch_features=torch.randn(37 * 37, 4),
        patch_mask=torch.ones(37 * 37),
    )
    _, band = text_size("bird: reference", load_font(14))  # 518 / 38 is 13.6
    assert picture.shape == (band + 518, 3 * 518 + 10, 3)
