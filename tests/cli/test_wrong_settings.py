"""Mistakes in settings: exit code 2, one line that names the key and the repair, nothing built."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import (
    CONFIGS,
    DATA,
    MODEL,
    PICKS,
    ROOT,
    Outcome,
    base,
    fill,
    postprocess,
    run_test,
    segment,
    settings,
)


def assert_one_line(outcome: Outcome, *words: str) -> None:
    """An exit code of 2 and one line that holds all of these words."""
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, outcome.err
    assert outcome.err.splitlines()[-1] == errors[0]
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in errors[0], errors[0]


def changed(path: str, value: Any, rename: str | None = None) -> dict[str, Any]:
    """The template with one leaf set, or one key renamed."""
    config = yaml.safe_load((ROOT / CONFIGS[0]).read_text())
    *parents, last = path.split(".")
    node = config
    for key in parents:
        node = node[int(key)] if isinstance(node, list) else node[key]
    if rename:
        node[rename] = node.pop(last)
    else:
        node[last] = value
    return config


IN_MODEL = "model.init_args.model_cfg."
IN_DATA = "model.init_args.dataset_cfgs."


@pytest.mark.parametrize(
    ("path", "value", "rename", "words"),
    [
        (IN_MODEL + "sam2_infer_cfgs.iou_thr", None, "iou_thresh", ["iou_thresh", "iou_thr?"]),
        (IN_MODEL + "sam2_infer_cfgs", None, "sam2_infer_cfg", ["sam2_infer_cfg", "did you mean"]),
        ("model.init_args.model_cfg", None, "model_config", ["model_config", "model_cfg"]),
        (IN_DATA + "test.json_file", None, "json", ["test.json", "json_file?"]),
        ("trainer.devices", None, "device", ["trainer.device", "trainer.devices?"]),
        (IN_MODEL + "sam2_infer_cfgs.points_per_side", [32], None, ["points_per_side", "int"]),
        (
            IN_MODEL + "memory_bank_cfg.length",
            "ten",
            None,
            ["memory_bank_cfg.length", "int", "ten"],
        ),
        (IN_MODEL + "memory_bank_cfg.length", 0, None, ["memory_bank_cfg.length", "1 or more"]),
        (IN_MODEL + "memory_bank_cfg.enable", False, None, ["memory_bank_cfg.enable", "True"]),
        (IN_MODEL + "sam2_infer_cfgs.nms_thr", 1.5, None, ["nms_thr", "between 0 and 1", "1.5"]),
        (IN_MODEL + "sam2_infer_cfgs.cls_num_per_mask", 0, None, ["cls_num_per_mask", "-1"]),
        (IN_MODEL + "sam2_infer_cfgs.merging", "sofft", None, ["merging", "soft, hard", "sofft"]),
        (IN_MODEL + "sam2_infer_cfgs.diffusion", {"lambda": 1}, None, ["diffusion.lambda"]),
        (IN_MODEL + "sam2_infer_cfgs.diffusion", {"alpha": 2}, None, ["alpha", "between 0 and 1"]),
        (
            IN_MODEL + "sam2_cfg_file",
            "sam2_huge.yaml",
            None,
            ["sam2_cfg_file", "sam2_hiera_l.yaml"],
        ),
        (IN_MODEL + "encoder_cfg.name", "dinov3", None, ["encoder_cfg.name", "dinov2_large"]),
        (IN_MODEL + "encoder_cfg.img_size", 500, None, ["img_size", "multiple", "14", "500"]),
        (IN_MODEL + "name", "matching", None, ["model_cfg.name", "matching_baseline_noAMG"]),
        (IN_MODEL + "test.online_vis", "maybe", None, ["online_vis", "bool", "maybe"]),
        (IN_DATA + "fill_memory.norm_img", True, None, ["fill_memory.norm_img", "False"]),
        (IN_DATA + "test.with_query_points", True, None, ["with_query_points", "False"]),
        (IN_DATA + "test.cat_names", [False, True], None, ["cat_names", "quote it"]),
        (IN_DATA + "test.cat_names", {"a": 1}, None, ["cat_names", "boat,bird"]),
        (IN_DATA + "fill_memory.context_ratio", -1, None, ["context_ratio", "0 or more"]),
        ("model.init_args.data_load_cfgs.workers", -1, None, ["workers", "0 or more"]),
        ("model.init_args.test_mode", "testing", None, ["test_mode", "fill_memory", "testing"]),
        ("model.class_path", "no_time_to_train.Nothing", None, ["Nothing"]),
        ("trainer.logger.0.init_args.save_dir", None, "save_dirr", ["save_dirr"]),
    ],
)
def test_wrong_yaml__is_one_line_with_key_and_repair(
    photos_dir: Path, path: str, value: Any, rename: str | None, words: list[str]
) -> None:
    Path("wrong.yaml").write_text(yaml.safe_dump(changed(path, value, rename)))
    Path("a").touch()  # a memory that is not there would be seen before Lightning reads the YAML
    mode = () if path.endswith("test_mode") else ("--model.test_mode", "postprocess_memory")
    outcome = run_test("--config", "wrong.yaml", *mode, "--ckpt_path", "a", "--out_path", "b")
    assert_one_line(outcome, *words)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--outpath", "x"], ["outpath", "out_path?"]),
        ([MODEL + "memory_bank_cfg.lenght", "3"], ["memory_bank_cfg.lenght", "length?"]),
        ([DATA + "test.cat_names", "boat,,bird"], ["cat_names", "empty class name"]),
        (["--model.tst_mode", "test"], ["tst_mode", "test_mode?"]),
        (["stray"], ["stray"]),
        (["--config", "missing.yaml"], ["missing.yaml"]),
        (["--config", "broken.yaml"], ["broken.yaml", "line"]),
        (["--config", ""], ["--config", "empty"]),
        (["--config", "latin.yaml"], ["latin.yaml", "UTF-8"]),
        (["--config", "itself.yaml"], ["itself.yaml", "contains itself"]),
        (["--config", "key.yaml"], ["key.yaml", "trainer.device", "trainer.devices?"]),
        (["--config", "value.yaml"], ["value.yaml", "memory_bank_cfg.length", "ten"]),
        (["--config", "pipe.yaml"], ["pipe.yaml", "named pipe"]),
        ([MODEL + "sam2_infer_cfgs.points_per_sid", "8"], ["points_per_sid;", "points_per_side?"]),
        (["--ckpt_pat", "x"], ["ckpt_pat;", "ckpt_path?"]),
        (["--trainer.device", "1"], ["trainer.device;", "trainer.devices?"]),
        ([DATA + "test.cat_names", ""], ["cat_names", "empty class name"]),
        ([MODEL + "sam2_infer_cfgs.points_per_side", "1" + "0" * 20], ["points_per_side", "1024"]),
        ([MODEL + "sam2_infer_cfgs.points_per_side", "1" + "0" * 5000], ["points_per_side"]),
        (["--trainer.callbacks", "5"], ["trainer.callbacks", "list", "5"]),
        (["--trainer.precision", "16-mixed"], ["16-mixed", "model_cfg.compute_cfg.precision"]),
        (["--trainer.precision", "64"], ["64", "model_cfg.compute_cfg.precision"]),
        (["--trainer.devices", "-5"], ["trainer.devices is '-5'", "int > 0"]),
        (["--trainer.devices", "1" + "0" * 20], ["trainer.devices", "1024 or less"]),
        (["--trainer.num_nodes", "-1"], ["trainer.num_nodes is -1"]),
        (["--trainer.accelerator", "foo"], ["trainer.accelerator is 'foo'", "cpu"]),
        (["--trainer.strategy", "foo"], ["trainer.strategy is 'foo'", "ddp"]),
        (["--trainer.logger", "lightning.pytorch.loggers.WandbLogger"], ["wandb", "install"]),
        (["--trainer.accelerator", "gpu"], ["trainer", "gpu", "--trainer.accelerator cpu"]),
    ],
)
def test_wrong_flag__is_one_line(memories_dir: Path, flags: list[str], words: list[str]) -> None:
    Path("broken.yaml").write_text("model: [")
    Path("latin.yaml").write_bytes("# caf\xe9".encode("latin-1"))
    Path("itself.yaml").write_text("trainer: &a {callbacks: *a}")
    Path("key.yaml").write_text("trainer:\n  device: 1")
    length = "model: {init_args: {model_cfg: {memory_bank_cfg: {length: ten}}}}"
    Path("value.yaml").write_text(length)
    os.mkfifo("pipe.yaml")
    assert_one_line(segment(*flags), *words)


def test_empty_overlay__changes_nothing(photos_dir: Path) -> None:
    Path("empty.yaml").write_text("# nothing yet\n")
    without = run_test(*base(), "--print_config")
    outcome = run_test(*base(), "--config", "empty.yaml", "--print_config")
    assert (outcome.code, outcome.out) == (0, without.out)


def test_progress_bar__can_be_switched_off_beside_a_published_config(memories_dir: Path) -> None:
    outcome = postprocess("--trainer.enable_progress_bar", "false")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("precision", ["32", "32-true"])
def test_precision__of_the_published_configs_is_taken(memories_dir: Path, precision: str) -> None:
    assert postprocess("--trainer.precision", precision).code == 0


def test_help__ends_in_whole_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    from no_time_to_train.commands import main

    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.rstrip().endswith("segments the targets.")


def test_no_config__says_what_to_add(photos_dir: Path) -> None:
    assert_one_line(run_test(), "--config")


def test_no_subcommand__names_it(photos_dir: Path) -> None:
    from no_time_to_train.commands import main

    with pytest.raises(SystemExit) as stop:
        main(["fit"])
    assert stop.value.code == 2


@pytest.mark.parametrize("mode", ["fill_memory", "postprocess_memory"])
def test_out_path__is_asked_for_before_any_work(photos_dir: Path, mode: str) -> None:
    outcome = run_test(*base(), "--model.test_mode", mode, "--ckpt_path", "x")
    assert_one_line(outcome, "--out_path", mode)


@pytest.mark.parametrize("mode", ["postprocess_memory", "vis_memory", "test"])
def test_ckpt_path__is_asked_for_before_any_work(photos_dir: Path, mode: str) -> None:
    outcome = run_test(*base(), "--model.test_mode", mode, "--out_path", "x")
    assert_one_line(outcome, "--ckpt_path", mode)


def test_category_num__must_match_the_names(memories_dir: Path) -> None:
    wrong = settings({"model_cfg.memory_bank_cfg.category_num": 3})
    assert_one_line(fill(*wrong), "category_num", "3", "2 classes", "motorcycle, coin")
    assert not Path("x.pth").exists()
    assert_one_line(segment(*wrong), "category_num", "3", "set category_num to 2")


def test_memory_length__must_match_the_bank(photos_dir: Path) -> None:
    outcome = fill(*settings({"model_cfg.memory_bank_cfg.length": 5}))
    assert_one_line(outcome, "memory_length", "5", "number of shots")


def test_memory_length__must_not_be_below_the_reference_set(photos_dir: Path) -> None:
    coins = [{"img_id": 1, "ann_ids": [1]}, {"img_id": 1, "ann_ids": [2]}]
    Path("two.json").write_text(json.dumps({**PICKS, "11": coins}))
    outcome = fill(*settings({"dataset_cfgs.fill_memory.memory_pkl": "two.json"}))
    assert_one_line(outcome, "memory_length", "is 1 ", "two.json", "coin has 2")
    assert "motorcycle" not in outcome.err


def test_image_size__must_match_the_encoder(photos_dir: Path) -> None:
    assert_one_line(
        fill(*settings({"dataset_cfgs.fill_memory.image_size": 518})),
        "image_size",
        "img_size",
        "252",
    )


def test_patch_size__must_match_the_network(photos_dir: Path) -> None:
    wrong = settings({"model_cfg.encoder_cfg.patch_size": 12})
    assert_one_line(fill(*wrong), "patch_size", "14")


def test_sam2_image_size__must_fit_the_network(memories_dir: Path) -> None:
    assert_one_line(
        segment(*settings({"dataset_cfgs.test.image_size": 250})), "test.image_size", "32", "250"
    )


def test_bank_length__must_match_the_checkpoint(memories_dir: Path) -> None:
    outcome = segment(*settings({"model_cfg.memory_bank_cfg.length": 3}))
    assert_one_line(outcome, "memory.pth", "length", "set it to 1")
    assert_one_line(postprocess(*settings({"model_cfg.memory_bank_cfg.length": 3})), "length")


@pytest.mark.parametrize("flag", ["--export_result", "--out_path"])
def test_output__that_cannot_be_written_is_seen_before_any_work(
    memories_dir: Path, flag: str
) -> None:
    Path("file").write_text("")
    run = segment if flag == "--export_result" else postprocess
    assert_one_line(run(flag, "file/below/out"), flag, "file", "not a folder")
    assert_one_line(run(flag, "photos"), flag, "photos", "is a folder")


def test_pictures__that_cannot_be_written_are_seen_before_any_work(memories_dir: Path) -> None:
    Path("results_analysis").write_text("")
    assert_one_line(
        segment(*settings({"model_cfg.test.online_vis": True})), "picture", "not a folder"
    )


def test_results_file__that_cannot_be_written_is_seen_before_any_work(memories_dir: Path) -> None:
    Path("inst_to_segm").write_text("")
    assert_one_line(segment("--n_shot", "1"), "results file", "inst_to_segm", "not a folder")


def test_published_yaml__with_pytorch_lightning_class_paths_is_accepted(memories_dir: Path) -> None:
    text = (ROOT / CONFIGS[0]).read_text()
    old = text.replace("lightning.pytorch.", "pytorch_lightning.")
    assert old != text
    Path("old.yaml").write_text(old)
    outcome = run_test("--config", "old.yaml", "--print_config")
    assert outcome.code == 0
    assert "lightning.pytorch.callbacks.TQDMProgressBar" in outcome.out


@pytest.mark.parametrize("flag", ["--trainer", "--model", "--model.init_args.model_cfg"])
def test_named_pipe__for_settings_is_refused_and_not_waited_for(
    photos_dir: Path, flag: str
) -> None:
    os.mkfifo("pipe")
    for words in ((flag, "pipe"), (f"{flag}=pipe",)):
        outcome = run_test(*base(), *words)
        expected = f"error: {flag} pipe is a named pipe; give settings or the name of a file\n"
        assert (outcome.code, outcome.err) == (2, expected)
