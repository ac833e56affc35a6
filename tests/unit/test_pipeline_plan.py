"""The commands that `reproduce` would run, compared with the published ones."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import run_command

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = (ROOT / "tests/data/published_commands.md").read_text()
COCO = re.findall(r"```bash\n(.*?)```", PUBLISHED, flags=re.DOTALL)[1]


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The root of the checkout as the working directory, and `python` as it is published."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHON", "python")
    monkeypatch.delenv("DATASETS_ROOT", raising=False)


def dry_run(*arguments: str) -> list[list[str]]:
    """The words of every command that would run."""
    outcome = run_command("reproduce", *arguments, "--dry-run")
    assert outcome.code == 0, outcome.err
    return [shlex.split(line) for line in outcome.out.splitlines() if not line.startswith("#")]


def published_coco() -> list[list[str]]:
    """The words of the published commands, as bash would run them."""
    recorder = "python() { printf '%q ' python \"$@\"; echo; }; mkdir() { :; }\n"
    done = subprocess.run(["bash", "-ec", recorder + COCO], capture_output=True, text=True)
    return [shlex.split(line) for line in done.stdout.splitlines()]


def in_order(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether the words stand in the others, in this order."""
    rest = iter(whole)
    return all(word in rest for word in part)


def test_reproduce__coco_are_the_published_commands_and_a_few_flags() -> None:
    config = "./no_time_to_train/new_exps/coco_fewshot_10shot_Sam2L.yaml"
    commands = dry_run(
        *("coco", "--shots", "30", "--seeds", "33", "--devices", "4", "--config", config),
        *("--folder", "work_dirs/few_shot_results"),
    )
    published = published_coco()
    assert len(published) == 4
    added = [set(ours) - set(theirs) for ours, theirs in zip(commands, published, strict=False)]
    for ours, theirs in zip(commands, published, strict=False):
        assert in_order(theirs, ours), (ours, theirs)
    category_num = {"--model.init_args.model_cfg.memory_bank_cfg.category_num", "20"}
    label = "few_shot_classes_30shot_seed33"
    assert added == [
        set(),
        category_num,
        category_num,
        category_num
        | {"--trainer.logger.version", label, "--export_result"}
        | {f"work_dirs/few_shot_results/{label}/results.json"},
    ]
    assert commands[4][:4] == [
        *("python", "run_lightening.py", "evaluate"),
        f"work_dirs/few_shot_results/{label}/results.json",
    ]


@pytest.mark.parametrize(
    ("benchmark", "split", "folder", "references", "sampled"),
    [
        (
            *("voc", "pascal_voc_split_2", "work_dirs/pascal_voc_split_2_seed33/5shot"),
            *("few_shot_ann_5shot_seed33_fixed.pkl", "pascal_voc_split_2"),
        ),
        (
            *("coco20i", "coco_semantic_split_3", "work_dirs/coco_semantic_3_seed33/5shot"),
            *("coco_semantic_few_shot_ann_5shot_seed33_fixed.pkl", "coco_semantic_split_3"),
        ),
        (
            *("lvis", "lvis_rare", "work_dirs/lvis_rare_seed33/5shots"),
            *("few_shot_lvis_ann_5shot_seed33_fixed.pkl", "lvis"),
        ),
        (
            *("lvis_minival", "lvis_minival_common", "work_dirs/lvis_minival_common_seed33/5shots"),
            *("few_shot_lvis_ann_5shot_seed33_fixed.pkl", "lvis"),
        ),
    ],
)
def test_reproduce__files_have_their_published_names(
    benchmark: str, split: str, folder: str, references: str, sampled: str
) -> None:
    commands = dry_run(
        benchmark, "--splits", split, "--shots", "5", "--seeds", "33", "--devices", "cpu"
    )
    sample, fill, postprocess, test, evaluate, summary = commands[-6:]
    assert sample[2:] == [
        *("--n-shot", "5", "--out-path", f"{folder}/{references}"),
        *("--seed", "33", "--dataset", sampled),
    ]
    assert in_order(["--out_path", f"{folder}/memory.ckpt"], fill)
    assert in_order(["--out_path", f"{folder}/memory_postprocessed.ckpt"], postprocess)
    assert in_order(["--ckpt_path", f"{folder}/memory_postprocessed.ckpt"], test)
    assert in_order(["--export_result", f"{folder}/results.json"], test)
    assert in_order(["--benchmark", benchmark, "--split", split], evaluate)
    assert in_order(["--out", f"{folder}/evaluation.json", "--run"], evaluate)
    assert summary[1:] == ["run_lightening.py", "summary", folder]


