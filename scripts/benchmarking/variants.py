"""One image through stage 3, stage by stage: word for word as METHOD.md has it, and as we do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from benchmarking.accuracy import demo_prototypes
from benchmarking.stopwatch import Stopwatch
from torch import Tensor, nn

from dinov2 import build_dinov2
from no_time_to_train.coco.results import CocoRecord, to_records
from no_time_to_train.config import ComputeConfig, Sam2InferConfig
from no_time_to_train.dataset.images import read_image
from no_time_to_train.dataset.targets import to_target
from no_time_to_train.encoders.patch_encoder import PatchEncoder
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.proposers.point_grid import PointProposer
from no_time_to_train.structures import Prediction, Proposals, Target
from sam2 import ImageFeatures, build_sam2
from tests.golden import deterministic
from tests.reference import stage_three

FAST_OVERLAY = Path(__file__).resolve().parents[2] / "configs" / "fast.yaml"
STAGES = ("input", "encoders", "decoding", "pooling", "merging", "results")


@dataclass(frozen=True)
class Networks:
    """Which networks with which weights, how large, and where."""

    sam2: str
    sam2_checkpoint: Path | None
    encoder: str
    encoder_checkpoint: Path | None
    encoder_image_size: int
    points_per_side: int
    classes: int
    """How many to look for; those of the demo's data set instead, if that is wanted."""
    demo_set: bool
    device: str


class Parts:
    """Both networks, and the classes to look for.

    Without a checkpoint a network has the deterministic weights of the golden tests.
    """

    def __init__(self, networks: Networks, compute: ComputeConfig) -> None:
        sam2 = build_sam2(networks.sam2, networks.sam2_checkpoint)
        size = networks.encoder_image_size
        encoder = build_dinov2(networks.encoder, size, networks.encoder_checkpoint)
        if networks.sam2_checkpoint is None:
            fill_deterministically(sam2)
        if networks.encoder_checkpoint is None:
            fill_deterministically(encoder)
        self.networks = networks
        self.sam2 = sam2.to(networks.device)
        self.encoder = PatchEncoder(encoder, size).to(networks.device)
        self.compute = compute
        self.encoder.set_compute(compute)
        self.prototypes = demo_prototypes(self.encoder, size) if networks.demo_set else None
        self.use_grid(networks.points_per_side)

    def use_grid(self, points_per_side: int) -> None:
        """Prompt with a grid of this size from now on."""
        self.settings = Sam2InferConfig(points_per_side=points_per_side)
        self.proposer = PointProposer(
            self.sam2, points_per_side, self.settings.iou_thr, self.settings.testing_point_bs
        ).to(self.networks.device)
        self.proposer.set_compute(self.compute)
        self.segmenter = Segmenter(self.settings, self.encoder, self.proposer)
        if self.prototypes is not None:
            self.segmenter.prototypes = self.prototypes

    def read(self, path: Path) -> Target:
        """An image as `test` reads it."""
        return to_target(read_image(path), self.proposer.image_size)

    def encode(self, target: Target) -> tuple[Tensor, ImageFeatures]:
        """Patch features (N, C) and SAM 2's features of one image."""
        images = target.image[None].to(self.networks.device)
        patches = self.encoder(images)[0]
        if self.prototypes is None:
            self.prototypes = spread(patches, self.networks.classes)
            self.segmenter.prototypes = self.prototypes
        return patches, self.proposer.encode(images, [target])


@dataclass(frozen=True)
class Variant:
    """A way to do stage 3."""

    decode: Callable[[Parts, ImageFeatures], Proposals]
    finish: Callable[[Parts, Proposals, Tensor, tuple[int, int], Stopwatch], Prediction]
    compute: ComputeConfig = field(default_factory=ComputeConfig)


def decode_as_test_does(parts: Parts, features: ImageFeatures) -> Proposals:
    """See models/proposals.py."""
    return parts.proposer.propose(features)


def finish_as_test_does(
    parts: Parts, proposals: Proposals, patches: Tensor, size: tuple[int, int], watch: Stopwatch
) -> Prediction:
    """See models/segmenter.py."""
    with watch("pooling"):
        candidates = parts.segmenter.match(proposals, patches)
    with watch("merging"):
        return parts.segmenter.merge(candidates, size)


def decode_literally(parts: Parts, features: ImageFeatures) -> Proposals:
    """Draw all four masks of every point."""
    return Proposals(*stage_three.propose(parts.sam2, features, parts.settings))


def finish_literally(
    parts: Parts, proposals: Proposals, patches: Tensor, size: tuple[int, int], watch: Stopwatch
) -> Prediction:
    """Upsample features, and let every mask meet every other."""
    with watch("pooling"):
        pooled = stage_three.mean_features(patches, proposals.logits > 0)
    with watch("merging"):
        prototypes = parts.segmenter.prototypes
        return stage_three.merge(
            proposals.logits, proposals.ious, pooled, prototypes, size, parts.settings
        )


def fast_mode() -> ComputeConfig:
    """What the overlay for fast mode sets."""
    overlay = yaml.safe_load(FAST_OVERLAY.read_text())
    return ComputeConfig(**overlay["model"]["init_args"]["model_cfg"]["compute_cfg"])


VARIANTS = {
    "literal": Variant(decode_literally, finish_literally),
    "exact": Variant(decode_as_test_does, finish_as_test_does),
    "fast": Variant(decode_as_test_does, finish_as_test_does, fast_mode()),
    "uncompiled": Variant(
        decode_as_test_does, finish_as_test_does, replace(fast_mode(), compile=False)
    ),
}


def spread(patches: Tensor, classes: int) -> Tensor:
    """As many classes (K, C) as wanted, each like one patch of an image (N, C)."""
    chosen = torch.linspace(0, len(patches) - 1, classes, device=patches.device).long()
    return F.normalize(patches[chosen], dim=1)


def fill_deterministically(network: nn.Module) -> None:
    """Give every parameter the value that its name stands for."""
    for name, value in network.state_dict().items():
        value.copy_(torch.from_numpy(deterministic.weight(name, tuple(value.shape))))


def segment(parts: Parts, variant: Variant, path: Path, watch: Stopwatch) -> list[CocoRecord]:
    """Read an image and find its instances, best first, each stage under the stopwatch."""
    with watch("input"):
        target = parts.read(path)
    with watch("encoders"):
        patches, features = parts.encode(target)
    with watch("decoding"):
        proposals = variant.decode(parts, features)
    prediction = variant.finish(parts, proposals, patches, target.original_size, watch)
    with watch("results"):
        return to_records(prediction, 0, range(len(parts.segmenter.prototypes)))
