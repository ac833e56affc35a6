"""The method: remember references, finalise them into classes, segment targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from no_time_to_train.config import Sam2InferConfig
from no_time_to_train.encoders import Encoder
from no_time_to_train.memory.bank import Memory, not_finite
from no_time_to_train.models.matching import classify, mask_features
from no_time_to_train.models.merging import merge, suppress
from no_time_to_train.preprocessing import unit_range
from no_time_to_train.proposers import Proposer
from no_time_to_train.structures import Candidates, Prediction, Proposals, Reference, Target

CANDIDATES_PER_INSTANCE = 8
"""Candidates that enter merging, per instance that may leave it."""


class Segmenter(nn.Module):
    """Training-free segmentation from references: `remember`, `finalise`, `segment`.

    Tensors in, tensors out: no files, no data sets. A stage needs only its own parts: remembering
    the encoder, finalising none, segmenting both networks.
    """

    def __init__(
        self,
        settings: Sam2InferConfig,
        encoder: Encoder | None = None,
        proposer: Proposer | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            settings: How masks are proposed, suppressed and merged.
            encoder: Tells classes apart.
            proposer: Proposes masks.
            memory: Holds references or classes; by default an empty one.
        """
        super().__init__()
        self.settings = settings
        self.encoder = encoder
        self.proposer = proposer
        self.prototypes: Tensor
        self.register_buffer("prototypes", torch.empty(0, 0), persistent=False)
        self.set_memory(memory or Memory())

    def set_memory(self, memory: Memory) -> None:
        """Remember into this memory, and segment with its classes, from now on."""
        self.memory = memory
        if memory.is_finalised:
            self.prototypes = memory.statistics.prototypes.to(self.prototypes.device)  # (K, C)

    @torch.inference_mode()
    def remember(self, references: Sequence[Reference]) -> None:
        """Stage 1: encode references and put what is needed of them into the memory.

        Args:
            references: A batch, all of one size.

        Raises:
            InputError: Features are not finite, or a mask is empty.
        """
        features = self.encode_patches([reference.image for reference in references])  # (B, N, C)
        for reference, patches in zip(references, features, strict=True):
            self.memory.remember(reference, patches)

    def finalise(self) -> None:
        """Stage 2: make classes of the references in the memory."""
        self.memory.finalise(self.settings.kmeans_k, self.settings.n_pca_components)
        self.set_memory(self.memory)

    @torch.inference_mode()
    def segment(self, targets: Sequence[Target]) -> list[Prediction]:
        """Stage 3: find every instance of the remembered classes.

        Args:
            targets: A batch, all of one size; the networks encode it at once.

        Raises:
            InputError: The classes are not finalised, or features of an image are not finite.
        """
        if self.proposer is None:
            raise RuntimeError("this stage was built without a proposer")
        self.memory.check_finalised()
        pixels = self._stack([target.pixels for target in targets])  # (B, 3, H, W) uint8
        images = unit_range(pixels)
        patches = self._encoder()(images)  # (B, N, C)
        _check_features(patches, targets)
        features = self.proposer.encode(images, targets)
        return [
            self._segment_one(features[index], patches[index], target.original_size)
            for index, target in enumerate(targets)
        ]

    def _segment_one(self, features: Any, patches: Tensor, size: tuple[int, int]) -> Prediction:
        assert self.proposer is not None
        settings = self.settings
        proposals = self.proposer.propose(features)
        candidates = self.match(proposals, patches)
        limit = settings.num_out_instance
        candidates = suppress(candidates, settings.nms_thr, CANDIDATES_PER_INSTANCE * limit)
        return merge(candidates, size, limit)

    def match(self, proposals: Proposals, patches: Tensor) -> Candidates:
        """Find the classes that each proposal looks like.

        Args:
            proposals: Of one image, each non-empty.
            patches: (N, C) patch features of that image.

        Returns:
            M * cls_num_per_mask candidates, proposal by proposal.
        """
        features = mask_features(patches, proposals.logits > 0)  # (M, C)
        scores, labels = classify(features, self.prototypes, self.settings.cls_num_per_mask)
        rows = torch.arange(len(features), device=features.device)
        rows = rows.repeat_interleave(labels.shape[1])  # (M * k,)
        return Candidates(proposals, features, rows, scores.flatten(), labels.flatten())

    @torch.inference_mode()
    def encode_patches(self, images: Sequence[Tensor]) -> Tensor:
        """Patch features of a batch of images.

        Args:
            images: Each (3, H, W) float32 in [0, 1], RGB, all of one size.

        Returns:
            (B, N, C).
        """
        patches: Tensor = self._encoder()(self._stack(images))
        return patches

    def _encoder(self) -> Encoder:
        if self.encoder is None:
            raise RuntimeError("this stage was built without an encoder")
        return self.encoder

    def _stack(self, images: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(images)).to(self.prototypes.device, non_blocking=True)


def _check_features(patches: Tensor, targets: Sequence[Target]) -> None:
    """Refuse features (B, N, C) that no class can be compared with."""
    for target, finite in zip(targets, patches.sum(dim=(1, 2)).isfinite(), strict=True):
        if not finite:
            raise not_finite(f"image {target.image_id!r}")
