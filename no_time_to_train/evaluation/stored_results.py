"""Read a COCO results file for measuring it, and refuse what would give a wrong number."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from no_time_to_train.coco import segmentation as coco_segmentation
from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.entries import Detection, ImageInfo, kind, parse_detection
from no_time_to_train.coco.json_text import load_json
from no_time_to_train.coco.results import CocoRecord, CompressedRle
from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file


def read_results(path: Path, annotations: CocoAnnotations) -> list[CocoRecord]:
    """Read a list of results.

    Args:
        path: Of the json: [{"image_id", "category_id", "bbox", "score", "segmentation"}, ...].
            Masks are run lengths or polygons; all entries may be without.
        annotations: The ground truth that they will be compared with.

    Returns:
        Records in the order of the file, without "segmentation" where the file has none.

    Raises:
        InputError: The file is missing or damaged; an entry has no box or finite score, belongs to
            an image or a class that the ground truth does not have, or has a malformed mask or one
            of another size; some entries have masks and some have none.
    """
    check_regular_file(path, "the COCO results")
    try:
        return _read(load_json(path), annotations)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _read(document: Any, annotations: CocoAnnotations) -> list[CocoRecord]:
    if not isinstance(document, list):
        raise InputError(f"expected a list of COCO results, got {kind(document)}")
    category_ids = {category.id for category in annotations.categories}
    records = []
    for position, entry in enumerate(document):
        try:
            records.append(_record(entry, annotations, category_ids))
        except InputError as error:
            raise InputError(f"entry {position} {error}") from None
        document[position] = None  # half a million masks need not be there twice
    with_masks = sum("segmentation" in record for record in records)
    if with_masks not in (0, len(records)):
        raise InputError(
            f"{with_masks} of {len(records)} results have a segmentation and the others have none; "
            "give one to all of them or to none"
        )
    return records


def _record(entry: Any, annotations: CocoAnnotations, category_ids: Collection[int]) -> CocoRecord:
    if not isinstance(entry, dict):
        raise InputError(f"must be an object, got {kind(entry)}")
    try:
        detection = parse_detection(entry)
    except InputError as error:
        raise InputError(f"is no result: {error}; repair or remove it") from None
    if detection.bbox is None or min(detection.bbox[2:]) < 0:
        raise InputError("has no box [x, y, width, height] with sides of 0 or more; add it")
    image = annotations.images.get(detection.image_id)
    if image is None:
        raise InputError(
            f"belongs to image {detection.image_id!r}, which {annotations.path} does not list; "
            "evaluate with the annotations that the results were made for"
        )
    category_id = entry.get("category_id")
    if type(category_id) is not int or category_id not in category_ids:
        raise InputError(
            f"has the category {category_id!r}, which {annotations.path} does not list; evaluate "
            "with the annotations that the results were made for"
        )
    record = CocoRecord(
        image_id=detection.image_id,
        category_id=category_id,
        bbox=list(detection.bbox),
        score=detection.score,
    )
    if detection.segmentation is not None:
        record["segmentation"] = _mask(detection, image)
    return record


def _mask(detection: Detection, image: ImageInfo) -> CompressedRle:
    """The mask as compressed run lengths; those of files that `test` wrote are left as they are."""
    mask = detection.segmentation
    height, width = image.height, image.width
    if (height is None or width is None) and isinstance(mask, dict):
        height, width = _stated_size(mask)
    if height is None or width is None:
        raise InputError(f"has polygons, and {image.file_name} has no height and width; add them")
    try:
        if isinstance(mask, dict) and isinstance(mask.get("counts"), str):
            coco_segmentation.check(mask, height, width)
            return CompressedRle(size=[height, width], counts=mask["counts"])
        rle = coco_segmentation.to_rle(mask, height, width)
    except ValueError as error:
        raise InputError(f"({image.file_name}): its segmentation {error}; repair it") from None
    return CompressedRle(size=rle["size"], counts=rle["counts"].decode())


def _stated_size(mask: dict[str, Any]) -> tuple[int | None, int | None]:
    size = mask.get("size")
    if isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size):
        return size[0], size[1]
    return None, None
