"""Bad data: one sentence, exit code 2, no partial output."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import fill, postprocess, segment, settings, vis
from tests.cli.test_wrong_settings import assert_one_line

TARGETS = "photos/annotations/custom_targets.json"
REFERENCES = "photos/annotations/custom_references_with_segm.json"


def everything(folder: Path) -> set[Path]:
    """Every file below, but Lightning's own log of the settings."""
    return {p for p in folder.rglob("*") if p.is_file() and "work_dirs" not in p.parts}


def rewrite(path: str, change: Any) -> str:
    """A changed copy of a json."""
    content = json.loads(Path(path).read_text())
    change(content)
    Path("changed.json").write_text(json.dumps(content))
    return "changed.json"


def replace_file(path: str, content: bytes) -> None:
    Path(path).unlink()
    Path(path).write_bytes(content)


@pytest.mark.parametrize("stage", [fill, vis, segment])
def test_missing_image__is_named_with_the_setting(ready: Path, stage: Any) -> None:
    name = "chelsea.jpg" if stage is segment else "coins_top.png"
    Path("photos/images", name).unlink()
    before = everything(ready)
    assert_one_line(stage(), name, "root")
    assert everything(ready) == before


@pytest.mark.parametrize("stage", [fill, vis, segment])
@pytest.mark.parametrize("workers", [0, 1])
def test_truncated_image__is_named_and_leaves_nothing(
    ready: Path, stage: Any, workers: int
) -> None:
    # The last image of its json: everything before it has been worked on by then.
    name = "chelsea.jpg" if stage is segment else "coins_top.png"
    path = f"photos/images/{name}"
    replace_file(path, Path(path).read_bytes()[:9000])
    before = everything(ready)
    outcome = stage(
        *("--model.init_args.data_load_cfgs.workers", str(workers)),
        *(("--export_result", "out.json") if stage is segment else ()),
        *settings(m_test__online_vis=True),
        *(("--out_path", "new.pth") if stage is fill else ()),
    )
    assert_one_line(outcome, name)
    assert everything(ready) == before


def test_imgs_path__without_the_images_is_seen_before_any_work(ready: Path) -> None:
    Path("elsewhere").mkdir()
    before = everything(ready)
    wrong = settings(m_test__online_vis=True, m_test__imgs_path="elsewhere")
    assert_one_line(segment(*wrong, "--export_result", "out.json"), "imgs_path", "elsewhere")
    assert everything(ready) == before


def test_image_that_is_none__is_named(ready: Path) -> None:
    replace_file("photos/images/chelsea.jpg", b"not a picture")
    assert_one_line(segment(), "chelsea.jpg")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png"])
def test_file_name__that_leaves_the_root_is_refused(ready: Path, name: str) -> None:
    def leave(content: dict[str, Any]) -> None:
        content["images"][0]["file_name"] = name

    for stage, path, key in ((segment, TARGETS, "t_json_file"), (fill, REFERENCES, "f_json_file")):
        outcome = stage(*settings(**{key: rewrite(path, leave)}))
        assert_one_line(outcome, name)


def test_annotation_without_segmentation__names_the_tool(bench: Path) -> None:
    boxes = "photos/annotations/custom_references.json"
    assert_one_line(
        fill(*settings(f_json_file=boxes)), "no segmentation", "sam_bbox_to_segm_batch.py"
    )


def thin(content: dict[str, Any]) -> None:
    """Make the coin a hair: 60 pixels wide, 1 high, in a square crop of 72."""
    for annotation in content["annotations"]:
        if annotation["id"] == 1:
            x, y, w, _ = annotation["bbox"]
            row = y + 34  # 3.5 pixels of the crop, between two sampled rows
            annotation["segmentation"] = [[x, row, x + w, row, x + w, row + 0.9, x, row + 0.9]]


def test_reference_that_vanishes__falls_back_with_a_warning(bench: Path) -> None:
    outcome = fill(*settings(f_json_file=rewrite(REFERENCES, thin)))
    assert outcome.code == 0, outcome.err
    warnings = [line for line in outcome.out.splitlines() if "vanishes" in line]
    assert len(warnings) == 1
    assert "annotation 1 of image coins_top.png" in warnings[0]
    means = torch.load("filled.pth", weights_only=True)["state_dict"]["seg_model.mem_feats_ins_avg"]
    assert means.isfinite().all()


def test_class_without_references__is_named(bench: Path) -> None:
    Path("references.json").write_text(json.dumps({"4": [{"img_id": 3, "ann_ids": [3]}]}))
    assert_one_line(fill(), "references.json", "coin")
    assert not Path("filled.pth").exists()


def test_memory_that_is_only_filled__names_the_stage_that_is_missing(ready: Path) -> None:
    outcome = segment(ckpt_path="filled.pth")
    assert_one_line(outcome, "filled.pth", "not post-processed", "postprocess_memory")
    assert_one_line(vis(ckpt_path="filled.pth"), "not post-processed")


def test_memory_that_is_post_processed__is_not_post_processed_twice(ready: Path) -> None:
    outcome = postprocess("--ckpt_path", "memory.pth", "--out_path", "twice.pth")
    assert_one_line(outcome, "memory.pth", "post-processed already")
    assert not Path("twice.pth").exists()


def edit_memory(change: Any) -> str:
    content = torch.load("memory.pth", weights_only=True)
    change(content)
    torch.save(content, "edited.pth")
    return "edited.pth"


