"""The method: remember references, finalise them into classes, segment targets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from no_time_to_train.config import Sam2InferConfig
from no_time_to_train.encoders import Encoder
from no_time_to_train.memory.bank import Memory, not_finite
from no_time_to_train.models.mask_ops import any_pixel, mask_boxes, upsample_masks
from no_time_to_train.models.matching import classify, mask_features
from no_time_to_train.models.rescoring import Rescorer, build_rescorer
from no_time_to_train.models.suppression import suppress
from no_time_to_train.preprocessing import unit_range
from no_time_to_train.proposers import Proposer
from no_time_to_train.structures import Candidates, Prediction, Proposals, Reference, Target

PRE_MERGE_FACTOR = 8
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
        rescorer: Rescorer | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            settings: How masks are proposed, suppressed and merged.
            encoder: Tells classes apart.
            proposer: Proposes masks.
            rescorer: Lowers scores of overlapping masks; by default what `settings.merging` names.
            memory: Holds references or classes; by default an empty one.
        """
        super().__init__()
        self.settings = settings
        self.encoder = encoder
        self.proposer = proposer
        self.rescore = rescorer or build_rescorer(settings)
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
        predictions = []
        for index, target in enumerate(targets):
            proposals = self.proposer.propose(features[index])
            candidates = self.match(proposals, patches[index])
            predictions.append(self.merge(candidates, target.original_size))
        return predictions

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

    def merge(self, candidates: Candidates, size: tuple[int, int]) -> Prediction:
        """Suppress candidates, draw them, rescore those that overlap, and keep the best.

        Args:
            candidates: Of one image, in grid order.
            size: (height, width) of that image in pixels.

        Returns:
            At most num_out_instance instances, best first.
        """
        limit = self.settings.num_out_instance
        candidates = suppress(candidates, self.settings.nms_thr, PRE_MERGE_FACTOR * limit)
        candidates, masks, boxes = draw_masks(candidates, size)
        labels, features = candidates.labels, candidates.features[candidates.rows]
        scores = self.rescore(masks, boxes, labels, features, candidates.scores)
        scores, order = scores.sort(descending=True, stable=True)
        masks, labels = masks[order[:limit]], labels[order[:limit]]
        return Prediction(masks, mask_boxes(masks), scores[:limit], labels)

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


def draw_masks(candidates: Candidates, size: tuple[int, int]) -> tuple[Candidates, Tensor, Tensor]:
    """Draw candidates at the size of the image, without those that fall between its pixels.

    Args:
        candidates: M' of them.
        size: (height, width) of the image in pixels.

    Returns:
        M candidates, masks (M, H, W) bool, and boxes (M, 4) int64 xyxy, corners inclusive, beyond
        which the masks are empty.
    """
    proposals, rows = candidates.proposals, candidates.rows
    if proposals.draw is None:
        masks, boxes = upsample_masks(proposals.logits[rows], size)
    else:
        masks = proposals.draw(rows)
        boxes = mask_boxes(masks)
    visible = any_pixel(masks.flatten(1), 1)  # (M',)
    return candidates[visible], masks[visible], boxes[visible]


def _check_features(patches: Tensor, targets: Sequence[Target]) -> None:
    """Refuse features (B, N, C) that no class can be compared with."""
    for target, finite in zip(targets, patches.sum(dim=(1, 2)).isfinite(), strict=True):
        if not finite:
            raise not_finite(f"image {target.image_id!r}")
