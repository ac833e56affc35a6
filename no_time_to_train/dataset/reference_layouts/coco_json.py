"""COCO json, with the images anywhere in the folder.

references.json   images/park.jpg
train/_annotations.coco.json   train/park.jpg
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from no_time_to_train.coco.annotations import (
    Annotation,
    Category,
    CocoAnnotations,
    Id,
    ImageInfo,
    image_path,
    run_lengths,
)
from no_time_to_train.coco.segmentation import area
from no_time_to_train.dataset.reference_files import Example, reference_box
from no_time_to_train.dataset.reference_layouts.folder import COCO_KEYS, Folder
from no_time_to_train.dataset.reference_layouts.found import (
    FoundReferences,
    finished,
    size_on_picture,
)
from no_time_to_train.errors import InputError, listed, naming

NAME = "COCO json"
WORDS = ({"reference", "references", "refs"}, {"train", "training"})
"""What tells a json from others, the first winning."""


def evidence(folder: Folder) -> PurePosixPath | None:
    """A json with at least two of COCO's three lists, if there is one."""
    return next(iter(_files(folder)), None)


def read(folder: Folder) -> FoundReferences:
    """Read every annotation but crowds, of all json or of those named as references or `train`.

    Raises:
        InputError: A json is damaged, two mark one image, images are missing or have another size,
            or an annotation has no pixel in its image.
    """
    files = _files(folder)
    used = _of_references(files)
    documents = {file: _read(folder, file) for file in used}
    _refuse_shared_images(documents)
    names = list(
        dict.fromkeys(
            category.name
            for document in documents.values()
            for category in sorted(document.categories, key=lambda category: category.id)
        )
    )
    joined = _joined(folder, documents, names)
    _check(joined)
    unused = [file for file in files if file not in used]
    notes = _notes(documents, unused)
    return finished(NAME, folder.root, joined, names, notes)


def _files(folder: Folder) -> list[PurePosixPath]:
    return [file for file, keys in folder.json_files.items() if len(keys & COCO_KEYS) > 1]


def _of_references(files: Sequence[PurePosixPath]) -> Sequence[PurePosixPath]:
    """Those whose path says that they hold references, and of these those that say `train`."""
    for wanted in WORDS:
        named = [file for file in files if wanted & set(re.findall("[a-z]+", str(file).lower()))]
        files = named or files
    return files


def _read(folder: Folder, file: PurePosixPath) -> CocoAnnotations:
    """One json, with the images that annotations name, each where it lies in the folder."""
    document = CocoAnnotations.read(folder.root / file)
    marked = {each.image_id for each in document.annotations if not each.iscrowd}
    images = [image for image in document.images.values() if image.id in marked]
    places = _Places(folder, file.parent)
    with naming(str(folder.root / file)):
        found = {image.id: places.of(image.file_name) for image in images}
    missing = [image.file_name for image in images if found[image.id] is None]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(images)} images that {folder.root / file} marks are not in "
            f"{folder.root}, the first is {listed(missing[:1])}; put them there"
        )
    with naming(str(folder.root / file)):
        sized = {
            image.id: _sized(folder, replace(image, file_name=str(found[image.id])))
            for image in images
        }
    return replace(document, images=sized)


def _sized(folder: Folder, image: ImageInfo) -> ImageInfo:
    known = None if image.height is None or image.width is None else (image.height, image.width)
    what = f"image {image.file_name} in the json"
    height, width = size_on_picture(folder.root, image.file_name, known, what)
    return replace(image, height=height, width=width)


