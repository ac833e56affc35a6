"""Runs that were ended and go on: as if nothing had happened, or refused in a sentence."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from no_time_to_train.models.segmenter import Segmenter
from tests.cli.conftest import Outcome, fill, segment, settings
from tests.cli.test_partial_runs import metrics

TARGETS = Path("photos/annotations/custom_targets.json")


def end_at_call(patch: pytest.MonkeyPatch, name: str, call: int) -> None:
    """Let a method of the segmenter fail when it is called for the n-th time."""
    method, calls = getattr(Segmenter, name), []

    def failing(self: Segmenter, batch: list[object]) -> object:
        calls.append(batch)
        if len(calls) == call:
            raise RuntimeError("the power is gone")
        return method(self, batch)

    patch.setattr(Segmenter, name, failing)


def interrupted(run: Callable[[], Outcome], name: str, call: int) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="power"):
        end_at_call(patch, name, call)
        run()


def kept() -> list[Path]:
    return list(Path("work_dirs/test_pl").glob("unfinished/*/*.jsonl"))


def test_test__goes_on_after_an_end_in_the_middle(memories_dir: Path) -> None:
    begun = segment("--export_result", "whole.json", "--resume")
    assert begun.code == 0, begun.err
    assert begun.out.count("begins anew") == 1
    whole = metrics()
    interrupted(lambda: segment("--export_result", "parts.json"), "segment", 3)
    assert len(kept()) == 1
    told = segment("--export_result", "parts.json", "--trainer.limit_test_batches", "1")
    assert "2 of 3 images" in told.out
    assert "--resume" in told.out
    assert len(kept()) == 1  # more than the run that has ended well has done
    Path("parts.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        end_at_call(patch, "segment", 2)  # that would be too many
        outcome = segment("--export_result", "parts.json", "--resume")
    assert outcome.code == 0, outcome.err
    assert "2 of 3 images are there already" in outcome.out
    assert Path("parts.json").read_bytes() == Path("whole.json").read_bytes()
    assert [metrics()[key] for key in ("box", "mask", "per_class", "images")] == [
        whole[key] for key in ("box", "mask", "per_class", "images")
    ]
    assert (whole["resumed_images"], metrics()["resumed_images"]) == (0, 2)
    assert not Path("work_dirs/test_pl/unfinished").exists()


def test_test__goes_on_where_only_the_results_are_missing(
    memories_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert segment("--export_result", "whole.json").code == 0
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("no_time_to_train.pl_wrapper.stages.test.write_records", lambda *_: 1 / 0)
        segment("--export_result", "parts.json")
    end_at_call(monkeypatch, "segment", 1)
    outcome = segment("--export_result", "parts.json", "--resume")
    assert outcome.code == 0, outcome.err
    assert Path("parts.json").read_bytes() == Path("whole.json").read_bytes()
    assert metrics()["seconds_per_image"] is None
    assert not Path("work_dirs/test_pl/unfinished").exists()


def change_memory() -> None:
    content = torch.load("memory.pth", weights_only=True)
    content["state_dict"]["seg_model.mem_feats_ins_avg"] *= 1.5
    torch.save(content, "memory.pth")


def change_annotations() -> None:
    content = json.loads(TARGETS.read_text())
    content["annotations"].pop()
    TARGETS.unlink()
    TARGETS.write_text(json.dumps(content))


def change_weights() -> None:
    models = Path("demo_models").resolve()
    Path("demo_models").unlink()
    shutil.copytree(models, "demo_models")
    content = torch.load("demo_models/dinov2_demo.pth", weights_only=True)
    torch.save(dict(reversed(content.items())), "demo_models/dinov2_demo.pth")


NMS = "model_cfg.sam2_infer_cfgs.nms_thr"


def test_test__is_not_resumed_with_other_inputs(memories_dir: Path) -> None:
    interrupted(lambda: segment("--export_result", "out.json"), "segment", 3)
    before = {path: path.read_bytes() for path in kept()}
    more, named = settings({NMS: 0.4}), [f"{NMS} (was 0.5, is 0.4)"]
    changes = {
        None: lambda: None,
        "the memory (--ckpt_path)": change_memory,
        "the annotations (dataset_cfgs.test.json_file)": change_annotations,
        "the encoder's weights (model_cfg.encoder_ckpt_path)": change_weights,
    }
    for name, change in changes.items():
        change()
        named += [name] if name else []
        outcome = segment("--export_result", "out.json", "--resume", *more)
        assert outcome.code == 2
        (line,) = outcome.err.splitlines()
        assert all(each in line for each in named)
        assert str(kept()[0].parent) in line
        assert "2 of 3 images" in line
        assert "without --resume" in line
    assert not Path("out.json").exists()
    outcome = segment("--export_result", "other.json", "--resume", *more)  # is another run
    assert outcome.code == 0, outcome.err
    assert {path: path.read_bytes() for path in kept()} == before


def test_fill__goes_on_after_an_end_in_the_middle(photos_dir: Path) -> None:
    assert fill(out_path="whole.pth").code == 0
    interrupted(fill, "remember", 2)
    with pytest.MonkeyPatch.context() as patch:
        end_at_call(patch, "remember", 2)
        outcome = fill("--resume")
    assert outcome.code == 0, outcome.err
    assert "1 of 2 references are there already" in outcome.out
    assert Path("filled.pth").read_bytes() == Path("whole.pth").read_bytes()
    assert not Path("work_dirs/test_pl/unfinished").exists()


def test_log__has_a_line_in_time_and_no_bars(
    memories_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("no_time_to_train.pl_wrapper.heartbeat.FIRST_SECONDS", 0.01)
    outcome = segment("--export_result", "out.json")
    assert outcome.code == 0, outcome.err
    assert re.search(r"^[0-3] of 3 images, ", outcome.out, re.MULTILINE)
    assert "\r" not in outcome.out + outcome.err
    assert "\r" in segment("--trainer.enable_progress_bar", "true").out
