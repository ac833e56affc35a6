"""One image through stage 3, step by step: as in the paper, and as in this code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from benchmarking import literal
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

    Without a checkpoint a network has random weights, the same in every process.
    """

    def __init__(self, networks: Networks, compute: ComputeConfig) -> None:
        sam2 = build_sam2(networks.sam2, networks.sam2_checkpoint, decoder=compute.decoder)
        size = networks.encoder_image_size
        encoder = build_dinov2(networks.encoder, size, networks.encoder_checkpoint)
        if networks.sam2_checkpoint is None:
            fill_at_random(sam2)
        if networks.encoder_checkpoint is None:
            fill_at_random(encoder)
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
            self.sam2,
            points_per_side,
            self.settings.iou_thr,
            self.settings.testing_point_bs,
            threaded=not self.compute.compile,
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
    compute: ComputeConfig


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
    """Draw every mask of every point with the plain decoder."""
    return Proposals(*literal.propose(parts.sam2, features, parts.settings))


def finish_literally(
    parts: Parts, proposals: Proposals, patches: Tensor, size: tuple[int, int], watch: Stopwatch
) -> Prediction:
    """Upsample features, and let every mask meet every other."""
    with watch("pooling"):
        pooled = literal.mean_features(patches, proposals.logits > 0)
    with watch("merging"):
        prototypes = parts.segmenter.prototypes
        return literal.merge(
            proposals.logits, proposals.quality, pooled, prototypes, size, parts.settings
        )


def fast_mode() -> ComputeConfig:
    """What the overlay for fast mode sets."""
    overlay = yaml.safe_load(FAST_OVERLAY.read_text())
    return ComputeConfig(**overlay["model"]["init_args"]["model_cfg"]["compute_cfg"])


def as_test_does(compute: ComputeConfig) -> Variant:
    """What `test` does with these settings."""
    return Variant(decode_as_test_does, finish_as_test_does, compute)


DECODERS = {
    f"{name}{suffix}": as_test_does(replace(compute, precision=precision))
    for suffix, precision in (("", "float32"), ("-bf16", "bfloat16"))
    for name, compute in (
        ("plain", ComputeConfig(decoder="plain")),
        ("plain-compiled", ComputeConfig(decoder="plain", compile=True)),
        ("fast", ComputeConfig(decoder="fast")),
    )
}
"""The decoders of SAM 2, in two number formats."""

VARIANTS = {
    "literal": Variant(decode_literally, finish_literally, ComputeConfig(decoder="plain")),
    "exact": as_test_does(ComputeConfig()),
    "fast.yaml": as_test_does(fast_mode()),
    "uncompiled": as_test_does(replace(fast_mode(), compile=False)),
    **DECODERS,
}


def spread(patches: Tensor, classes: int) -> Tensor:
    """As many classes (K, C) as wanted, each like one patch of an image (N, C)."""
    chosen = torch.linspace(0, len(patches) - 1, classes, device=patches.device).long()
    return F.normalize(patches[chosen], dim=1)


def fill_at_random(network: nn.Module) -> None:
    """Give every parameter a value, the same in every process, that keeps activations near one."""
    generator = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if value.dim() > 1:
            value.copy_(noise * value[0].numel() ** -0.5)
        else:
            value.copy_(0.02 * noise if name.endswith("bias") else 1 + 0.1 * noise)


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