class _Places:
    """Where images lie whose names start from a folder that nobody names."""

    def __init__(self, folder: Folder, beside: PurePosixPath) -> None:
        self.folder = folder
        self.beside = beside
        self.by_name: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
        for file in folder.files:
            self.by_name[file.name].append(file)

    def of(self, file_name: str) -> PurePosixPath | None:
        """Beside the json, in the root, or where only one file fits.

        Raises:
            InputError: The name leaves the folder, or several files fit.
        """
        image_path(self.folder.root, file_name)
        name = PurePosixPath(file_name)
        if "\\" in file_name and name not in self.folder:
            name = PurePosixPath(file_name.replace("\\", "/"))
        for place in (self.beside / name, name):
            if place in self.folder:
                return place
        same = self.by_name.get(name.name, [])
        whole = [file for file in same if file.parts[-len(name.parts) :] == name.parts]
        fitting = whole or same
        if len(fitting) > 1:
            raise InputError(
                f"image {file_name} may be any of {listed([str(file) for file in fitting])} in "
                f"{self.folder.root}; give file_name its folder"
            )
        return next(iter(fitting), None)


def _refuse_shared_images(documents: dict[PurePosixPath, CocoAnnotations]) -> None:
    by_image: dict[str, PurePosixPath] = {}
    for file, document in documents.items():
        for image in document.images.values():
            other = by_image.setdefault(image.file_name, file)
            if other != file:
                raise InputError(
                    f"{other} and {file} both mark {image.file_name}; keep one of them there, or "
                    "name the file in place of the folder"
                )


def _joined(
    folder: Folder, documents: dict[PurePosixPath, CocoAnnotations], names: Sequence[str]
) -> CocoAnnotations:
    """All in one, with classes by name."""
    several = len(documents) > 1
    path = folder.root if several else folder.root / next(iter(documents))
    images: dict[Id, ImageInfo] = {}
    references: list[tuple[str, Annotation]] = []
    for file, document in documents.items():
        unique = _with_unique_ids(document, f"{file} " if several else "")
        images |= unique.images
        of_category = {category.id: category.name for category in unique.categories}
        references += [(of_category[each.category_id], each) for each in unique.annotations]
    present = {name for name, _ in references}
    used = [name for name in names if name in present]
    category_ids = {name: number for number, name in enumerate(used, start=1)}
    return CocoAnnotations(
        path,
        images,
        [replace(each, category_id=category_ids[name]) for name, each in references],
        [Category(number, name) for name, number in category_ids.items()],
    )


def _with_unique_ids(document: CocoAnnotations, prefix: str) -> CocoAnnotations:
    """Without crowds; ids stay those of the json where they are unique, so that messages fit it."""
    wanted = [each for each in document.annotations if not each.iscrowd]
    repeated = {key for key, count in Counter(each.id for each in wanted).items() if count > 1}
    image_ids: dict[Id, Id] = {key: f"{prefix}{key}" if prefix else key for key in document.images}
    annotations = []
    for position, each in enumerate(wanted):
        number: Id = f"{prefix}{each.id}" if prefix else each.id
        number = f"{number} at position {position}" if each.id in repeated else number
        annotations.append(replace(each, id=number, image_id=image_ids[each.image_id]))
    images = {
        image_ids[key]: replace(image, id=image_ids[key]) for key, image in document.images.items()
    }
    return replace(document, images=images, annotations=annotations)


def _check(document: CocoAnnotations) -> None:
    """What can be known of masks and boxes without opening an image."""
    with naming(str(document.path)):
        for annotation in document.annotations:
            image = document.images[annotation.image_id]
            example = Example(image, annotation, 0, 0)
            assert image.height is not None and image.width is not None
            reference_box(example, 0.0, image.height, image.width)
            if annotation.segmentation is not None and not area(run_lengths(annotation, image)):
                raise InputError(
                    f"{example.source}: its mask has no pixel in the image; repair the json"
                )


def _notes(
    documents: dict[PurePosixPath, CocoAnnotations], unused: Sequence[PurePosixPath]
) -> list[str]:
    crowds = sum(each.iscrowd for document in documents.values() for each in document.annotations)
    notes = [f"annotations of crowds, which are no references: {crowds}"] if crowds else []
    if unused or len(documents) > 1:
        notes.append(f"COCO json that have the references: {listed(list(map(str, documents)))}")
    if unused:
        notes.append(f"COCO json that are left out: {listed(list(map(str, unused)))}")
    return notes
