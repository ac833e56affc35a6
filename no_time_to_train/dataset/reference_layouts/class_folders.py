"""A folder per class, with a mask beside each picture.

bird/park.jpg   bird/park.png        a mask of the same name
bird/lake.png   bird/lake_mask.png   or with `_mask` behind it
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from no_time_to_train.dataset.reference_layouts.folder import Folder, counted
from no_time_to_train.dataset.reference_layouts.found import (
    FoundReferences,
    Labelled,
    collect,
    size_on_picture,
    with_mask,
)
from no_time_to_train.dataset.reference_layouts.label_maps import MaskFile, read_mask_file
from no_time_to_train.errors import InputError, listed

NAME = "class folders"
MASK_ENDING = "_mask"

Pair = tuple[PurePosixPath, PurePosixPath]  # picture and mask


@dataclass
class ClassFolder:
    """The pictures of one class."""

    name: str
    pairs: list[Pair] = field(default_factory=list)
    unmarked: list[PurePosixPath] = field(default_factory=list)
    """Pictures without a mask."""


def evidence(folder: Folder) -> PurePosixPath | None:
    """A mask beside a picture in a folder, if there is one."""
    if folder.chosen is not None:
        return None
    return next(_all_masks(_by_class(folder).values()), None)


def misplaced(folder: Folder) -> PurePosixPath | None:
    """A mask beside a picture that lies directly in the folder or too deep, if there is one."""
    by_parent: defaultdict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for file in folder.pictures:
        by_parent[file.parent].append(file)
    return next(_all_masks(by_parent.values()), None)


def _all_masks(folders: Iterable[Sequence[PurePosixPath]]) -> Iterator[PurePosixPath]:
    for files in folders:
        groups = _grouped(files)
        for stem, group in groups.items():
            yield from _masks(stem, group, groups)


def read(folder: Folder) -> FoundReferences:
    """Read the references of every class, in the order of their names.

    Raises:
        InputError: A class has no mask, a mask cannot be used or has another size than its picture,
            or it is not clear which file is the mask.
    """
    classes = [_pair_up(name, files) for name, files in _by_class(folder).items()]
    for each in classes:
        if not each.pairs:
            raise _without_masks(folder, each)
    masks: dict[PurePosixPath, MaskFile] = {}
    instances = [
        instance
        for each in classes
        for pair in each.pairs
        for instance in _read(folder, pair, masks)
    ]
    names = [_composed(each.name) for each in classes]
    return collect(NAME, folder.root, names, instances, _notes(folder, classes, masks))


def _without_masks(folder: Folder, found: ClassFolder) -> InputError:
    first = found.unmarked[0]
    return InputError(
        f"{folder.root / found.name} has {counted(len(found.unmarked), 'picture')} and no mask, "
        f"such as {first.stem}.png or {first.stem}{MASK_ENDING}.png for {first.name}; add them, or "
        "move the folder elsewhere"
    )


def _read(folder: Folder, pair: Pair, masks: dict[PurePosixPath, MaskFile]) -> Iterator[Labelled]:
    picture, mask = pair
    masks[mask] = found = read_mask_file(folder.root / mask, "the mask")
    what = f"the mask {folder.root / mask}"
    size = size_on_picture(folder.root, str(picture), found.size, what)
    for rle in found.instances:
        yield with_mask(str(picture), size, _composed(picture.parts[0]), rle, what)


def _by_class(folder: Folder) -> dict[str, list[PurePosixPath]]:
    """Pictures and masks that lie in a folder of the first level, by its name."""
    grouped: dict[str, list[PurePosixPath]] = {}
    for file in folder.pictures:
        if len(file.parts) == 2:
            grouped.setdefault(file.parts[0], []).append(file)
    return dict(sorted(grouped.items()))


def _composed(name: str) -> str:
    """Letters with accents as one character each, as they are typed; macOS stores them as two."""
    return unicodedata.normalize("NFC", name)


def _grouped(files: Sequence[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
    """Files by stem, whatever the case of their letters."""
    groups: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
    for file in files:
        groups[_composed(file.stem).casefold()].append(file)
    return dict(groups)


def _is_png(file: PurePosixPath) -> bool:
    return file.suffix.lower() == ".png"


def _masks(
    stem: str, group: Sequence[PurePosixPath], groups: dict[str, list[PurePosixPath]]
) -> Iterator[PurePosixPath]:
    """What may be the masks of the pictures that share a stem."""
    yield from groups.get(stem + MASK_ENDING, ())
    if any(not _is_png(file) for file in group):
        yield from (file for file in group if _is_png(file))


def _pair_up(name: str, files: Sequence[PurePosixPath]) -> ClassFolder:
    """Find out which files of a folder are pictures, and which are their masks."""
    result, groups = ClassFolder(name), _grouped(files)
    taken: set[PurePosixPath] = set()
    for stem in sorted(groups):  # a stem comes before the same with an ending
        group = [file for file in groups[stem] if file not in taken]
        masks = list(_masks(stem, group, groups)) if group else []
        pictures = [file for file in group if file not in masks]
        if len(masks) > 1 or (masks and len(pictures) > 1):
            raise InputError(
                f"{name}: of {listed([file.name for file in (*pictures, *masks)])} it is not clear "
                "which is the picture and which is its mask; keep one picture and one mask of a "
                "name, or rename the others"
            )
        if masks:
            result.pairs.append((pictures[0], masks[0]))
            taken.update(masks)
        else:
            result.unmarked.extend(pictures)
    return result


def _notes(
    folder: Folder, classes: Sequence[ClassFolder], masks: dict[PurePosixPath, MaskFile]
) -> list[str]:
    label_maps = {
        f"{mask} ({len(found.instances)} values)": len(found.instances)
        for mask, found in masks.items()
        if len(found.instances) > 1
    }
    covering = [str(mask) for mask, found in masks.items() if found.covers_all]
    coloured = [f"{mask} ({found.colours})" for mask, found in masks.items() if found.colours > 1]
    unmarked = [str(file) for each in classes for file in each.unmarked]
    elsewhere = [str(file) for file in folder.pictures if len(file.parts) != 2]
    sentences = {
        f"label maps, {sum(label_maps.values())} references, one per value": list(label_maps),
        "masks that cover the whole picture": covering,
        "masks in several colours, of which all that is not black is one instance": coloured,
        "pictures without a mask, which are no references": unmarked,
        "pictures that lie in no class folder, which are no references": elsewhere,
    }
    return [f"{what}: {listed(files)}" for what, files in sentences.items() if files]
