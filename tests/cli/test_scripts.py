"""The shell scripts: they parse, refuse too few arguments, and name the published classes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted([*ROOT.glob("*.sh"), *(ROOT / "scripts").glob("*.sh"), ROOT / ".ci" / "run"])
CDFSOD_CLASSES = {  # as published, in category-id order
    "ArTaxOr": "Araneae,Coleoptera,Diptera,Hemiptera,Hymenoptera,Lepidoptera,Odonata",
    "clipart1k": "sheep,chair,boat,bottle,diningtable,sofa,cow,motorbike,car,aeroplane,cat,train,"
    "person,bicycle,pottedplant,bird,dog,bus,tvmonitor,horse",
    "DIOR": "Expressway-Service-area,Expressway-toll-station,airplane,airport,baseballfield,"
    "basketballcourt,bridge,chimney,dam,golffield,groundtrackfield,harbor,overpass,ship,stadium,"
    "storagetank,tenniscourt,trainstation,vehicle,windmill",
    "FISH": "fish",
    "NEU-DET": "crazing,inclusion,patches,pitted_surface,rolled-in_scale,scratches",
    "UODD": "seacucumber,seaurchin,scallop",
}
ON_CPU = "--trainer.accelerator cpu --trainer.devices 1"
BENCHMARKS = {
    "dior_fish.sh": ["DIOR", "FISH"],
    "artaxor_clipart.sh": ["ArTaxOr", "clipart1k"],
    "neu-det_uodd.sh": ["NEU-DET", "UODD"],
}


def bash(
    *arguments: str | Path, cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        ["bash", *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True
    )


def echoing_python(folder: Path) -> Path:
    """A stand-in for Python that says what it was called with, one line a call."""
    path = folder / "python"
    path.write_text('#!/usr/bin/env bash\n[[ $1 == - ]] || echo "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script__is_valid_bash(script: Path) -> None:
    assert bash("-n", script).stderr == ""


@pytest.mark.parametrize(
    ("script", "given"),
    [
        ("few_shot_full_pipeline.sh", ["config.yaml", "1", "1"]),
        ("full_seg.sh", []),
        ("scripts/matching_cdfsod_pipeline.sh", ["FISH", "1", "0", "fish"]),
    ],
)
def test_pipeline__too_few_arguments_print_the_usage(script: str, given: list[str]) -> None:
    done = bash(script, *given)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Usage: bash {script} ")


@pytest.mark.parametrize("script", BENCHMARKS)
def test_benchmark__runs_both_data_sets_with_the_published_classes(script: str) -> None:
    text = (ROOT / "scripts" / script).read_text()
    called = re.findall(r"^cdfsod_benchmark (\S+) (\S+) ", text, flags=re.MULTILINE)
    assert called == [(name, CDFSOD_CLASSES[name]) for name in BENCHMARKS[script]]


def run_cdfsod_pipeline(
    *arguments: str, folder: Path, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """The pipeline on a folder with references that have masks, with a Python that only echoes."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / "1_shot.json").write_text("{}")
    return bash(
        ROOT / "scripts" / "matching_cdfsod_pipeline.sh",
        *arguments,
        cwd=cwd,
        PYTHON=str(echoing_python(cwd)),
        DATASETS_ROOT=str(folder.parent),
    )


@pytest.mark.parametrize("spelling", ["NEU-DET", "NEUDET"])
def test_cdfsod_pipeline__finds_neu_det_under_either_spelling(
    tmp_path: Path, spelling: str
) -> None:
    folder = tmp_path / "sets" / spelling
    done = run_cdfsod_pipeline("NEU-DET", "1", "cpu", "a,b", "2", folder=folder, cwd=tmp_path)
    assert done.returncode == 0
    assert f"fill_memory.root {folder}/train " in done.stdout
    assert f"test.root {folder}/test " in done.stdout


