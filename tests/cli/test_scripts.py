"""The shell scripts: they parse, refuse too few arguments, and name the published classes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from no_time_to_train.dataset.class_splits import class_names

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
NO_COMMANDS = ("#", "error:")


def bash(
    *arguments: str | Path, cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        ["bash", *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True
    )


def dry_python(folder: Path) -> str:
    """A stand-in for Python with which `reproduce` prints its commands and runs none."""
    path = folder / "python"
    path.write_text(
        "#!/usr/bin/env bash\n"
        f'[[ $2 == reproduce ]] && exec "{sys.executable}" "$1" reproduce --dry-run "${{@:3}}"\n'
        'echo "$0 $*"\n'
    )
    path.chmod(0o755)
    return str(path)


def commands(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that are commands, without the interpreter."""
    lines = [line for line in done.stdout.splitlines() if not line.startswith(NO_COMMANDS)]
    return [line.partition(" ")[2] for line in lines]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script__is_valid_bash(script: Path) -> None:
    assert bash("-n", script).stderr == ""


@pytest.mark.parametrize(
    ("script", "given"),
    [
        ("few_shot_full_pipeline.sh", ["config.yaml", "1", "1"]),
        ("full_seg.sh", []),
        ("scripts/matching_cdfsod_pipeline.sh", ["FISH", "1", "0", "fish"]),
        ("scripts/pascal_split.sh", ["1"]),
        ("scripts/pascal_voc_box_to_segmentation.sh", []),
        ("scripts/lvis_pipeline.sh", ["lvis", "10"]),
        ("scripts/few_shot_coco_semantic_pipeline.sh", ["1"]),
    ],
)
def test_pipeline__too_few_arguments_print_the_usage(script: str, given: list[str]) -> None:
    done = bash(script, *given)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Usage: bash {script} ")


@pytest.mark.parametrize("script", BENCHMARKS)
def test_benchmark__runs_both_data_sets_with_the_published_classes(
    script: str, tmp_path: Path
) -> None:
    for name in BENCHMARKS[script]:
        write_references(tmp_path / "data" / name, shots=(1, 5, 10))
    done = bash(ROOT / "scripts" / script, cwd=tmp_path, PYTHON=dry_python(tmp_path))
    fills = [line for line in commands(done) if " fill_memory " in line]
    runs = [re.findall(r"fill_memory.class_split (\S+) .*devices (\S+)", line)[0] for line in fills]
    assert runs == [(name, "'[0]'") for name in BENCHMARKS[script] for _ in (1, 5, 10)]
    for name in BENCHMARKS[script]:
        assert ",".join(class_names(name)) == CDFSOD_CLASSES[name]


def write_references(folder: Path, shots: Sequence[int] = (1,)) -> None:
    """Empty annotations, which hence lack no mask."""
    (folder / "annotations").mkdir(parents=True)
    for number in shots:
        (folder / "annotations" / f"{number}_shot.json").write_text('{"annotations": []}')


