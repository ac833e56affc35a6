"""The four stages, one after the other, on the photographs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
import yaml
from PIL import Image
from pycocotools import mask as rle_codec

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.config import EncoderConfig, ModelConfig, Sam2InferConfig
from no_time_to_train.visualization.text import load_font, text_size
from tests.cli.conftest import (
    PICKS,
    base,
    fill,
    postprocess,
    references,
    run_command,
    run_test,
    segment,
    settings,
    targets,
    vis,
)


def test_stages__leave_memories_without_networks_or_dense_maps(photos_dir: Path) -> None:
    assert fill().code == 0
    filled = torch.load("filled.pth", weights_only=True)["state_dict"]
    assert filled["seg_model.mem_fill_counts"].tolist() == [1, 1]
    assert all(name.startswith("seg_model.mem_") for name in filled)
    assert postprocess().code == 0
    finalised = torch.load("memory.pth", weights_only=True)["state_dict"]
    assert finalised["seg_model.mem_postprocessed"]
    assert not {"seg_model.mem_feats", "seg_model.mem_patches"} & finalised.keys()
    means = "seg_model.mem_feats_ins_avg"
    assert torch.equal(filled[means], finalised[means])


def test_fill__finds_paths_beside_the_settings_file(photos_dir: Path) -> None:
    Path("study").mkdir()
    Path("references.json").rename("study/set.json")
    leaf = "model: {init_args: {dataset_cfgs: {fill_memory: {memory_pkl: %s}}}}"
    flag = references().index("--model.init_args.dataset_cfgs.fill_memory.memory_pkl")
    words = [*base(), *references()[:flag], *references()[flag + 2 :]]
    mode = ("--model.test_mode", "fill_memory", "--out_path", "filled.pth")
    outcomes = []
    for name in ("set.json", "none.json"):
        Path("study/own.yaml").write_text(leaf % name)
        outcomes.append(run_test(*words, "--config", "study/own.yaml", *mode))
    found, missing = outcomes
    assert found.code == 0, found.err
    told = "study/own.yaml: set.json is not in the current folder, so study/set.json is used\n"
    assert found.out.count(told) == 1
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith("error: none.json: there is no such reference set; ")
    assert missing.err.endswith(
        " (study/none.json, beside the settings file, is not there either)\n"
    )


def test_vis_memory__draws_one_picture_per_reference(memories_dir: Path) -> None:
    outcome = vis()
    assert outcome.code == 0, outcome.err
    folder = memories_dir / "results_analysis" / "memory_vis"
    assert sorted(path.name for path in (folder / "photos").iterdir()) == ["0_3.png", "1_1.png"]
    assert [path.name for path in folder.iterdir()] == ["photos"]
    _, title = text_size("coin: reference", load_font(10))
    assert Image.open(folder / "photos" / "1_1.png").size == (3 * 252 + 2 * 5, title + 252)


def test_vis_memory__draws_repeated_references_once(memories_dir: Path) -> None:
    motorcycle, coin = PICKS["4"], PICKS["11"]
    Path("references.json").write_text(json.dumps({"4": motorcycle, "11": coin * 2}))
    more = settings(
        {"model_cfg.memory_bank_cfg.length": 2, "dataset_cfgs.fill_memory.memory_length": 2}
    )
    assert fill(*more).code == postprocess(*more).code == vis(*more).code == 0
    folder = Path("results_analysis/memory_vis/photos")
    assert sorted(path.name for path in folder.iterdir()) == ["0_3.png", "1_1.png"]
    font, title = load_font(10), np.asarray(Image.open(folder / "1_1.png"))[:12, :252]
    columns = np.nonzero((title < 128).all(axis=2).any(axis=0))[0]
    assert abs(columns[-1] - columns[0] - font.getlength("coin: reference x2")) <= 3


def test_segment__prints_tables_and_writes_results_metrics_and_pictures(memories_dir: Path) -> None:
    outcome = segment(
        *("--export_result", "found/results.json"),
        *("--model.init_args.model_cfg.test.online_vis", "True"),
        *("--model.init_args.model_cfg.test.vis_thr", "0.2"),
        *("--seed", "7", "--n_shot", "1", "--coco_semantic_split", "2"),
        *("--trainer.logger.save_dir", "logs"),
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.index("BBOX RESULTS:") < outcome.out.index("SEGM RESULTS:")
    assert outcome.out.count("Average Precision") == 12
    records = json.loads(Path("found/results.json").read_text())
    assert records
    assert [record["image_id"] for record in records] == sorted(r["image_id"] for r in records)
    named = Path("inst_to_segm/coco_inst_semantic_split_2_1shot_7seed_results.json")
    assert json.loads(named.read_text()) == records
    (metrics,) = Path("logs").rglob("metrics.json")
    content = json.loads(metrics.read_text())
    assert content["images"] == 3
    assert content["seed"] == 7
    assert set(content["box"]) == set(content["mask"])
    assert content["config"]["model"]["init_args"]["model_cfg"]["test"]["vis_thr"] == 0.2
    pictures = sorted(path.name for path in Path("results_analysis/photos").iterdir())
    assert pictures == ["chelsea.jpg", "coins_bottom.png", "motorcycle_right.jpg"]
    _, title = text_size("ground truth: none", load_font(10))
    size = 2 * 451 + 10, title + 300
    assert Image.open("results_analysis/photos/chelsea.jpg").size == size


def test_log__has_all_settings_and_metrics_those_that_the_stage_uses(memories_dir: Path) -> None:
    assert fill("--trainer.logger.save_dir", "fill_logs").code == 0
    assert segment("--trainer.logger.save_dir", "test_logs").code == 0
    (metrics,) = Path("test_logs").rglob("metrics.json")
    used = json.loads(metrics.read_text())["config"]["model"]["init_args"]
    assert used["dataset_cfgs"].keys() == {"test"}
    assert {"sam2_cfg_file", "encoder_cfg", "test", "proposer_cfg"} <= used["model_cfg"].keys()
    (path,) = Path("fill_logs").rglob("config.yaml")  # what another stage may be run from
    whole = yaml.safe_load(path.read_text())["model"]["init_args"]
    assert whole["dataset_cfgs"].keys() == {"fill_memory", "test"}
    assert whole["model_cfg"]["encoder_cfg"]["name"] == "dinov2_demo"
    repeated = run_test("--config", str(path), "--out_path", "again.pth")
    assert repeated.code == 0, repeated.err
    assert Path("again.pth").read_bytes() == Path("filled.pth").read_bytes()


def test_segment__without_ground_truth_draws_the_predictions_alone(memories_dir: Path) -> None:
    path = Path("photos/annotations/custom_targets.json")
    content = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({**content, "annotations": []}))
    assert segment("--model.init_args.model_cfg.test.online_vis", "True").code == 0
    assert Image.open("results_analysis/photos/chelsea.jpg").width == 451


def test_segment__batches_and_workers_change_nothing(memories_dir: Path) -> None:
    results = []
    for batch_size, workers in ((1, 0), (2, 1)):
        path = f"{batch_size}.json"
        loading = "--model.init_args.data_load_cfgs."
        outcome = segment(
            *(f"{loading}batch_size", str(batch_size), f"{loading}workers", str(workers)),
            *("--export_result", path),
        )
        assert outcome.code == 0, outcome.err
        results.append(json.loads(Path(path).read_text()))
    one, two = results
    assert [r["segmentation"] for r in one] == [r["segmentation"] for r in two]
    np.testing.assert_allclose([r["score"] for r in one], [r["score"] for r in two], atol=1e-5)


def test_segment__an_image_without_any_mask_gives_an_empty_result(memories_dir: Path) -> None:
    outcome = segment(
        *("--model.init_args.model_cfg.sam2_infer_cfgs.iou_thr", "1"),
        *("--export_result", "none.json", "--model.init_args.model_cfg.test.online_vis", "True"),
    )
    assert outcome.code == 0, outcome.err
    assert json.loads(Path("none.json").read_text()) == []
    assert "BBOX RESULTS:" in outcome.out
    assert Path("results_analysis/photos/coins_bottom.png").is_file()


def test_api__finds_the_same_as_the_command_line(memories_dir: Path) -> None:
    assert segment("--export_result", "cli.json").code == 0
    segmenter = FewShotSegmenter.from_settings(
        ModelConfig(
            sam2_cfg_file="sam2_hiera_demo.yaml",
            sam2_ckpt_path="demo_models/sam2_hiera_demo.pt",
            encoder_cfg=EncoderConfig(name="dinov2_demo", img_size=252),
            encoder_ckpt_path="demo_models/dinov2_demo.pth",
            sam2_infer_cfgs=Sam2InferConfig(points_per_side=6),
        ),
        device="cpu",
    )
    segmenter.load("memory.pth")
    assert segmenter.class_names == ["motorcycle", "coin"]
    prediction = segmenter.segment("photos/images/coins_bottom.png")
    expected = [r for r in json.loads(Path("cli.json").read_text()) if r["image_id"] == 2]
    assert prediction.to_coco(image_id=2, category_ids=[4, 11]) == expected
    assert prediction.draw(threshold=0).size == (384, 215)


def test_leftover_in_the_log_folder_of_a_killed_run__is_removed(memories_dir: Path) -> None:
    log = memories_dir / "work_dirs" / "test_pl" / "matching_cdfsod_template" / "version_0"
    log.mkdir(parents=True)
    (log / ".config.yaml.1.0a1b2c3d.unfinished").write_text("model:")
    (log / "config.yaml").write_text("of the run before")
    assert postprocess().code == 0
    assert [path.name for path in log.iterdir()] == ["config.yaml"]
    assert (log.parent / "version_1" / "config.yaml").exists()


def test_segment__writes_a_table_where_the_name_ends_in_csv(memories_dir: Path) -> None:
    assert segment("--export_result", "found.csv", "--n_shot", "1").code == 0
    records = json.loads(Path("inst_to_segm/coco_inst_1shot_results.json").read_text())
    table = pandas.read_csv("found.csv")
    images = json.loads(Path("photos/annotations/custom_targets.json").read_text())
    files = {image["id"]: image["file_name"] for image in images["images"]}
    classes = {each["id"]: each["name"] for each in images["categories"]}
    assert table.picture.tolist() == [files[each["image_id"]] for each in records]
    assert table["class"].tolist() == [classes[each["category_id"]] for each in records]
    np.testing.assert_allclose(table.score, [each["score"] for each in records], rtol=1e-5)
    masks = [rle_codec.decode(each["segmentation"]).astype(bool) for each in records]
    assert table.area.tolist() == [mask.sum() for mask in masks]
    rows, columns = zip(*(np.nonzero(mask) for mask in masks), strict=True)
    assert table.x.tolist() == [each.min() for each in columns]
    assert (table.y + table.height - 1).tolist() == [each.max() for each in rows]
    assert table["mask"].isna().all()


@pytest.mark.parametrize("name", ["found.xlsx", "found.Parquet", "found.tsv"])
def test_segment__refuses_tables_that_it_does_not_write(memories_dir: Path, name: str) -> None:
    before, export = sorted(memories_dir.iterdir()), ("--export_result", name)
    for outcome in (
        segment(*export),
        run_command("check", *base(), *targets(), "--ckpt_path", "memory.pth", *export),
    ):
        assert outcome.code == 2
        assert f"--export_result {name}: no {Path(name).suffix} is written" in (
            outcome.err + outcome.out
        )
    assert sorted(memories_dir.iterdir()) == before
