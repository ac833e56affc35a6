"""A working directory with photographs, and the demo networks, for commands as users type them."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Before scikit-learn, as in a command: of two unions of the same types, typing gives both the order
# of the first, and with `float | int` a limit of 1 batch is read as 1.0, all of them.
import lightning  # noqa: F401
import pytest

from no_time_to_train.commands import main

ROOT = Path(__file__).resolve().parents[2]
MODEL = "--model.init_args.model_cfg."
DATA = "--model.init_args.dataset_cfgs."
CONFIGS = ("configs/matching_cdfsod_template.yaml", "configs/demo.yaml")
PICKS = {"4": [{"img_id": 3, "ann_ids": [3]}], "11": [{"img_id": 1, "ann_ids": [1]}]}


@dataclass(frozen=True)
class Outcome:
    """What a command left."""

    code: int
    out: str
    err: str


def run_test(*arguments: str) -> Outcome:
    """Run `test ARGUMENTS` in this process."""
    return run_command("test", *arguments)


def run_command(*arguments: str) -> Outcome:
    """Run a command in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def settings(values: Mapping[str, object]) -> list[str]:
    """Flags of settings by their names, such as model_cfg.test.vis_thr."""
    return [word for name in values for word in (f"--model.init_args.{name}", str(values[name]))]


def base() -> list[str]:
    """Demo networks, few prompts, two classes with one reference each."""
    configs = [part for name in CONFIGS for part in ("--config", str(ROOT / name))]
    return configs + settings(
        {
            "model_cfg.sam2_infer_cfgs.points_per_side": 6,
            "model_cfg.memory_bank_cfg.category_num": 2,
            "model_cfg.memory_bank_cfg.length": 1,
            "model_cfg.dataset_name": "photos",
        },
    )


def references() -> list[str]:
    """The reference photographs."""
    annotations = "photos/annotations/custom_references_with_segm.json"
    return settings(
        {
            "dataset_cfgs.fill_memory.root": "photos/images",
            "dataset_cfgs.fill_memory.json_file": annotations,
            "dataset_cfgs.fill_memory.memory_pkl": "references.json",
            "dataset_cfgs.fill_memory.memory_length": 1,
            "dataset_cfgs.fill_memory.cat_names": "motorcycle,coin",
        },
    )


def targets() -> list[str]:
    """The target photographs."""
    return settings(
        {
            "dataset_cfgs.test.root": "photos/images",
            "dataset_cfgs.test.json_file": "photos/annotations/custom_targets.json",
            "dataset_cfgs.test.cat_names": "motorcycle,coin",
        },
    )


def fill(*more: str, out_path: str = "filled.pth") -> Outcome:
    """Stage 1."""
    mode = ("--model.test_mode", "fill_memory", "--out_path", out_path)
    return run_test(*base(), *references(), *mode, *more)


def postprocess(*more: str) -> Outcome:
    """Stage 2."""
    mode = ("--model.test_mode", "postprocess_memory")
    paths = ("--ckpt_path", "filled.pth", "--out_path", "memory.pth")
    return run_test(*base(), *mode, *paths, *more)


def vis(*more: str, ckpt_path: str = "memory.pth") -> Outcome:
    """Stage 2.1."""
    mode = ("--model.test_mode", "vis_memory", "--ckpt_path", ckpt_path)
    return run_test(*base(), *references(), *mode, *more)


def segment(*more: str, ckpt_path: str = "memory.pth") -> Outcome:
    """Stage 3."""
    mode = ("--model.test_mode", "test", "--ckpt_path", ckpt_path)
    return run_test(*base(), *targets(), *mode, *more)


@pytest.fixture(scope="session")
def memories(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Puts the memories of the photographs, filled and post-processed, into a folder."""
    made = tmp_path_factory.mktemp("memories")
    write_photos_dir(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        assert fill().code == 0
        assert postprocess().code == 0

    def put(folder: Path) -> None:
        for name in ("filled.pth", "memory.pth"):
            shutil.copy(made / name, folder)

    return put


@pytest.fixture
def photos_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory: photographs, a reference set, checkpoints, no memory yet."""
    write_photos_dir(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def memories_dir(photos_dir: Path, memories: Callable[[Path], None]) -> Path:
    """The same, with a filled and a post-processed memory."""
    memories(photos_dir)
    return photos_dir


def write_photos_dir(folder: Path) -> None:
    """Lay out a working directory."""
    (folder / "photos" / "annotations").mkdir(parents=True)
    (folder / "photos" / "images").mkdir()
    for part in ("annotations", "images"):
        for path in (ROOT / "photos" / part).iterdir():
            (folder / "photos" / part / path.name).symlink_to(path)
    (folder / "demo_models").symlink_to(ROOT / "demo_models")
    (folder / "references.json").write_text(json.dumps(PICKS))
