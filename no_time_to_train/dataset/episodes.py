"""Episodes of few-shot segmentation: a class, support images that show it, a query to segment.

Drawn as the published test loader of HSNet (Min et al., ICCV 2021) draws them, on which the numbers
of COCO-20i since then rest: the class is uniform over the fold, the query over the images with the
class, and each support over those images again until it is not the query, so that two supports may
be the same; all from numpy's legacy generator. With the lists of images of that loader the draws
would be the same, too, as far as those lists stand in the same order: that could not be checked,
nor whether small objects were left out of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.annotations import (
    Annotation,
    Category,
    CocoAnnotations,
    Id,
    rasterise,
    run_lengths,
)
from no_time_to_train.coco.segmentation import area
from no_time_to_train.errors import InputError, listed
from no_time_to_train.files import check_regular_file


@dataclass(frozen=True)
class Episode:
    """One question: where in the query is what the supports show?"""

    category_id: int
    query: Id
    """An image."""
    supports: tuple[Id, ...]
    """Images other than the query, one per shot."""


def draw_episodes(
    annotations: CocoAnnotations,
    categories: Sequence[Category],
    images: Sequence[Id],
    shots: int,
    seed: int,
    count: int,
) -> list[Episode]:
    """Draw episodes; with a larger count the same ones come first.

    Args:
        annotations: What to draw from.
        categories: The classes of the fold, by id.
        images: Ids of the images that may be drawn, in the order that the draws refer to.
        shots: Support images per episode.
        seed: Of the draws.
        count: How many.

    Raises:
        InputError: A class is in fewer than two of the images, or a segmentation is malformed.
    """
    candidates = _images_by_class(annotations, categories, images)
    too_few = [each.name for each in categories if len(candidates[each.id]) < 2]
    if too_few:
        raise InputError(
            f"{annotations.path}: fewer than two of the {len(images)} images show "
            f"{listed(too_few)}; an episode takes a query and another image as support"
        )
    generator = np.random.RandomState(seed)
    ids = [category.id for category in categories]
    return [_draw(generator, ids, candidates, shots) for _ in range(count)]


def class_mask(
    annotations: CocoAnnotations, image_id: Id, category_id: int
) -> npt.NDArray[np.bool_]:
    """All of a class in an image, crowds included, (H, W).

    Raises:
        InputError: The size of the image is not known, or a segmentation is malformed.
    """
    image = annotations.images[image_id]
    instances = _instances(annotations, image_id, category_id)
    masks = [rasterise(instance, image) for instance in instances]
    union: npt.NDArray[np.bool_] = np.logical_or.reduce(masks)
    return union


def read_image_list(path: Path, annotations: CocoAnnotations) -> list[Id]:
    """Images that a text file names, one a line, in its order; folders before a name do not count.

    Raises:
        InputError: The file is missing, no text, or names an image that the json does not list.
    """
    check_regular_file(path, "the list of images")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); give a text file of names") from None
    names = [PurePosixPath(line.strip()).name for line in lines if line.strip()]
    known = {PurePosixPath(image.file_name).name: key for key, image in annotations.images.items()}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InputError(
            f"{path} names {len(names)} images, of which {annotations.path} does not list "
            f"{len(unknown)} ({listed(unknown)}); give one name a line, of images of that json"
        )
    return [known[name] for name in dict.fromkeys(names)]


def _images_by_class(
    annotations: CocoAnnotations, categories: Sequence[Category], images: Sequence[Id]
) -> Mapping[int, Sequence[Id]]:
    """The images in which a class has a pixel, by its category id."""
    found: dict[int, list[Id]] = {category.id: [] for category in categories}
    for image_id in images:
        image = annotations.images[image_id]
        present = {each.category_id for each in annotations.of_image(image_id)} & found.keys()
        for category_id in present:
            instances = _instances(annotations, image_id, category_id)
            if any(area(run_lengths(instance, image)) for instance in instances):
                found[category_id].append(image_id)
    return found


def _instances(annotations: CocoAnnotations, image_id: Id, category_id: int) -> list[Annotation]:
    return [
        instance
        for instance in annotations.of_image(image_id)
        if instance.category_id == category_id and instance.segmentation is not None
    ]


def _draw(
    generator: np.random.RandomState,
    category_ids: Sequence[int],
    candidates: Mapping[int, Sequence[Id]],
    shots: int,
) -> Episode:
    category_id = category_ids[_position(generator, len(category_ids))]
    images = candidates[category_id]
    query = images[_position(generator, len(images))]
    supports: list[Id] = []
    while len(supports) < shots:
        support = images[_position(generator, len(images))]
        if support != query:
            supports.append(support)
    return Episode(category_id, query, tuple(supports))


def _position(generator: np.random.RandomState, count: int) -> int:
    # Not randint(count), which would take other numbers from the generator than the loader does.
    return int(generator.choice(count, 1, replace=False)[0])
