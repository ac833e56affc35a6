"""The YAML files under configs/: complete, well described, and accepted by the command line."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from no_time_to_train.commands import main

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))

COCO = (
    ("coco/train2017", "coco/annotations/instances_train2017.json"),
    ("coco/val2017", "coco/annotations/instances_val2017.json"),
)
VOC = (
    ("pascal_voc/VOCdevkit/allimages", "pascal_voc/annotations/voc0712_trainval_with_segm.json"),
    ("pascal_voc/VOCdevkit/allimages", "pascal_voc/annotations/voc07_test_with_segm.json"),
)
LVIS = (
    ("coco/allimages", "lvis/lvis_v1_train.json"),
    ("coco/allimages", "lvis/lvis_v1_val.json"),
)
PUBLISHED = {  # file: category_num, length, (root, json_file) of the references and of the targets
    "coco_fewshot_10shot_Sam2L": (20, 10, COCO),
    "coco_allclasses_10shot_Sam2L": (80, 10, COCO),
    "matching_cdfsod_template": (80, 10, COCO),
    "matching_pascal_voc_few_shot_template": (5, 10, VOC),
    "matching_lvis_allClass": (1203, 10, LVIS),
}
PUBLISHED_VALUES = {  # the same in all of them
    "trainer.devices": 4,
    "trainer.benchmark": True,
    "trainer.precision": 32,
    "model.class_path": "no_time_to_train.pl_wrapper.sam2matcher_pl.Sam2MatcherLightningModel",
    "model_cfg.name": "matching_baseline_noAMG",
    "model_cfg.sam2_cfg_file": "sam2_hiera_l.yaml",
    "model_cfg.sam2_ckpt_path": "./checkpoints/sam2_hiera_large.pt",
    "model_cfg.sam2_infer_cfgs.points_per_side": 32,
    "model_cfg.sam2_infer_cfgs.testing_point_bs": 256,
    "model_cfg.sam2_infer_cfgs.iou_thr": 0.4,
    "model_cfg.sam2_infer_cfgs.nms_thr": 0.5,
    "model_cfg.sam2_infer_cfgs.num_out_instance": 100,
    "model_cfg.sam2_infer_cfgs.kmeans_k": 4,
    "model_cfg.sam2_infer_cfgs.n_pca_components": 3,
    "model_cfg.sam2_infer_cfgs.cls_num_per_mask": 1,
    "model_cfg.encoder_cfg.name": "dinov2_large",
    "model_cfg.encoder_cfg.img_size": 518,
    "model_cfg.encoder_cfg.patch_size": 14,
    "model_cfg.encoder_ckpt_path": "./checkpoints/dinov2/dinov2_vitl14_pretrain.pth",
    "model_cfg.memory_bank_cfg.enable": True,
    "dataset_cfgs.fill_memory.image_size": 518,
    "dataset_cfgs.fill_memory.context_ratio": 0.2,
    "dataset_cfgs.fill_memory.norm_img": False,
    "dataset_cfgs.test.image_size": 1024,
    "dataset_cfgs.test.norm_img": False,
    "dataset_cfgs.test.with_query_points": False,
    "data_load_cfgs.workers": 4,
}
MAIN = ROOT / "configs" / "coco_fewshot_10shot_Sam2L.yaml"
OVERLAYS = [path for path in CONFIGS if path.stem not in PUBLISHED]


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every leaf by its dotted name, without the `model.init_args.` that most begin with."""
    found = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}".removeprefix("model.init_args.")] = value
    return found


