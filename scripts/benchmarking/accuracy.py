"""The demo's data set, for variants that compute something slightly different."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.config import ClassNames, FillMemoryDataConfig, Sam2InferConfig
from no_time_to_train.dataset.coco_to_pkl import collect_references
from no_time_to_train.dataset.reference_set import write_reference_set
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.encoders.patch_encoder import PatchEncoder
from no_time_to_train.evaluation.coco import evaluate
from no_time_to_train.models.segmenter import Segmenter

SCENES = Path(__file__).resolve().parents[2] / "scenes"
REFERENCES = SCENES / "annotations" / "references.json"
TARGETS = SCENES / "annotations" / "targets.json"


def demo_images() -> list[Path]:
    """All targets, in the order of the annotations."""
    images = CocoAnnotations.read(TARGETS).images.values()
    return [SCENES / "images" / image.file_name for image in images]


def demo_prototypes(encoder: PatchEncoder, image_size: int) -> Tensor:
    """The classes of the demo's data set (K, C), from one reference each.

    Args:
        encoder: With its weights.
        image_size: Side of its input in pixels.
    """
    annotations = CocoAnnotations.read(REFERENCES)
    segmenter = Segmenter(Sam2InferConfig(), encoder)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "references.pkl"
        write_reference_set(path, collect_references(annotations, n_shot=1))
        references = ReferenceDataset(
            FillMemoryDataConfig(
                root=str(SCENES / "images"),
                json_file=str(REFERENCES),
                memory_pkl=str(path),
                memory_length=1,
                image_size=image_size,
                cat_names=ClassNames(category.name for category in annotations.categories),
            )
        )
        for index in range(len(references)):
            segmenter.remember([references[index]])
    segmenter.finalise()
    return segmenter.prototypes


def demo_accuracy(records: Sequence[Sequence[CocoRecord]]) -> tuple[float, float]:
    """Box and mask AP.

    Args:
        records: By image, in the order of `demo_images`; a category is the index of its class.
    """
    annotations = CocoAnnotations.read(TARGETS)
    category_ids = [category.id for category in annotations.categories]
    found: list[CocoRecord] = [
        {**record, "image_id": image_id, "category_id": category_ids[record["category_id"]]}
        for image_id, of_image in zip(annotations.images, records, strict=True)
        for record in of_image
    ]
    result = evaluate(annotations, category_ids, found)
    assert result.box is not None and result.mask is not None
    return result.box["AP"], result.mask["AP"]
