"""Draw the demo data set: scenes of kinds that training never showed, in COCO format.

    python -m scripts.demo_models.demo_set scenes

Writes FOLDER/images and FOLDER/annotations/{references,targets}.json. Every kind has an outline and
a surface of families that are held out from training. A target shows objects of some kinds, and
others that are not asked for; some targets show none of the kinds, some nothing at all.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from scripts.demo_models import shapes, textures
from scripts.demo_models.drawing import Kind, Layout, Scene, draw_kind, draw_scene

SEED = 2027
NAMES = (
    "dotted_star", "ringed_star", "dotted_heart", "zigzag_heart", "ringed_gear",
    "zigzag_gear", "dotted_crescent", "zigzag_crescent", "ringed_arrow", "dotted_arrow",
)  # fmt: skip
"""Surface and outline of each class; category ids are 1, 2, ..."""
SURFACES = {"dotted": textures.dots, "ringed": textures.rings, "zigzag": textures.zigzags}
OUTLINES = {family.__name__: family for family in shapes.HELD_OUT}
assert set(SURFACES.values()) == set(textures.HELD_OUT)

REFERENCE = Layout(counts=(1, 1), radii=(0.2, 0.3), camera=0.7, grey=0, alike=0)
TARGET = Layout(counts=(3, 9), radii=(0.08, 0.22), overlap=0.1, camera=0.7, grey=0, alike=0)
EMPTY = replace(TARGET, counts=(0, 0))
TARGETS, DISTRACTORS_ONLY, EMPTY_TARGETS = 70, 6, 4
"""Scenes with wanted kinds, with distractors only, and with nothing."""
JPEG_QUALITY = 85
MIN_COLOUR_DISTANCE = 0.6
"""Least distance of the colours of a class to those of the others and of distractors, 0 to 2.4."""
MIN_VISIBLE = 0.2
"""An object hidden more than this is painted over, but not annotated."""


@dataclass(frozen=True)
class LabelledScene:
    """A scene and the category of each of its objects, None for a distractor."""

    scene: Scene
    categories: tuple[int | None, ...]


def class_kinds(rng: Generator) -> list[Kind]:
    """One kind per name."""
    kinds: list[Kind] = []
    for name in NAMES:
        surface, _, outline = name.partition("_")
        kinds.append(draw_distinct_kind(rng, kinds, (OUTLINES[outline],), (SURFACES[surface],)))
    return kinds


def draw_distinct_kind(rng: Generator, others: Sequence[Kind], *families: Any) -> Kind:
    """A kind, of these families if any are given, of other colours than the others."""
    while True:
        kind = draw_kind(rng, *families)
        if all(colour_distance(kind, other) >= MIN_COLOUR_DISTANCE for other in others):
            return kind


def colour_distance(kind: Kind, other: Kind) -> float:
    """Distance of the two colours of one kind to those of another, in the order that fits."""
    ours, theirs = visible_colours(kind), visible_colours(other)  # (2, 3) each
    return float(min(np.linalg.norm(ours - theirs), np.linalg.norm(ours[::-1] - theirs)))


def visible_colours(kind: Kind) -> NDArray[np.float32]:
    """The first colour, and the second as far as the contrast of the pattern goes, (2, 3)."""
    first, second = kind.surface.colours
    return np.stack([first, first + kind.surface.contrast * (second - first)])


def draw_reference(rng: Generator, kinds: Sequence[Kind], category: int) -> LabelledScene:
    """One object alone, large enough for 1-shot sampling: 32 px, and 10 px from the border."""
    while True:
        scene = draw_scene(rng, [kinds[category]], REFERENCE)
        ys, xs = scene.labels.nonzero()
        edges = min(xs.min(), ys.min()), max(xs.max(), ys.max())
        if edges[0] > 10 and edges[1] < REFERENCE.side - 11:
            return LabelledScene(scene, (category,))


def draw_target(rng: Generator, kinds: Sequence[Kind]) -> LabelledScene:
    """Objects of one to four kinds, one of them at least, and of one or two unknown ones."""
    categories = rng.choice(len(kinds), size=rng.integers(1, 5), replace=False)
    distractors = [draw_distinct_kind(rng, kinds) for _ in range(rng.integers(1, 3))]
    known = [int(c) for c in categories]
    while True:
        scene = draw_scene(rng, [*(kinds[c] for c in known), *distractors], TARGET)
        shown = LabelledScene(
            scene, tuple(known[k] if k < len(known) else None for k in scene.kinds)
        )
        if annotations_of(shown):
            return shown


def draw_distractors(rng: Generator, kinds: Sequence[Kind]) -> LabelledScene:
    """Objects of unknown kinds only."""
    scene = draw_scene(rng, [draw_distinct_kind(rng, kinds) for _ in range(3)], TARGET)
    return LabelledScene(scene, (None,) * len(scene.kinds))


def annotations_of(shown: LabelledScene) -> list[dict[str, Any]]:
    """Category, box, area and mask of each annotated object."""
    found = []
    for index, category in enumerate(shown.categories):
        if category is None or shown.scene.visible[index] < MIN_VISIBLE:
            continue
        mask = shown.scene.labels == index + 1
        rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        found.append(
            {
                "category_id": category + 1,
                "bbox": coco_mask.toBbox(rle).tolist(),
                "area": int(mask.sum()),
                "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
                "iscrowd": 0,
            }
        )
    return found


def save(shown: Sequence[LabelledScene], prefix: str, first_id: int, folder: Path) -> None:
    """Write pictures and their annotation file."""
    images, annotations = [], []
    for number, one in enumerate(shown):
        name, image_id = f"{prefix}_{number:02d}.jpg", first_id + number
        height, width = one.scene.labels.shape
        images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        for annotation in annotations_of(one):
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **annotation})
        picture = cv2.cvtColor(one.scene.image, cv2.COLOR_RGB2BGR)
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        cv2.imwrite(str(folder / "images" / name), picture, quality)
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(NAMES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path = folder / "annotations" / f"{prefix}s.json"
    path.write_text(json.dumps(content, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for part in ("images", "annotations"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    kinds = class_kinds(rng)
    save([draw_reference(rng, kinds, c) for c in range(len(kinds))], "reference", 1, folder)
    targets = [draw_target(rng, kinds) for _ in range(TARGETS)]
    targets += [draw_distractors(rng, kinds) for _ in range(DISTRACTORS_ONLY)]
    targets += [LabelledScene(draw_scene(rng, kinds, EMPTY), ()) for _ in range(EMPTY_TARGETS)]
    save(targets, "target", 101, folder)


if __name__ == "__main__":
    main()
