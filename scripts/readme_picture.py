"""Draw the picture of README.md: what the demo's networks find, given one reference per class.

    python -m scripts.readme_picture docs/images/found.jpg

Above, four of the ten references of scenes/ and what is found in two scenes; below, a coin as the
reference and what is found in a photograph of coins.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.coco.annotations import Annotation, CocoAnnotations, rasterise
from no_time_to_train.visualization.predictions import Instance, RgbImage, draw_instances

CONFIGS = "configs/matching_cdfsod_template.yaml", "configs/demo.yaml"
THRESHOLD = 0.85
"""Lowest score that is drawn, as in configs/demo.yaml."""
CONTEXT = 0.3
"""How much wider than its object a reference is shown."""
HEIGHT, GAP = 400, 8
"""Of a row, and of the white between pictures, in pixels."""
QUALITY = 80
SHOWN_CLASSES = ("ringed_gear", "dotted_star", "zigzag_crescent", "dotted_heart")
SHOWN_SCENES = ("target_66.jpg", "target_63.jpg")


def read_references(folder: Path, file_name: str) -> tuple[CocoAnnotations, dict[str, Annotation]]:
    """The annotations of a data set, and the first one of each class by name."""
    content = CocoAnnotations.read(folder / "annotations" / file_name)
    firsts = {
        category.name: next(a for a in content.annotations if a.category_id == category.id)
        for category in sorted(content.categories, key=lambda category: category.id)
    }
    return content, firsts


def remember(
    folder: Path, content: CocoAnnotations, references: dict[str, Annotation]
) -> FewShotSegmenter:
    """A segmenter for these classes, with the demo's networks."""
    segmenter = FewShotSegmenter.from_config(*CONFIGS, device="cpu")
    for name, entry in references.items():
        image = content.images[entry.image_id]
        segmenter.remember(folder / "images" / image.file_name, rasterise(entry, image), name)
    segmenter.finalise()
    return segmenter


def draw_found(segmenter: FewShotSegmenter, path: Path) -> RgbImage:
    """A target, enlarged to the height of a row, and what is found in it."""
    image = Image.open(path).convert("RGB")
    width = round(image.width * HEIGHT / image.height)
    enlarged = image.resize((width, HEIGHT), Image.Resampling.BICUBIC)
    return np.asarray(segmenter.segment(enlarged).draw(THRESHOLD))


def draw_reference(
    folder: Path, content: CocoAnnotations, references: dict[str, Annotation], name: str, side: int
) -> RgbImage:
    """The surroundings of a reference, with its mask."""
    entry = references[name]
    image = content.images[entry.image_id]
    mask = rasterise(entry, image).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    half = (1 + CONTEXT) * max(width, height) / 2
    left, top = (max(int(centre - half), 0) for centre in (x + width / 2, y + height / 2))
    part = np.s_[top : int(top + 2 * half), left : int(left + 2 * half)]
    pixels = np.asarray(Image.open(folder / "images" / image.file_name).convert("RGB"))
    crop = cv2.resize(pixels[part], (side, side), interpolation=cv2.INTER_CUBIC)
    large = cv2.resize(255 * mask[part], (side, side), interpolation=cv2.INTER_CUBIC) > 127
    return draw_instances(crop, [_instance(large, list(references).index(name))], list(references))


def _instance(mask: NDArray[np.bool_], label: int) -> Instance:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return Instance(mask, (x, y, x + width - 1, y + height - 1), label)


def beside(*pictures: RgbImage) -> RgbImage:
    """Pictures of one height in a row."""
    gap = np.full((len(pictures[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=1)


def below(*pictures: RgbImage) -> RgbImage:
    """Pictures below each other, all as wide as the first."""
    width = pictures[0].shape[1]
    gap, parts = np.full((GAP, width, 3), 255, np.uint8), []
    for picture in pictures:
        height = round(len(picture) * width / picture.shape[1])
        parts += [gap, cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)]
    return np.concatenate(parts[1:])


def draw_scenes() -> RgbImage:
    """Four references, two by two, and two scenes."""
    folder = Path("scenes")
    content, references = read_references(folder, "references.json")
    segmenter = remember(folder, content, references)
    side = (HEIGHT - GAP) // 2
    tiles = [draw_reference(folder, content, references, name, side) for name in SHOWN_CLASSES]
    scenes = [draw_found(segmenter, folder / "images" / name) for name in SHOWN_SCENES]
    return beside(below(beside(*tiles[:2]), beside(*tiles[2:])), *scenes)


def draw_coins() -> RgbImage:
    """A reference coin and a photograph."""
    folder = Path("photos")
    content, references = read_references(folder, "custom_references_with_segm.json")
    segmenter = remember(folder, content, references)
    tile = draw_reference(folder, content, references, "coin", HEIGHT)
    return beside(tile, draw_found(segmenter, folder / "images" / "coins_bottom.png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("picture", type=Path, help="JPEG to write")
    path = parser.parse_args().picture
    Image.fromarray(below(draw_scenes(), draw_coins())).save(path, quality=QUALITY)


if __name__ == "__main__":
    main()
