"""What a whole data set costs on 1, 8 and 64 devices, from what was measured in this run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from benchmarking.stopwatch import Stopwatch
from benchmarking.variants import Networks, Parts

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.commands.costs import Costs, Part, in_time, stage_parts, told
from no_time_to_train.config import ComputeConfig, TestMode
from no_time_to_train.evaluation.coco import evaluate
from no_time_to_train.structures import Reference

DEVICES = 1, 8, 64
REFERENCES = 4
"""How many are encoded to time one, after a first that is not counted."""
EVALUATED_IMAGES, TRUE_INSTANCES = 200, 7
"""Size of the data set whose evaluation is timed, and how many instances an image of it has; COCO
has 7.3."""


@dataclass(frozen=True)
class Job:
    """A published data set."""

    name: str
    images: int
    classes: int
    shots: int

    @property
    def references(self) -> int:
        """Of all classes."""
        return self.classes * self.shots


JOBS = (
    Job("COCO val, 30 shots", images=5000, classes=80, shots=30),
    Job("LVIS val, 10 shots", images=19809, classes=1203, shots=10),
)


@torch.inference_mode()
def seconds_per_reference(networks: Networks, compute: ComputeConfig) -> float:
    """Time stage 1 on references without content."""
    parts = Parts(networks, compute)
    side = networks.encoder_image_size
    mask = torch.zeros(side, side)
    mask[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
    watch = Stopwatch(networks.device)
    for slot in range(1 + REFERENCES):
        crop = torch.rand(3, side, side)
        reference = Reference(crop, mask, 0, slot, image_id=0, index=0, source="made up")
        with watch("first" if slot == 0 else "others"):
            parts.segmenter.remember([reference])
    return watch.seconds["others"] / REFERENCES


def seconds_to_start(networks: Networks, compute: ComputeConfig) -> float:
    """Time the building of both networks."""
    watch = Stopwatch(networks.device)
    with watch("start"):
        Parts(networks, compute)
    return watch.seconds["start"]


def seconds_per_evaluated_image(records: Sequence[CocoRecord], classes: int) -> float:
    """Time the evaluation of a data set each of whose images shows what was found in one image."""
    spread = [record | {"category_id": 1 + i % classes} for i, record in enumerate(records)]
    found = [record | {"image_id": image} for image in range(EVALUATED_IMAGES) for record in spread]
    height, width = records[0]["segmentation"]["size"]
    truth = [
        {
            "id": number,
            "image_id": image,
            "category_id": record["category_id"],
            "bbox": record["bbox"],
            "segmentation": record["segmentation"],
        }
        for number, (image, record) in enumerate(
            (
                (image, record)
                for image in range(EVALUATED_IMAGES)
                for record in spread[:TRUE_INSTANCES]
            ),
            start=1,
        )
    ]
    content = {
        "images": [
            {"id": image, "file_name": f"{image}.jpg", "height": height, "width": width}
            for image in range(EVALUATED_IMAGES)
        ],
        "annotations": truth,
        "categories": [{"id": 1 + i, "name": str(i)} for i in range(classes)],
    }
    watch = Stopwatch("cpu")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "truth.json"
        path.write_text(json.dumps(content))
        with watch("evaluation"):
            evaluate(CocoAnnotations.read(path), range(1, classes + 1), found)
    return watch.seconds["evaluation"] / EVALUATED_IMAGES


def parts_of(job: Job, costs: Costs) -> list[Part]:
    """All stretches of a job, in order."""
    stages = {
        TestMode.fill_memory: job.references,
        TestMode.postprocess_memory: 0,
        TestMode.test: job.images,
    }
    parts = [stage_parts(mode, samples, costs) for mode, samples in stages.items()]
    return [Part("three starts", 3 * costs.start)] + [part for _, *own in parts for part in own]


def plan(job: Job, costs: Costs) -> Iterator[str]:
    """The plan of a job, line by line."""
    yield f"{job.name}: {job.images} images, {job.classes} classes, {job.references} references"
    stretches = parts_of(job, costs)
    for devices in DEVICES:
        yield f"  {devices:>2} devices: {told(stretches, devices)}"
    yield (
        f"  memory: {costs.process_mb / 1024:.1f} GB per device; results on the first "
        f"{job.images * costs.image_records_mb / 1024:.1f} GB"
    )
    alone = [part for part in stretches if part.pieces == 1]
    worst = max(alone, key=lambda part: part.seconds)
    shared = sum(part.seconds for part in stretches if part.pieces > 1)
    limit = shared / sum(part.seconds for part in alone)
    yield (
        f"  {worst.name} stops scaling first: one process does it in {in_time(worst.seconds)}; "
        f"beyond {limit:.0f} devices most of the time goes into what devices cannot share"
    )
