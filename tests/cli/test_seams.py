"""Encoders and proposers besides the published ones, through commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from dinov2 import PRESETS, VisionTransformer
from no_time_to_train.encoders import ENCODERS
from no_time_to_train.memory.checkpoint import read_memory
from no_time_to_train.proposers import PROPOSERS
from no_time_to_train.structures import Proposals, Target
from tests.cli.conftest import ROOT, fill, postprocess, segment, settings, vis
from tests.cli.test_wrong_settings import assert_one_line
from tests.golden import deterministic

ONE_CLASS = settings(
    {
        "model_cfg.memory_bank_cfg.category_num": 1,
        "dataset_cfgs.fill_memory.cat_names": "coin",
        "dataset_cfgs.test.cat_names": "coin",
    }
)
DINOV3 = "timm/vit_small_patch16_dinov3"


def encoder(name: str, path: str, side: int, patch_size: int) -> list[str]:
    """Flags for an encoder; those of the references' crops fit it."""
    sizes = settings(
        {"model_cfg.encoder_cfg.img_size": side, "model_cfg.encoder_cfg.patch_size": patch_size}
    )
    files = settings(
        {
            "model_cfg.encoder_cfg.name": name,
            "model_cfg.encoder_ckpt_path": path,
            "dataset_cfgs.fill_memory.image_size": side,
        }
    )
    return [*ONE_CLASS, *sizes, *files]


def test_fill__dinov2_of_timm_gives_the_means_of_ours(photos_dir: Path) -> None:
    """The official names of the weights are ours; timm renames them itself."""
    with torch.device("meta"):
        shapes = VisionTransformer(PRESETS["dinov2_small"]).state_dict()
    weights = {
        name: torch.from_numpy(deterministic.weight(name, tuple(value.shape)))
        for name, value in shapes.items()
    }
    torch.save(weights | {"mask_token": torch.zeros(1, 384)}, "official.pth")
    means = []
    for name in ("dinov2_small", "timm/vit_small_patch14_dinov2.lvd142m"):
        outcome = fill(*encoder(name, "official.pth", 518, 14))
        assert outcome.code == 0, outcome.err
        means.append(read_memory(Path("filled.pth")).tensors["mem_feats_ins_avg"])
    assert means[0].shape == (1, 1, 384)
    assert (means[1] - means[0]).norm() <= 1e-4 * means[0].norm()


def test_dinov3__runs_every_stage_and_its_memory_is_no_other_encoders(photos_dir: Path) -> None:
    torch.manual_seed(0)
    torch.save(timm.create_model(DINOV3.removeprefix("timm/")).state_dict(), "dinov3.pth")
    flags = encoder(DINOV3, "dinov3.pth", 592, 16)
    one = ("--trainer.limit_test_batches", "1")
    for stage in (fill(*flags), postprocess(*flags), vis(*flags), segment(*flags, *one)):
        assert stage.code == 0, stage.err
    memory = read_memory(Path("memory.pth"))
    assert memory.tensors["mem_feats_ins_avg"].shape == (1, 1, 384)
    assert memory.encoder == (DINOV3, 37 * 16)
    refused = segment(*ONE_CLASS)
    assert refused.code == 2
    assert f"was filled with {DINOV3}" in refused.err and "dinov2_demo" in refused.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            {"model_cfg.encoder_cfg.name": "timm/vit_smal_patch16_dinov3"},
            ["vit_small_patch16_dinov3"],
        ),
        (
            {"model_cfg.encoder_cfg.name": f"{DINOV3}.imagenet"},
            ["vit_small_patch16_dinov3.lvd1689m"],
        ),
        ({"model_cfg.encoder_cfg.name": "timm/resnet18"}, ["resnet18", "no vision transformer"]),
        (
            {"model_cfg.encoder_cfg.name": "nobody/vit"},
            ["encoder_cfg.name", "'nobody'", "dinov2, timm"],
        ),
        (
            {"model_cfg.encoder_cfg.name": "timm/vit_tiny_patch16_224"},
            ["patch_size is 14", "to 16"],
        ),
        (
            {
                "model_cfg.encoder_cfg.name": "timm/vit_tiny_patch16_224",
                "model_cfg.encoder_cfg.patch_size": 16,
            },
            ["dinov2_demo.pth does not hold the weights of vit_tiny_patch16_224"],
        ),
        (
            {"model_cfg.encoder_cfg.name": DINOV3, "model_cfg.encoder_ckpt_path": "no.safetensors"},
            ["encoder_ckpt_path", "no.safetensors", "does not exist", "download"],
        ),
        (
            {"model_cfg.encoder_ckpt_path": "download"},
            ["encoder_ckpt_path", "dinov2_demo", "from a file"],
        ),
        (
            {"model_cfg.proposer_cfg.name": "nobody"},
            ["proposer_cfg.name", "'nobody'", "point_grid, file"],
        ),
        ({"model_cfg.proposer_cfg.name": "file"}, ["proposer_cfg.file is not given"]),
        ({"model_cfg.proposer_cfg.file": "a.json"}, ["proposer_cfg.file is given", "point_grid"]),
    ],
)
def test_network__that_does_not_exist_is_one_line_with_repair(
    photos_dir: Path, flags: dict[str, object], words: list[str]
) -> None:
    sizes = (
        {"model_cfg.encoder_cfg.img_size": 224, "dataset_cfgs.fill_memory.image_size": 224}
        if "timm" in str(flags)
        else {}
    )
    outcome = fill(*settings(sizes | flags))
    assert_one_line(outcome, *words)


