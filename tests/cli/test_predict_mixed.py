"""`predict` on two hundred files of all kinds: what happens to each, also when it is killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from tests.cli.conftest import ROOT, Outcome, run_command
from tests.cli.mixed_pictures import KINDS, TOTAL, Made, make_pictures
from tests.cli.test_predict import files, read, tables, write_scenes_dir
from tests.cli.test_signals import processes_in

ROWS = re.findall(r"^\| (.+?) \| (read|left out)\b", (ROOT / "docs/predict.md").read_text(), re.M)
TINY = {
    "model_cfg": {
        "sam2_infer_cfgs": {"points_per_side": 3},
        "encoder_cfg": {"img_size": 56},
    },
    "dataset_cfgs": {"fill_memory": {"image_size": 56}, "test": {"image_size": 64}},
}
ARGUMENTS = (
    *("predict", "--images", "mixed", "--threshold", "0.3", "--no-overlays"),
    *("--config", "configs/demo.yaml", "--config", "tiny.yaml"),
)


@dataclass(frozen=True)
class Mixed:
    """A folder with the files, and a run that nothing has disturbed."""

    folder: Path
    made: dict[str, list[Made]]
    outcome: Outcome


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    folder = tmp_path_factory.mktemp("mixed")
    write_scenes_dir(folder)
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"model": {"init_args": TINY}}))
    made = make_pictures(folder / "mixed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        outcome = run_command(*ARGUMENTS, "--references", "refs", "--out", "out")
        shutil.copy("out/memory.pth", "memory.pth")
        yield Mixed(folder, made, outcome)


def results() -> dict[str, Any]:
    """Entries of the pictures that were read, by name."""
    return {image["file_name"]: image for image in read("out/results.json")["images"]}


def left_out() -> dict[str, str]:
    """Why pictures were left out, by name."""
    return {bad["file_name"]: bad["reason"] for bad in read("out/run.json")["bad_pictures"]}


def test_table_of_the_docs__lists_every_kind() -> None:
    assert [kind for kind, _ in ROWS] == list(KINDS)


@pytest.mark.parametrize(("kind", "verdict"), ROWS)
def test_picture__is_read_or_left_out_as_the_docs_say(
    mixed: Mixed, kind: str, verdict: str
) -> None:
    found, bad, log = results(), left_out(), Path("out/predict.log").read_text()
    for made in mixed.made[kind]:
        assert (made.size is None) == (verdict == "left out"), made
        if made.size is None:
            assert made.reason in bad[made.name]
            assert made.name not in found
        else:
            entry = found[made.name]
            assert (entry["width"], entry["height"]) == made.size
            assert made.warning in log


def test_mixed_folder__every_file_is_accounted_for(mixed: Mixed) -> None:
    made = [each for group in mixed.made.values() for each in group]
    assert len(made) == TOTAL
    assert {*results(), *left_out()} == {each.name for each in made}
    assert mixed.outcome.code == 3
    assert f"{len(left_out())} of {TOTAL} pictures were left out" in mixed.outcome.err
    assert "1 file is left alone, not being pictures by name: 1 .txt" in mixed.outcome.out
    sizes = {str(path.relative_to("out/masks")): Image.open(path).size for path in masks()}
    read_sizes = [made.size for made in made if made.size]
    assert sorted(sizes.values()) == sorted(read_sizes)
    assert {"twin.jpg.png", "twin.png.png", "sub/twin.png", "two words.png"} <= set(sizes)


def masks() -> list[Path]:
    return list(Path("out/masks").rglob("*.png"))


def start(python: str, folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, str(ROOT / "run_lightening.py"), *ARGUMENTS, "--memory", "memory.pth", *more],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kept(out: Path) -> int:
    """Pictures that an unfinished run has finished; -1 where there is none."""
    folders = list((out / "unfinished").glob("predict-*"))
    lines = [path.read_bytes().count(b"\n") for each in folders for path in each.glob("*.jsonl")]
    return sum(lines) if folders else -1


def end_at(process: subprocess.Popen[str], out: Path, count: int, number: signal.Signals) -> str:
    """Send a signal once so many pictures are kept; what was said."""
    while process.poll() is None and kept(out) < count:
        time.sleep(0.005)
    process.send_signal(number)
    return process.communicate(timeout=60)[1]


def await_end(folder: Path) -> None:
    """Wait until no process of a run is left there."""
    while any("run_lightening.py" in command for command in processes_in(folder)):
        time.sleep(0.05)


POINTS = ((0, signal.SIGKILL), (60, signal.SIGTERM), (150, signal.SIGKILL))


def test_run__killed_at_three_points_gives_what_an_unbroken_one_gives(
    mixed: Mixed, warm_python: str
) -> None:
    out = mixed.folder / "killed"
    for count, number in POINTS:
        err = end_at(
            start(warm_python, mixed.folder, "--out", "killed", "--resume"), out, count, number
        )
        await_end(mixed.folder)
        assert count <= kept(out) < TOTAL
        if number == signal.SIGTERM:
            assert f"{kept(out)} of {TOTAL} pictures are finished in killed, go on with: " in err
            assert err.rstrip().endswith("--resume")
    done = kept(out)
    process = start(warm_python, mixed.folder, "--out", "killed", "--resume")
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 3
    assert re.search(rf"--resume: (\d+) of {TOTAL} pictures are finished already", said)
    assert 0 < read("killed/run.json")["finished_before"] < done  # bad ones were tried each time
    assert tables("killed") == tables("out")
    assert without_lines(files("killed")) == without_lines(files("out"))


def without_lines(content: dict[str, bytes]) -> dict[str, bytes]:
    """Lines hold the position that a picture had when it was done."""
    return {name: each for name, each in content.items() if name != "pictures.jsonl"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("count", [0, 1, 100, 188, 189])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_run__ended_anywhere_goes_on_to_the_same(
    mixed: Mixed, warm_python: str, count: int, number: signal.Signals
) -> None:
    name = f"ended_{number.name}_{count}"
    out = mixed.folder / name
    process = start(warm_python, mixed.folder, "--out", name)
    end_at(process, out, count, number)
    assert process.returncode in (-number, 128 + number, 3)
    await_end(mixed.folder)
    if process.returncode != 3:
        again = start(warm_python, mixed.folder, "--out", name, "--resume")
        again.communicate(timeout=200)
        assert again.returncode == 3
    assert tables(name) == tables("out")
    assert without_lines(files(name)) == without_lines(files("out"))