def test_reproduce__runs_are_splits_by_shots_by_seeds() -> None:
    outcome = run_command(
        *("reproduce", "coco", "--splits", "few_shot_classes", "coco", "--shots", "1", "3", "1"),
        *("--seeds", "7", "9", "--dry-run"),
    )
    runs = [line for line in outcome.out.splitlines() if ", seed " in line and line.startswith("#")]
    assert runs == [
        f"# {split}, {shots} shot{'' if shots == 1 else 's'}, seed {seed}"
        for split in ("few_shot_classes", "coco")
        for shots in (1, 3)
        for seed in (7, 9)
    ]


def test_reproduce__without_more_words_runs_the_published_sweep() -> None:
    outcome = run_command("reproduce", "coco", "--dry-run")
    runs = [line for line in outcome.out.splitlines() if ", seed " in line and line.startswith("#")]
    assert len(runs) == 6 * 10
    assert outcome.out.endswith(" run_lightening.py summary work_dirs/coco_runs\n")
    assert runs[0] == "# few_shot_classes, 1 shot, seed 42"
    assert runs[-1] == "# few_shot_classes, 30 shots, seed 99"


def test_reproduce__several_machines_start_what_reads_images_through_the_launcher() -> None:
    commands = dry_run(
        *("coco", "--shots", "1", "--seeds", "1", "--devices", "8"),
        *("--nodes", "8", "--launcher", "srun --nodes 8"),
    )
    started = [words[:3] == ["srun", "--nodes", "8"] for words in commands]
    assert started == [False, True, False, True, False, False]
    for words in (commands[1], commands[3]):
        assert in_order(["--trainer.num_nodes", "8"], words)
        assert in_order(["--trainer.devices", "8"], words)
    assert commands[2][:3] == ["env", "SLURM_JOB_NAME=interactive", "python"]
    assert in_order(["--trainer.devices", "1"], commands[2])


def test_reproduce__few_shot_files_of_others_take_the_place_of_drawn_references() -> None:
    commands = dry_run(
        *("voc", "--splits", "pascal_voc_split_1", "--shots", "5", "--seeds", "3"),
        *("--few-shot-files", "vocsplit/seed{seed}"),
    )
    folder = "work_dirs/pascal_voc_split_1_seed3/5shot"
    references = f"{folder}/few_shot_ann_5shot_seed3_fixed.pkl"
    annotations = "data/pascal_voc/annotations/voc0712_trainval_with_segm.json"
    draw, fill = commands[-6:-4]
    assert draw == [
        *("python", "no_time_to_train/dataset/few_shot_files.py", "vocsplit/seed3"),
        *("--n-shot", "5", "--dataset", "pascal_voc_split_1", "--json-file", annotations),
        *("--out-path", references),
    ]
    assert in_order(["--model.init_args.dataset_cfgs.fill_memory.memory_pkl", references], fill)


def test_reproduce__classes_by_name_need_no_split_of_the_benchmark() -> None:
    commands = dry_run(
        *("coco", "--splits", "pets", "--cat-names", "cat,dog", "--shots", "1", "--seeds", "3"),
        *("--few-shot-files", "mine"),
    )
    assert len(commands) == 5  # no evaluation: the benchmark has no rules for them
    for words in (commands[1], commands[3]):
        assert in_order(["--model.init_args.model_cfg.memory_bank_cfg.category_num", "2"], words)
        assert "cat,dog" in words


WRONG = {
    "benchmark": (["cocoa"], "there is no benchmark 'cocoa'; did you mean coco?"),
    "split": (
        ["voc", "--splits", "pascal_voc_split_4"],
        "there is no split of voc 'pascal_voc_split_4'; did you mean pascal_voc_split_3?",
    ),
    "devices": (["coco", "--devices", "0"], "--devices: must be a number of GPUs such as 4"),
    "shots": (["coco", "--shots", "0"], "--shots: must be a whole number, 1 or more, got '0'"),
    "folder": (
        ["coco", "--folder", "work/{shot}"],
        "--folder 'work/{shot}' may have {split}, {number}, {shots} and {seed} in it",
    ),
    "prepare": (
        ["coco", "--prepare"],
        "--prepare makes files of voc, lvis, lvis_minival; for coco there are none",
    ),
    "config": (["coco", "--config", "none.yaml"], "none.yaml cannot be read (No such file"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=list(WRONG))
def test_reproduce__says_in_a_sentence_what_is_wrong(arguments: list[str], message: str) -> None:
    outcome = run_command("reproduce", *arguments, "--dry-run")
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
