"""The made-up scenes of the demo: what is drawn is what the masks say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from scripts.demo_models import demo_set, shapes, textures
from scripts.demo_models.drawing import Kind, Layout, draw_kind, draw_scene

ROOT = Path(__file__).resolve().parents[2]
CALM = Layout(side=128, counts=(1, 1), radii=(0.25, 0.25), camera=0, grey=0)
"""One object of 32 px, no blur, no noise."""


def plain_kind(family: shapes.Family, colour: tuple[float, float, float] = (1, 0, 0)) -> Kind:
    surface = textures.Surface(
        pattern=textures.plain,
        colours=np.array([colour, colour], np.float32),
        frequency=1.0,
        contrast=1.0,
        noise=np.zeros((textures.TILE, textures.TILE), np.float32),
    )
    return Kind(outline=family(np.random.default_rng(1)), surface=surface, own_noise=False)


def test_draw_scene__the_same_seed_draws_the_same_scene() -> None:
    first, second, other = (
        draw_scene(rng, [draw_kind(rng), draw_kind(rng)], Layout(counts=(3, 3)))
        for rng in map(np.random.default_rng, (5, 5, 6))
    )
    assert (first.image == second.image).all() and (first.labels == second.labels).all()
    assert first.kinds == second.kinds and first.visible == second.visible
    assert (first.image != other.image).any()


def touches_border(mask: np.ndarray) -> bool:
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def drawn_area(kind: Kind, radius: float) -> float:
    """Pixels inside an outline, and half a pixel beyond it: OpenCV draws the border as well."""
    area = 0.0
    for number, contour in enumerate(kind.outline):
        x, y = (contour * radius).T.astype(np.float64)
        inside = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
        border = np.hypot(x - np.roll(x, 1), y - np.roll(y, 1)).sum()
        area += (inside if number == 0 else -inside) + border / 2
    return area


@pytest.mark.parametrize("family", [shapes.box, shapes.cross, shapes.ring, shapes.star])
def test_draw_scene__an_object_covers_the_area_of_its_outline(family: shapes.Family) -> None:
    kind = plain_kind(family)
    area = drawn_area(kind, 32)
    rng, whole = np.random.default_rng(0), 0
    for _ in range(20):
        scene = draw_scene(rng, [kind], CALM)
        assert scene.kinds == (0,) and scene.visible == (1.0,)
        if not touches_border(scene.labels == 1):
            assert (scene.labels == 1).sum() == pytest.approx(area, rel=0.03)
            whole += 1
    assert whole > 5


def test_draw_scene__an_object_has_its_colour_where_its_label_is() -> None:
    scene = draw_scene(np.random.default_rng(0), [plain_kind(shapes.box)], CALM)
    inside = cv2.erode((scene.labels == 1).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    red, green, blue = scene.image[inside].reshape(-1, 3).T.astype(int)
    assert (red > 40).all() and (green < 5).all() and (blue < 5).all()


def test_draw_scene__visible_is_what_later_objects_leave() -> None:
    layout = replace(CALM, side=256, counts=(8, 8), radii=(0.125, 0.125), overlap=0.8)
    rng, kind, visible = np.random.default_rng(3), plain_kind(shapes.disc), []
    area = drawn_area(kind, 32)
    for _ in range(10):
        scene = draw_scene(rng, [kind], layout)
        for label, share in enumerate(scene.visible, start=1):
            if not touches_border(scene.labels == label):
                assert (scene.labels == label).sum() == pytest.approx(share * area, abs=0.03 * area)
                visible.append(share)
    assert min(visible) < 0.6 and max(visible) == 1


def test_draw_scene__objects_beyond_the_border_are_not_visible() -> None:
    kind = plain_kind(shapes.box)
    kind = replace(kind, outline=(kind.outline[0] + np.float32([4, 0]),))
    scene = draw_scene(np.random.default_rng(0), [kind], Layout(side=64, rows=1))
    drawn = np.isin(np.arange(1, len(scene.kinds) + 1), scene.labels)
    assert 0 < drawn.sum() < len(drawn)
    assert not np.array(scene.visible)[~drawn].any()


def test_draw_scene__without_objects_there_is_only_a_background() -> None:
    scene = draw_scene(
        np.random.default_rng(0), [draw_kind(np.random.default_rng(1))], demo_set.EMPTY
    )
    assert not scene.labels.any() and scene.kinds == () and scene.visible == ()


def test_draw_scene__grey_pictures_have_no_colour() -> None:
    rng = np.random.default_rng(0)
    grey = draw_scene(rng, [draw_kind(rng)], Layout(grey=1))
    colour = draw_scene(rng, [plain_kind(shapes.box)], Layout(grey=0))
    assert np.ptp(grey.image.astype(int), axis=2).max() <= 1
    assert np.ptp(colour.image.astype(int), axis=2).max() > 20


def test_families__of_the_demo_set_are_never_trained_on() -> None:
    assert not set(shapes.HELD_OUT) & {*shapes.TRAINED, *shapes.ROUGHER}
    assert not set(textures.HELD_OUT) & {*textures.TRAINED, *textures.BOLDER}
    for kind, name in zip(
        demo_set.class_kinds(np.random.default_rng(0)), demo_set.NAMES, strict=True
    ):
        assert kind.surface.pattern in textures.HELD_OUT, name


@pytest.mark.parametrize("family", [*shapes.TRAINED, *shapes.ROUGHER, *shapes.HELD_OUT])
def test_family__outlines_fit_their_frame(family: shapes.Family) -> None:
    """A narrow piece of a cake reaches half as far as the cake."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = np.concatenate(family(rng))
        assert 0.5 <= np.abs(points).max() <= 1.5