def run_cdfsod_pipeline(
    *arguments: str, folder: Path, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """The commands of the pipeline on a folder with references that have masks."""
    write_references(folder)
    return bash(
        ROOT / "scripts" / "matching_cdfsod_pipeline.sh",
        *arguments,
        cwd=cwd,
        PYTHON=dry_python(cwd),
        DATASETS_ROOT=str(folder.parent),
    )


def test_pipeline__prints_its_commands_with_dry_run(tmp_path: Path) -> None:
    folder = tmp_path / "sets" / "NEU-DET"
    given = "NEU-DET", "1", "cpu", "a,b", "2"
    expected = run_cdfsod_pipeline(*given, folder=folder, cwd=tmp_path)
    done = bash(
        ROOT / "scripts" / "matching_cdfsod_pipeline.sh",
        *(*given, "--trainer.devices", "1", "--dry-run"),
        cwd=tmp_path,
        PYTHON=sys.executable,
        DATASETS_ROOT=str(folder.parent),
    )
    assert done.returncode == 0, done.stderr
    fills = [
        [line for line in commands(each) if " fill_memory " in line] for each in (expected, done)
    ]
    assert len(fills[1]) == len(fills[0]) == 1
    assert fills[1][0].endswith("--trainer.devices 1") and "--dry-run" not in fills[1][0]
    assert not (tmp_path / "tmp_ckpts").exists()


@pytest.mark.parametrize("spelling", ["NEU-DET", "NEUDET"])
def test_cdfsod_pipeline__finds_neu_det_under_either_spelling(
    tmp_path: Path, spelling: str
) -> None:
    folder = tmp_path / "sets" / spelling
    done = run_cdfsod_pipeline("NEU-DET", "1", "cpu", "a,b", "2", folder=folder, cwd=tmp_path)
    assert done.returncode == 0
    assert f"fill_memory.root {folder}/train " in done.stdout
    assert f"test.root {folder}/test " in done.stdout


def test_cdfsod_pipeline__finds_the_images_of_dior_in_subfolders(tmp_path: Path) -> None:
    folder = tmp_path / "sets" / "DIOR"
    for part in ("train/new_train", "test/new_test"):
        (folder / part).mkdir(parents=True)
    done = run_cdfsod_pipeline("DIOR", "1", "cpu", "a,b", "2", folder=folder, cwd=tmp_path)
    assert f"fill_memory.root {folder}/train/new_train " in done.stdout
    assert f"test.root {folder}/test/new_test " in done.stdout


def test_cdfsod_pipeline__refuses_numbers_of_classes_that_differ(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "matching_cdfsod_pipeline.sh"
    done = bash(script, "FISH", "1", "0", "fish", "2", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "CATEGORY_NUM is 2, but CAT_NAMES has 1 names; make them agree.\n"


def test_cdfsod_pipeline__names_a_missing_folder(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "matching_cdfsod_pipeline.sh"
    done = bash(script, "FISH", "1", "0", "fish", "1", cwd=tmp_path, PYTHON=sys.executable)
    assert done.returncode == 2
    assert done.stderr == (
        "error: data/FISH is no folder; put FISH there, or name the folder of the data sets in "
        "DATASETS_ROOT\n"
    )


@pytest.mark.parametrize(
    ("devices", "all_devices", "one_device"),
    [
        ("0,1", "--trainer.devices '[0,1]'", "--trainer.devices '[0]'"),
        ("3", "--trainer.devices '[3]'", "--trainer.devices '[3]'"),
        ("cpu", ON_CPU, ON_CPU),
    ],
)
def test_cdfsod_pipeline__devices_are_gpu_numbers_and_arguments_come_last(
    tmp_path: Path, devices: str, all_devices: str, one_device: str
) -> None:
    (tmp_path / "mine.yaml").write_text("")
    arguments = ["FISH", "1", devices, "fish", "1", "--config", "mine.yaml"]
    done = run_cdfsod_pipeline(*arguments, folder=tmp_path / "FISH", cwd=tmp_path)
    _, fill, postprocess, test, _, _ = commands(done)
    for line, given in ((fill, all_devices), (postprocess, one_device), (test, all_devices)):
        assert f" {given} " in line
        assert line.endswith(" --config mine.yaml")


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
    (tmp_path / "c.yaml").write_text("")
    python = dry_python(tmp_path)
    done = bash(ROOT / script, "c.yaml", "30", "4", "33", cwd=tmp_path, PYTHON=python)
    sample, fill, postprocess, test, _, _ = commands(done)
    references = f"{results}/few_shot_30shot_seed33.pkl"
    assert sample.endswith(f"--n-shot 30 --out-path {references} --seed 33 --dataset {class_split}")
    assert f"fill_memory.memory_pkl {references} " in fill
    assert f"--out_path {results}/memory.ckpt " in fill
    assert fill.endswith("--trainer.devices 4")
    assert f"--out_path {results}/memory_postprocessed.ckpt " in postprocess
    assert postprocess.endswith("--trainer.devices 1")
    assert f"--ckpt_path {results}/memory_postprocessed.ckpt " in test
    assert f"test.class_split {class_split} " in test
    assert not any("coco/" in line for line in (sample, fill, postprocess, test))


def test_coco_pipeline__datasets_root_moves_the_paths(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("")
    python, arguments = dry_python(tmp_path), ["c.yaml", "1", "cpu", "33"]
    done = bash(
        ROOT / "full_seg.sh", *arguments, cwd=tmp_path, PYTHON=python, DATASETS_ROOT="/sets"
    )
    _, fill, _, test, _, _ = commands(done)
    assert " --model.init_args.dataset_cfgs.fill_memory.root /sets/coco/train2017 " in fill
    assert test.endswith("test.json_file /sets/coco/annotations/instances_val2017.json")


def failing_python(folder: Path, call: int) -> Path:
    """A stand-in for Python whose steps make empty files; the one with that number fails."""
    path = folder / "python"
    path.write_text(
        "#!/usr/bin/env bash\n"
        f'[[ $2 == reproduce ]] && exec "{sys.executable}" "$@"\n'
        f'echo "$@" >> "{folder}/calls"\n(($(wc -l < "{folder}/calls") != {call})) || exit 143\n'
        'for word; do case ${before:-} in --out-path | --out_path) touch "$word" ;; esac\n'
        'case $word in *.pkl) touch "$word" ;; esac; before=$word; done\n'
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
        write_references(tmp_path / "data" / "FISH")
    (tmp_path / "c.yaml").write_text("")
    python = str(failing_python(tmp_path, call))
    done = bash(ROOT / script, *arguments, cwd=tmp_path, PYTHON=python)
    assert done.returncode == 143
    assert len((tmp_path / "calls").read_text().splitlines()) == call
    assert "ended with exit code 143; this goes on from there: " in done.stderr


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


SWEEPS = {
    "pascal_split.sh 2 8": [
        ("work_dirs/pascal_voc_split_2_seed33", f"{shots}shot", "8") for shots in (1, 2, 3, 5, 10)
    ],
    "launch_pascal_split.sh": [
        (f"work_dirs/pascal_voc_split_{split}_seed33", f"{shots}shot", "5")
        for split in (1, 2, 3)
        for shots in (1, 2, 3, 5, 10)
    ],
    "lvis_pipeline.sh lvis_rare 10 2": [("work_dirs/lvis_rare_seed42", "10shots", "2")],
    "lvis_pipeline.sh lvis_minival 5 2": [("work_dirs/lvis_minival_seed42", "5shots", "2")],
    "few_shot_coco_semantic_pipeline.sh 4 2": [
        ("work_dirs/coco_semantic_4_seed42", f"{shots}shot", "2") for shots in (1, 5)
    ],
    "launch_coco_semantic.sh": [
        (f"work_dirs/coco_semantic_{fold}_seed42", f"{shots}shot", "4")
        for fold in (1, 2, 3, 4)
        for shots in (1, 5)
    ],
    "ablation_coco_std.sh": [
        ("work_dirs/few_shot_results", f"few_shot_classes_{shots}shot_seed{seed}", "4")
        for shots in (1, 2, 3, 5, 10, 30)
        for seed in (42, 13, 27, 36, 88, 33, 69, 55, 77, 99)
    ],
}


@pytest.mark.parametrize("call", SWEEPS)
def test_script__fills_the_published_folders_on_the_published_devices(
    call: str, tmp_path: Path
) -> None:
    script, *arguments = call.split()
    python = dry_python(tmp_path)
    done = bash(ROOT / "scripts" / script, *arguments, cwd=tmp_path, PYTHON=python)
    assert done.returncode == 0, done.stderr
    fills = [line for line in commands(done) if " fill_memory " in line]
    found = [
        re.findall(r"--out_path (\S+)/(\S+)/memory.ckpt .*devices (\S+)", line)[0] for line in fills
    ]
    assert found == SWEEPS[call]


def test_semantic_evaluation__finds_the_files_of_the_pipeline(tmp_path: Path) -> None:
    pipeline = bash(
        ROOT / "scripts" / "launch_coco_semantic.sh", cwd=tmp_path, PYTHON=dry_python(tmp_path)
    )
    flags = r"--coco_semantic_split (\d) --n_shot (\d) --seed (\d+)"
    names = [
        "inst_to_segm/coco_inst_semantic_split_{}_{}shot_{}seed_results.json".format(*found)
        for found in re.findall(flags, pipeline.stdout)
    ]
    (tmp_path / "inst_to_segm").mkdir()
    for name in names:
        (tmp_path / name).touch()
    script = ROOT / "scripts" / "launch_coco_semantic_eval.sh"
    done = bash(script, cwd=tmp_path, PYTHON=dry_python(tmp_path))
    assert done.returncode == 0
    assert re.findall(r"--pred_json (\S+)", done.stdout) == names
    assert len(names) == 4 * 2
    (tmp_path / names[3]).unlink()
    done = bash(script, cwd=tmp_path, PYTHON=dry_python(tmp_path))
    assert done.returncode == 2
    assert re.findall(r"--pred_json (\S+)", done.stdout) == names[:3] + names[4:]
    assert done.stderr.startswith(f"{names[3]} is missing; ")