def test_timm__that_is_not_installed_is_one_line(
    photos_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    outcome = fill(*encoder(DINOV3, "demo_models/dinov2_demo.pth", 592, 16))
    assert outcome.code == 2
    assert 'pip install "no-time-to-train[timm]"' in outcome.err


def test_timm__takes_the_size_from_its_own_settings(photos_dir: Path) -> None:
    name = "vit_tiny_patch16_224"
    torch.save(timm.create_model(name).state_dict(), "tiny.pth")
    Path("own.yaml").write_text(
        "model: {init_args: {model_cfg: {encoder_ckpt_path: tiny.pth, encoder_cfg: "
        f"{{name: timm/{name}, img_size: null, patch_size: null}}}}}}}}"
    )
    own = ("--config", "own.yaml")
    assert "image_size is 252, but model_cfg.encoder_cfg.img_size is 224" in fill(*own).err
    assert fill(*own, *settings({"dataset_cfgs.fill_memory.image_size": 224})).code == 0


def test_timm__weights_that_cannot_be_fetched_are_one_line(
    photos_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(photos_dir))
    outcome = fill(*encoder("timm/vit_tiny_patch16_224", "download", 224, 16))
    assert_one_line(
        outcome, "encoder_ckpt_path: the weights of vit_tiny_patch16_224 cannot be downloaded"
    )


class Colours(nn.Module):
    """A patch's feature is its mean colour."""

    grid, width, patch_size, dtype = 18, 3, 14, torch.float32

    def forward(self, images: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(images, self.grid)  # (B, 3, grid, grid)
        return pooled.flatten(2).transpose(1, 2)


class Halves(nn.Module):
    """Proposes the left half and the right half of each image."""

    image_size, best_score = 256, 1.0

    def encode(self, images: Tensor, targets: Sequence[Target]) -> Sequence[Target]:
        return targets

    def propose(self, features: Target) -> Proposals:
        left = torch.full((64, 64), -1.0)
        left[:, :32] = 1.0
        return Proposals(torch.stack([left, -left]), torch.tensor([1.0, 0.9]))


def test_made_up_networks__need_no_more_than_a_row_in_their_tables(
    photos_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENCODERS, "mine", lambda config: Colours())
    monkeypatch.setitem(PROPOSERS, "halves", lambda config, size, images: Halves())
    flags = settings(
        {"model_cfg.encoder_cfg.name": "mine/colours", "model_cfg.proposer_cfg.name": "halves"}
    )
    for stage in (fill(*flags), postprocess(*flags), segment(*flags, "--export_result", "o.json")):
        assert stage.code == 0, stage.err
    assert read_memory(Path("memory.pth")).encoder == ("mine/colours", 252)
    records = json.loads(Path("o.json").read_text())
    assert {record["category_id"] for record in records} == {4, 11}
    assert {record["bbox"][0] == 0 for record in records} == {True, False}


def test_file__boxes_from_annotations_find_more_than_the_grid(photos_dir: Path) -> None:
    """The first scenes of the demo, with SAM 2's masks in perfect boxes."""
    (photos_dir / "scenes").symlink_to(ROOT / "scenes")
    annotated = {
        name: json.loads(Path(f"scenes/annotations/{name}.json").read_text())
        for name in ("references", "targets")
    }
    names = ",".join(category["name"] for category in annotated["references"]["categories"])
    picks = {
        str(each["category_id"]): [{"img_id": each["image_id"], "ann_ids": [each["id"]]}]
        for each in annotated["references"]["annotations"]
    }
    boxes = [
        {"image_id": each["image_id"], "bbox": each["bbox"], "score": 1.0}
        for each in annotated["targets"]["annotations"]
    ]
    Path("references.json").write_text(json.dumps(picks))
    Path("boxes.json").write_text(json.dumps(boxes))
    common = settings(
        {
            "model_cfg.memory_bank_cfg.category_num": len(picks),
            "dataset_cfgs.fill_memory.root": "scenes/images",
            "dataset_cfgs.fill_memory.json_file": "scenes/annotations/references.json",
            "dataset_cfgs.fill_memory.cat_names": names,
            "dataset_cfgs.test.root": "scenes/images",
            "dataset_cfgs.test.json_file": "scenes/annotations/targets.json",
            "dataset_cfgs.test.cat_names": names,
        },
    )
    assert fill(*common).code == postprocess(*common).code == 0
    file = settings(
        {"model_cfg.proposer_cfg.name": "file", "model_cfg.proposer_cfg.file": "boxes.json"}
    )
    accuracy = []
    for flags in (settings({"model_cfg.sam2_infer_cfgs.points_per_side": 8}), file):
        outcome = segment(*common, *flags, "--trainer.limit_test_batches", "6")
        assert outcome.code == 0, outcome.err
        latest = max(photos_dir.rglob("metrics.json"), key=lambda path: path.stat().st_mtime)
        accuracy.append(json.loads(latest.read_text())["mask"]["AP"])
    grid, drawn = accuracy
    assert drawn > grid + 0.1 > 0.5


def test_file__is_an_input_that_no_output_may_replace(memories_dir: Path) -> None:
    Path("boxes.json").write_text("[]")
    file = settings(
        {"model_cfg.proposer_cfg.name": "file", "model_cfg.proposer_cfg.file": "boxes.json"}
    )
    refused = segment(*file, "--export_result", "boxes.json")
    assert refused.code == 2
    assert "--export_result" in refused.err and "proposer_cfg.file" in refused.err
    assert "boxes.json: the list of proposals is empty" in segment(*file).err