@pytest.mark.parametrize("pattern", [*textures.TRAINED, *textures.BOLDER, *textures.HELD_OUT])
def test_pattern__mixes_two_colours(pattern: textures.Pattern) -> None:
    surface = textures.draw_surface(np.random.default_rng(0), (pattern,))
    y, x = np.mgrid[-1:1:32j, -1:1:32j].astype(np.float32)
    mixed = pattern(surface, x, y)
    assert mixed.shape == (32, 32) and 0 <= mixed.min() and mixed.max() <= 1
    assert (mixed.std() > 0.05) == (pattern is not textures.plain)


def test_demo_set__in_the_repository_is_what_its_script_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["demo_set.py", str(tmp_path)])
    demo_set.main()
    for name in ("references", "targets"):
        drawn, kept = (
            json.loads((folder / "annotations" / f"{name}.json").read_text())
            for folder in (tmp_path, ROOT / "scenes")
        )
        assert drawn["images"] == kept["images"] and drawn["categories"] == kept["categories"]
        assert len(drawn["annotations"]) == len(kept["annotations"]) > 0
        for ours, theirs in zip(drawn["annotations"], kept["annotations"], strict=True):
            assert (ours["id"], ours["image_id"]) == (theirs["id"], theirs["image_id"])
            assert ours["category_id"] == theirs["category_id"]
            masks = [ours["segmentation"]], [theirs["segmentation"]]
            assert coco_mask.iou(*masks, [0])[0, 0] > 0.98  # other OpenCV versions, other borders
        for image in kept["images"]:
            pictures = [
                cv2.imread(str(folder / "images" / image["file_name"])).astype(int)
                for folder in (tmp_path, ROOT / "scenes")
            ]
            assert np.abs(pictures[0] - pictures[1]).mean() < 2


def test_demo_set__has_targets_of_every_sort() -> None:
    targets = json.loads((ROOT / "scenes" / "annotations" / "targets.json").read_text())
    shown = {annotation["image_id"] for annotation in targets["annotations"]}
    assert len(targets["images"]) == 80 and len(shown) == 70
    assert {a["category_id"] for a in targets["annotations"]} == set(range(1, 11))
