"""The whole chain on photographs, with deterministic weights, against the published system."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from no_time_to_train.coco.results import to_records
from no_time_to_train.config import (
    ClassNames,
    EncoderConfig,
    FillMemoryDataConfig,
    ModelConfig,
    TestDataConfig,
)
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.dataset.targets import TargetDataset
from no_time_to_train.encoders import build_encoder
from no_time_to_train.memory.references import reference_weights
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.proposers import build_proposer
from no_time_to_train.structures import Prediction, Proposals
from tests.golden.deterministic import state_dict

HERE = Path(__file__).parent
PHOTOS = HERE.parents[1] / "photos"
NAMES = ClassNames(["motorcycle", "coin"])
GOLDEN = dict(np.load(HERE / "photos_sam2_tiny_vitl14.npz"))
DETECTIONS = json.loads((HERE / "photos_sam2_tiny_vitl14.json").read_text())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelConfig]:
    folder = tmp_path_factory.mktemp("checkpoints")
    paths = {name: folder / f"{name}.pth" for name in ("sam2_hiera_tiny", "dinov2_vitl14")}
    for name, path in paths.items():
        manifest = json.loads((HERE / "manifests" / f"{name}.json").read_text())
        state = {key: torch.from_numpy(value) for key, value in state_dict(manifest).items()}
        torch.save({"model": state} if name.startswith("sam2") else state, path)
    yield ModelConfig(
        sam2_cfg_file="sam2_hiera_t.yaml",
        sam2_ckpt_path=str(paths["sam2_hiera_tiny"]),
        encoder_cfg=EncoderConfig(),
        encoder_ckpt_path=str(paths["dinov2_vitl14"]),
    )
    for path in paths.values():  # 1.4 GB that pytest would keep for three sessions
        path.unlink()


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> ReferenceDataset:
    picks = {"4": [{"img_id": 3, "ann_ids": [3]}], "11": [{"img_id": 1, "ann_ids": [1]}]}
    path = tmp_path_factory.mktemp("references") / "references.json"
    path.write_text(json.dumps(picks))
    return ReferenceDataset(
        FillMemoryDataConfig(
            root=str(PHOTOS / "images"),
            json_file=str(PHOTOS / "annotations/custom_references_with_segm.json"),
            memory_pkl=str(path),
            memory_length=1,
            cat_names=NAMES,
        )
    )


@pytest.fixture(scope="module")
def targets() -> TargetDataset:
    return TargetDataset(
        TestDataConfig(
            root=str(PHOTOS / "images"),
            json_file=str(PHOTOS / "annotations/custom_targets.json"),
            cat_names=NAMES,
        )
    )


class Listening(Segmenter):
    """Keeps the proposals that the published run recorded."""

    heard: Proposals

    def __init__(self, model: ModelConfig) -> None:
        super().__init__(
            model.sam2_infer_cfgs, build_encoder(model), build_proposer(model, image_size=1024)
        )

    def match(self, proposals: Proposals, patches: torch.Tensor):
        self.heard = proposals
        return super().match(proposals, patches)


@dataclass(frozen=True)
class Segmented:
    """What was found in one photograph."""

    image_id: int
    proposals: Proposals
    prediction: Prediction


@pytest.fixture(scope="module")
def segmenter(model: ModelConfig, references: ReferenceDataset) -> Listening:
    segmenter = Listening(model)
    segmenter.remember([references[index] for index in range(len(references))])
    segmenter.finalise()
    return segmenter


@pytest.fixture(
    scope="module",
    params=[
        "coins_bottom.png",
        *(
            pytest.param(name, marks=pytest.mark.exhaustive)  # 40 s each
            for name in ("motorcycle_right.jpg", "chelsea.jpg")
        ),
    ],
)
def segmented(
    request: pytest.FixtureRequest, segmenter: Listening, targets: TargetDataset
) -> Segmented:
    (index,) = [number for number, path in enumerate(targets.paths) if path.name == request.param]
    (prediction,) = segmenter.segment([targets[index]])
    return Segmented(int(targets[index].image_id), segmenter.heard, prediction)


def test_remember__class_means_and_patch_masks_equal_the_published_ones(
    segmenter: Listening, references: ReferenceDataset
) -> None:
    expected = torch.from_numpy(GOLDEN["mem_feats_ins_avg"])  # (2, 1, C)
    found = segmenter.memory.statistics.instance_means
    assert (found - expected).norm() / expected.norm() < 1e-4
    assert segmenter.memory.statistics.counts.tolist() == GOLDEN["mem_fill_counts"].tolist()
    areas = [reference_weights(references[index], grid=37).sum().item() for index in range(2)]
    np.testing.assert_allclose(areas, GOLDEN["patch_mask_areas"][:, 0], rtol=1e-5)


def test_propose__ious_and_areas_equal_the_published_ones(segmented: Segmented) -> None:
    proposals, expected = segmented.proposals, GOLDEN[f"ious_{segmented.image_id}"]
    assert len(proposals.quality) == len(expected)
    np.testing.assert_allclose(proposals.quality.numpy(), expected, rtol=0, atol=1e-4)
    areas = (proposals.logits > 0).sum(dim=(1, 2)).numpy()
    np.testing.assert_allclose(areas, GOLDEN[f"areas_{segmented.image_id}"], rtol=5e-3)


def test_segment__detections_equal_the_published_ones(
    segmented: Segmented, targets: TargetDataset
) -> None:
    category_ids = [category.id for category in targets.categories]
    found = to_records(segmented.prediction, segmented.image_id, category_ids)
    published = [r for r in DETECTIONS if r["image_id"] == segmented.image_id]
    assert [r["category_id"] for r in found] == [r["category_id"] for r in published]
    for ours, theirs in zip(found, published, strict=True):
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-4)
        np.testing.assert_allclose(ours["bbox"], theirs["bbox"], atol=1)