def printed(*arguments: str) -> str:
    """What a command prints before it stops."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.raises(SystemExit) as stop:
        main(["test", *arguments])
    assert stop.value.code in (None, 0)
    return text.getvalue()


def parse(*paths: Path) -> dict[str, Any]:
    """What the command line makes of these configs, as leaves."""
    configs = [argument for path in paths for argument in ("--config", str(path))]
    return leaves(yaml.safe_load(printed(*configs, "--print_config")))


def read_leaves(stem: str) -> dict[str, Any]:
    return leaves(yaml.safe_load((ROOT / "configs" / f"{stem}.yaml").read_text()))


@pytest.fixture(scope="module")
def main_config() -> dict[str, Any]:
    """The leaves of a published config alone."""
    return parse(MAIN)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config__begins_with_what_it_is_for_and_a_usage_line(path: Path) -> None:
    purpose, usage = path.read_text().splitlines()[:2]
    assert purpose.startswith("# ")
    assert usage.startswith("# Usage: python run_lightening.py test --config ")
    assert f"/{path.name} " in usage


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("folder", ["new_exps", "pl_configs"])
def test_config__is_found_under_the_published_folders(path: Path, folder: str) -> None:
    assert (ROOT / "no_time_to_train" / folder / path.name).samefile(path)


@pytest.mark.parametrize("stem", PUBLISHED)
def test_published_config__holds_the_published_values(stem: str) -> None:
    assert PUBLISHED_VALUES.items() <= read_leaves(stem).items()


@pytest.mark.parametrize("stem", PUBLISHED)
def test_published_config__holds_its_own_sizes_and_paths(stem: str) -> None:
    category_num, length, (references, targets) = PUBLISHED[stem]
    given = read_leaves(stem)
    assert given["model_cfg.memory_bank_cfg.category_num"] == category_num
    assert given["model_cfg.memory_bank_cfg.length"] == length
    assert given["dataset_cfgs.fill_memory.memory_length"] == length
    for section, (root, json_file) in (("fill_memory", references), ("test", targets)):
        assert given[f"dataset_cfgs.{section}.root"] == f"./data/{root}"
        assert given[f"dataset_cfgs.{section}.json_file"] == f"./data/{json_file}"


@pytest.mark.parametrize("stem", PUBLISHED)
def test_published_config__logs_and_reports_as_published(stem: str) -> None:
    given = read_leaves(stem)
    [bar], [logger] = given["trainer.callbacks"], given["trainer.logger"]
    assert bar["class_path"].endswith(".TQDMProgressBar")
    assert bar["init_args"] == {"refresh_rate": 10}
    assert logger["class_path"].endswith(".CSVLogger")
    assert logger["init_args"]["flush_logs_every_n_steps"] == 50
    assert logger["init_args"]["save_dir"] == "./work_dirs/test_pl"


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_overlay__is_a_few_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 25


@pytest.mark.parametrize("stem", PUBLISHED)
def test_published_config__is_accepted_as_it_stands(stem: str) -> None:
    parsed = parse(ROOT / "configs" / f"{stem}.yaml")
    given = read_leaves(stem)
    lists = {"trainer.callbacks", "trainer.logger"}  # printed with all their defaults
    assert {name: parsed[name] for name in given.keys() - lists} == {
        name: value for name, value in given.items() if name not in lists
    }


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_overlay__changes_its_own_leaves_and_no_other(
    path: Path, main_config: dict[str, Any]
) -> None:
    assert parse(MAIN, path) == main_config | read_leaves(path.stem)


def test_overlays__several_add_up(main_config: dict[str, Any]) -> None:
    stems = ["sam2_hiera_t", "dinov2_s_reg4", "cpu", "pictures"]
    expected = dict(main_config)
    for stem in stems:
        expected |= read_leaves(stem)
    paths = [ROOT / "configs" / f"{stem}.yaml" for stem in stems]
    assert parse(MAIN, *paths) == expected


def test_settings__each_is_listed_with_its_default_and_its_meaning(tmp_path: Path) -> None:
    bare = tmp_path / "bare.yaml"
    class_path = "no_time_to_train.pl_wrapper.sam2matcher_pl.Sam2MatcherLightningModel"
    bare.write_text(yaml.safe_dump({"model": {"class_path": class_path}}))
    text = printed("--config", str(bare), "--print_config=comments")
    commented = " ".join(line.strip().removeprefix("#").strip() for line in text.splitlines())
    lines = (ROOT / "docs" / "settings.md").read_text().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    own = ("model_cfg.", "dataset_cfgs.", "data_load_cfgs.", "test_mode")
    defaults = {name: value for name, value in parse(bare).items() if name.startswith(own)}
    assert {name.strip("`"): default for name, default, _ in rows} == {
        name: "-" if value is None else str(value) for name, value in defaults.items()
    }
    for name, _, meaning in rows:
        assert meaning.strip(".") in commented, name