def test_memory_of_another_encoder__is_refused_by_name(ready: Path) -> None:
    path = edit_memory(lambda memory: memory["no_time_to_train"].update(encoder="dinov2_base"))
    assert_one_line(segment(ckpt_path=path), "dinov2_base", "dinov2_demo")


def test_memory_of_another_input_size__is_refused_by_name(ready: Path) -> None:
    path = edit_memory(lambda memory: memory["no_time_to_train"].update(img_size=280))
    words = (path, "dinov2_demo at 280 x 280 pixels", "dinov2_demo at 252 x 252 pixels")
    assert_one_line(segment(ckpt_path=path), *words)


def test_memory_of_another_encoder__without_a_name_is_refused_by_width(ready: Path) -> None:
    def widen(memory: dict[str, Any]) -> None:
        del memory["no_time_to_train"]
        state = memory["state_dict"]
        for name, tensor in state.items():
            if tensor.ndim and tensor.shape[-1] == 192:
                state[name] = torch.cat([tensor, tensor], dim=-1)

    assert_one_line(segment(ckpt_path=edit_memory(widen)), "384", "192", "dinov2_demo")


def test_memory_of_other_classes__is_refused(ready: Path) -> None:
    path = edit_memory(
        lambda memory: memory["no_time_to_train"].update(class_names=["coin", "motorcycle"])
    )
    assert_one_line(segment(ckpt_path=path), "coin, motorcycle", "motorcycle, coin")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["does not exist", "fill_memory"]),
        (b"", ["cannot be read"]),
        (b"PK\x03\x04 cut off", ["cannot be read"]),
        ({"model": {"weight": torch.ones(1)}}, ["no reference memory"]),
        ({"state_dict": {"other": torch.ones(1)}}, ["no reference memory"]),
    ],
)
def test_memory_file__that_is_none_is_refused(ready: Path, content: Any, words: list[str]) -> None:
    if isinstance(content, bytes):
        Path("bad.pth").write_bytes(content)
    elif content is not None:
        torch.save(content, "bad.pth")
    assert_one_line(segment(ckpt_path="bad.pth"), "bad.pth", *words)


def test_memory_file__truncated_is_refused(ready: Path) -> None:
    whole = Path("memory.pth").read_bytes()
    Path("bad.pth").write_bytes(whole[: len(whole) // 2])
    assert_one_line(segment(ckpt_path="bad.pth"), "bad.pth", "cannot be read")


class Payload:
    """Runs a command when it is unpickled by a reader that allows it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


def test_malicious_files__are_refused_and_not_executed(ready: Path) -> None:
    Path("references.pkl").write_bytes(pickle.dumps({4: [Payload()]}))
    assert_one_line(fill(*settings(f_memory_pkl="references.pkl")), "references.pkl")
    torch.save({"state_dict": Payload()}, "bad.pth")
    assert_one_line(segment(ckpt_path="bad.pth"), "bad.pth")
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("key", "word"), [("m_sam2_ckpt_path", "sam2_ckpt_path"), ("m_encoder_ckpt_path", "dinov2")]
)
def test_network_checkpoint__missing_or_of_another_model(ready: Path, key: str, word: str) -> None:
    other = {"m_sam2_ckpt_path": "dinov2_demo.pth", "m_encoder_ckpt_path": "sam2_hiera_demo.pt"}
    assert_one_line(segment(*settings(**{key: "nowhere.pt"})), "nowhere.pt", "does not exist")
    wrong = f"demo_models/{other[key]}"
    assert_one_line(segment(*settings(**{key: wrong})), wrong)
    Path("cut.pt").write_bytes(Path(wrong).read_bytes()[:5000])
    assert_one_line(segment(*settings(**{key: "cut.pt"})), "cut.pt")


def test_network_checkpoint__missing_is_seen_before_the_other_is_read(ready: Path) -> None:
    Path("cut.pt").write_bytes(b"")
    both = settings(m_encoder_ckpt_path="cut.pt", m_sam2_ckpt_path="nowhere.pt")
    assert_one_line(segment(*both, *settings(t_json_file="none.json")), "nowhere.pt")


def test_network_checkpoint__missing_official_one_comes_with_the_command(ready: Path) -> None:
    large = settings(m_sam2_cfg_file="sam2_hiera_l.yaml", m_sam2_ckpt_path="nowhere.pt")
    assert_one_line(segment(*large), "wget", "sam2_hiera_large.pt")


def test_empty_target_list__is_refused(ready: Path) -> None:
    path = rewrite(TARGETS, lambda content: content.update(images=[], annotations=[]))
    assert_one_line(segment(*settings(t_json_file=path)), "changed.json", "images")


def test_targets_without_ground_truth__give_results_all_the_same(ready: Path) -> None:
    path = rewrite(TARGETS, lambda content: content.update(annotations=[]))
    outcome = segment(*settings(t_json_file=path), "--export_result", "out.json")
    assert outcome.code == 0, outcome.err
    assert json.loads(Path("out.json").read_text())
    assert "No ground truth: changed.json" in outcome.out
    assert "-1.000" not in outcome.out
    (metrics,) = Path("work_dirs").rglob("metrics.json")
    written = json.loads(metrics.read_text())
    assert written["box"] is None and written["mask"] is None
    assert {row["box_ap"] for row in written["per_class"]} == {None}