def test_cdfsod_pipeline__names_a_missing_folder(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "matching_cdfsod_pipeline.sh"
    done = bash(script, "FISH", "1", "0", "fish", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "./data/FISH is no folder; put FISH there, or name the folder of the data sets in "
        "DATASETS_ROOT.\n"
    )


@pytest.mark.parametrize(
    ("devices", "all_devices", "one_device"),
    [
        ("0,1", "--trainer.devices [0,1]", "--trainer.devices [0]"),
        ("3", "--trainer.devices [3]", "--trainer.devices [3]"),
        ("cpu", ON_CPU, ON_CPU),
    ],
)
def test_cdfsod_pipeline__devices_are_gpu_numbers_and_arguments_come_last(
    tmp_path: Path, devices: str, all_devices: str, one_device: str
) -> None:
    arguments = ["FISH", "1", devices, "fish", "1", "--config", "mine.yaml"]
    done = run_cdfsod_pipeline(*arguments, folder=tmp_path / "FISH", cwd=tmp_path)
    _, fill, postprocess, test = done.stdout.splitlines()
    assert fill.endswith(f" {all_devices} --config mine.yaml")
    assert postprocess.endswith(f" {one_device} --config mine.yaml")
    assert test.endswith(f" {all_devices} --config mine.yaml")


@pytest.mark.parametrize(
    ("script", "class_split", "results"),
    [
        ("few_shot_full_pipeline.sh", "few_shot_classes", "work_dirs/few_shot_results"),
        ("full_seg.sh", "default_classes", "work_dirs/coco_all_results"),
    ],
)
def test_coco_pipeline__runs_the_published_stages(
    tmp_path: Path, script: str, class_split: str, results: str
) -> None:
    python = str(echoing_python(tmp_path))
    done = bash(ROOT / script, "c.yaml", "30", "4", "33", cwd=tmp_path, PYTHON=python)
    sample, fill, postprocess, test = done.stdout.splitlines()
    references = f"{results}/few_shot_30shot_seed33.pkl"
    assert sample.endswith(f"--n-shot 30 --out-path {references} --seed 33 --dataset {class_split}")
    assert f"fill_memory.memory_pkl {references} " in fill
    assert f"--out_path {results}/memory.ckpt " in fill
    assert fill.endswith("--trainer.devices 4")
    assert f"--out_path {results}/memory_postprocessed.ckpt " in postprocess
    assert postprocess.endswith("--trainer.devices 1")
    assert f"--ckpt_path {results}/memory_postprocessed.ckpt " in test
    assert f"test.class_split {class_split} " in test
    assert "coco/" not in done.stdout


def test_coco_pipeline__datasets_root_moves_the_paths(tmp_path: Path) -> None:
    python, arguments = str(echoing_python(tmp_path)), ["c.yaml", "1", "cpu", "33"]
    done = bash(
        ROOT / "full_seg.sh", *arguments, cwd=tmp_path, PYTHON=python, DATASETS_ROOT="/sets"
    )
    _, fill, _, test = done.stdout.splitlines()
    assert " --model.init_args.dataset_cfgs.fill_memory.root /sets/coco/train2017 " in fill
    assert test.endswith("test.json_file /sets/coco/annotations/instances_val2017.json")


def failing_python(folder: Path, call: int) -> Path:
    """A stand-in for Python that counts what it is called for, and fails at that call."""
    path = folder / "python"
    path.write_text(
        "#!/usr/bin/env bash\n[[ $1 == - ]] && exit\n"
        f'echo "$@" >> "{folder}/calls"\n(($(wc -l < "{folder}/calls") != {call})) || exit 143\n'
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize(
    "script", ["few_shot_full_pipeline.sh", "full_seg.sh", "scripts/matching_cdfsod_pipeline.sh"]
)
def test_pipeline__a_stage_that_fails_is_the_last_one(
    tmp_path: Path, script: str, call: int
) -> None:
    arguments = ["c.yaml", "1", "cpu", "33"]
    if "cdfsod" in script:
        arguments = ["FISH", "1", "cpu", "fish", "1"]
        (tmp_path / "data/FISH/annotations").mkdir(parents=True)
        (tmp_path / "data/FISH/annotations/1_shot.json").write_text("{}")
    python = str(failing_python(tmp_path, call))
    done = bash(ROOT / script, *arguments, cwd=tmp_path, PYTHON=python)
    assert done.returncode == 143
    assert len((tmp_path / "calls").read_text().splitlines()) == call


@pytest.mark.parametrize(
    "content", ["", "[]", '{"annotations": 3}', '{"annotations": [1]}', "\xff"]
)
def test_cdfsod_pipeline__references_that_cannot_be_read_are_not_replaced_by_older_ones(
    tmp_path: Path, content: str
) -> None:
    folder = tmp_path / "data" / "FISH" / "annotations"
    folder.mkdir(parents=True)
    (folder / "1_shot.json").write_text(content, encoding="latin-1")
    (folder / "1_shot_with_segm.json").write_text('{"annotations": []}')
    arguments = ["FISH", "1", "cpu", "fish", "1"]
    script = ROOT / "scripts" / "matching_cdfsod_pipeline.sh"
    done = bash(script, *arguments, cwd=tmp_path, PYTHON=sys.executable)
    assert done.returncode == 2
    assert done.stderr.startswith("error: data/FISH/annotations/1_shot.json: ")
    assert done.stderr.count("\n") == 1
