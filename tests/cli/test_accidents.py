"""Real runs of all stages, ended anywhere by signals and taken up again, on one process or several.

What they leave in the end is what a run leaves that nothing has ended, to the byte.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.demo_models.demo_set import NAMES
from tests.cli.conftest import CONFIGS, ROOT, settings
from tests.cli.test_signals import processes_in

SHOTS = 4
KILL = signal.SIGKILL
OUTPUTS = {"fill": "filled.pth", "postprocess": "memory.pth", "test": "results.json"}


@dataclass(frozen=True)
class Ending:
    """Where a run is ended: once some images are kept, or else after some seconds of a stage."""

    stage: str
    kept: int | None = None
    seconds: float = 100.0


@dataclass(frozen=True)
class Runs:
    """A folder with scenes, and a Python to run the stages with."""

    folder: Path
    python: str

    def start(self, stage: str, *more: str) -> subprocess.Popen[str]:
        script = (self.python, str(ROOT / "run_lightening.py"))
        return subprocess.Popen(
            [*script, "test", *arguments(stage), *more],
            cwd=self.folder,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(
        self, ended: str | None = None, devices: int = 1, failed: bool = False
    ) -> dict[str, float]:
        """Run the stages that have not succeeded; the seconds that each takes.

        All may go on; that which was ended does so on some devices. Where it has failed, its output
        may be there all the same: what comes after that was missing.
        """
        seconds = {}
        for stage, output in OUTPUTS.items():
            if not (self.folder / output).exists() or (failed and stage == ended):
                begun = time.monotonic()
                more = world(devices if stage == ended else 1)
                process = self.start(stage, *(("--resume", *more) if ended else ()))
                _, err = process.communicate(timeout=200)
                assert process.returncode == 0, err[-3000:]
                seconds[stage] = time.monotonic() - begun
        return seconds

    def end(self, number: signal.Signals, ending: Ending, *more: str) -> tuple[int, str]:
        """Run the stages up to a point of one, and send it a signal; its code and its words."""
        for stage, output in OUTPUTS.items():
            if (self.folder / output).exists():
                continue
            begun, process = time.monotonic(), self.start(stage, *more)
            while stage == ending.stage and process.poll() is None:
                kept = self.kept() if ending.kept is not None else -1
                if kept >= (ending.kept or 0) or time.monotonic() - begun > ending.seconds:
                    process.send_signal(number)
                    break
                time.sleep(0.005)
            err = process.communicate(timeout=100)[1]
            if stage == ending.stage:
                break
            assert process.returncode == 0, err[-3000:]
        while processes_in(self.folder):
            time.sleep(0.05)
        return process.returncode, err

    def outputs(self) -> dict[str, bytes]:
        return {name: (self.folder / name).read_bytes() for name in OUTPUTS.values()}

    def kept(self) -> int:
        """Images that are done, in the files of an unfinished test; -1 where there is none."""
        folders = list(self.folder.glob("work_dirs/test_pl/unfinished/test-*"))
        files = [path for folder in folders for path in folder.glob("*.jsonl")]
        return sum(path.read_bytes().count(b"\n") for path in files) if folders else -1

    def assert_clean(self) -> None:
        """There are the outputs, and what Lightning logs; no process and no other file."""
        names = {path.name for path in self.folder.iterdir()}
        assert names == {*OUTPUTS.values(), "scenes", "demo_models", "work_dirs", "made"}
        logs = [path for path in (self.folder / "work_dirs").rglob("*") if path.is_file()]
        assert {path.name for path in logs} == {"config.yaml", "metrics.json"}
        assert not list((self.folder / "work_dirs").rglob("unfinished"))
        assert processes_in(self.folder) == []


def arguments(stage: str) -> list[str]:
    """Of a stage, with the demo networks and few prompts."""
    configs = [part for name in CONFIGS for part in ("--config", str(ROOT / name))]
    classes, bank = ",".join(NAMES), "model_cfg.memory_bank_cfg"
    base = {
        "model_cfg.sam2_infer_cfgs.points_per_side": 6,
        f"{bank}.category_num": len(NAMES),
        f"{bank}.length": SHOTS,
    }
    references = {
        "dataset_cfgs.fill_memory.root": "scenes/images",
        "dataset_cfgs.fill_memory.json_file": "made/all.json",
        "dataset_cfgs.fill_memory.memory_pkl": "made/references.json",
        "dataset_cfgs.fill_memory.memory_length": SHOTS,
        "dataset_cfgs.fill_memory.cat_names": classes,
    }
    targets = {
        "dataset_cfgs.test.root": "scenes/images",
        "dataset_cfgs.test.json_file": "made/targets.json",
        "dataset_cfgs.test.cat_names": classes,
    }
    own = {
        "fill": [*settings(references), "--model.test_mode", "fill_memory"],
        "postprocess": ["--model.test_mode", "postprocess_memory", "--ckpt_path", "filled.pth"],
        "test": [*settings(targets), "--ckpt_path", "memory.pth", "--export_result"],
    }
    output = ["--out_path"] if stage != "test" else []
    return [*configs, *settings(base), *own[stage], *output, OUTPUTS[stage]]


def world(size: int) -> tuple[str, ...]:
    several = ("--trainer.strategy", "ddp") if size > 1 else ()
    return "--trainer.devices", str(size), *several


def lay_out(folder: Path, images: int) -> None:
    """Scenes of which some are targets, with references from all of them."""
    scenes = json.loads((ROOT / "scenes" / "annotations" / "targets.json").read_text())
    picks: dict[str, list[dict[str, object]]] = {}
    for entry in scenes["annotations"]:
        pick = {"img_id": entry["image_id"], "ann_ids": [entry["id"]]}
        picks.setdefault(str(entry["category_id"]), []).append(pick)
    few = {name: group[:SHOTS] for name, group in picks.items()}
    (folder / "made").mkdir()
    (folder / "made" / "references.json").write_text(json.dumps(few))
    (folder / "made" / "all.json").write_text(json.dumps(scenes))
    scenes["images"] = scenes["images"][:images]
    ids = {image["id"] for image in scenes["images"]}
    scenes["annotations"] = [a for a in scenes["annotations"] if a["image_id"] in ids]
    (folder / "made" / "targets.json").write_text(json.dumps(scenes))
    for name in ("scenes", "demo_models"):
        (folder / name).symlink_to(ROOT / name)


@dataclass(frozen=True)
class Undisturbed:
    outputs: dict[str, bytes]
    seconds: dict[str, float]

    def after(self, stage: str, share: float) -> Ending:
        return Ending(stage, seconds=share * self.seconds[stage])


def undisturbed(folder: Path, python: str, images: int) -> Undisturbed:
    lay_out(folder, images)
    runs = Runs(folder, python)
    seconds = runs.finish()
    runs.assert_clean()
    return Undisturbed(runs.outputs(), seconds)


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory, warm_python: str) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("forty"), warm_python, 40)


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory, warm_python: str) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("eight"), warm_python, 8)


def check(
    runs: Runs,
    images: int,
    whole: Undisturbed,
    number: signal.Signals,
    ending: Ending,
    devices: tuple[int, int],
) -> None:
    """End the stages on some devices, and go on with others."""
    lay_out(runs.folder, images)
    for stage, output in OUTPUTS.items():
        if stage == ending.stage:
            break
        (runs.folder / output).write_bytes(whole.outputs[output])
    code, err = runs.end(number, ending, *world(devices[0]))
    kept = runs.kept()
    if code == -number and number != KILL:
        assert err == ""  # before Python has read what to do about signals
    elif code and number != KILL:
        assert code == 128 + number, err
        (sentence,) = [line for line in err.splitlines() if line.startswith("error: ")]
        assert ("are kept" in sentence) == (runs.folder / "work_dirs/test_pl/unfinished").exists()
        if kept > 0:
            assert f"{kept} of {images} images are kept, go on with: " in sentence
            words = shlex.split(sentence.partition("go on with: ")[2])
            assert words[2:] == ["test", *arguments("test"), *world(devices[0]), "--resume"]
    seconds = runs.finish(ending.stage, devices[1], failed=code != 0)
    print(f"{number.name} {ending}: {code}, {kept} kept, {devices[1]} go on: {seconds}")
    assert runs.outputs() == whole.outputs
    runs.assert_clean()


@pytest.mark.parametrize("kept", [0, 3, 6])
def test_run__that_is_ended_goes_on_to_the_same_results(
    tmp_path: Path, warm_python: str, eight: Undisturbed, kept: int
) -> None:
    number = signal.SIGTERM if kept == 3 else KILL
    check(Runs(tmp_path, warm_python), 8, eight, number, Ending("test", kept), (1, 1))


POINTS = [
    *(("fill", share) for share in (0.1, 0.4, 0.6, 0.7, 0.8, 0.9)),
    *(("postprocess", share) for share in (0.3, 0.7, 0.9)),
    *(("test", share) for share in (0.1, 0.3)),
    *(("test", kept) for kept in (0, 1, 7, 15, 22, 30, 37, 39, 40)),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("point", range(len(POINTS)))
@pytest.mark.parametrize("number", [KILL, signal.SIGTERM, signal.SIGINT])
def test_run__that_is_ended_anywhere_goes_on_to_the_same_results(
    tmp_path: Path, warm_python: str, forty: Undisturbed, point: int, number: signal.Signals
) -> None:
    stage, place = POINTS[point]
    by_share = isinstance(place, float)
    ending = forty.after(stage, place) if by_share else Ending(stage, int(place))
    devices = 1 + point % 3 if number == KILL else 1
    check(Runs(tmp_path, warm_python), 40, forty, number, ending, (1, devices))


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", [KILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("kept", "devices"), [(0, (2, 1)), (10, (2, 3)), (20, (3, 2))])
def test_ranks__that_are_ended_go_on_to_the_same_results(
    tmp_path: Path,
    warm_python: str,
    forty: Undisturbed,
    number: signal.Signals,
    kept: int,
    devices: tuple[int, int],
) -> None:
    check(Runs(tmp_path, warm_python), 40, forty, number, Ending("test", kept), devices)
