"""The table of commands, and what is imported before one of them is at work."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning import Trainer

from no_time_to_train.commands import COMMANDS, Command, early_checks
from no_time_to_train.commands.messages import trainer_arguments
from no_time_to_train.pl_wrapper.sam2matcher_pl import Sam2MatcherLightningModel
from tests.cli.conftest import DATA, MODEL, ROOT, base, run_command, targets

LIGHT = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from no_time_to_train.commands import main

for arguments in json.loads(sys.stdin.read()):
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            main(arguments)
            code = 0
        except SystemExit as stop:
            code = stop.code
    heavy = sorted({"torch", "lightning", "torchvision", "numpy"} & set(sys.modules))
    print(json.dumps([code, out.getvalue(), heavy]))
"""


def test_command__is_added_through_its_row_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "greeting.py").write_text(
        "import sys\n\ndef main(arguments):\n    sys.stdout.write(f'Hello {arguments}')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "greet", Command("greeting", "Greet everybody."))
    assert run_command("greet", "you", "--all").out == "Hello ['you', '--all']"
    assert "Greet everybody." in run_command("--help").out
    assert "did you mean greet?" in run_command("gret").err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no command", "weights or test"]),
        (["tset"], ["'tset'", "did you mean test?"]),
        (["qqq"], ["'qqq'", "weights or test"]),
        (["--config", "x.yaml"], ["--config stands before the command", "weights or test"]),
    ],
)
def test_command__that_there_is_not_is_one_line(arguments: list[str], words: list[str]) -> None:
    outcome = run_command(*arguments)
    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    for word in ["error: ", *words]:
        assert word in line


def test_version__names_the_libraries() -> None:
    lines = run_command("--version").out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names[:2] == ["no-time-to-train", "torch"]
    assert "lightning" in names


def test_settings__are_read_early_under_the_names_that_the_model_takes() -> None:
    early = inspect.signature(early_checks.Sam2MatcherLightningModel)
    assert early == inspect.signature(Sam2MatcherLightningModel)
    module, _, name = early_checks.PUBLISHED_CLASS.rpartition(".")
    assert (module, name) == (Sam2MatcherLightningModel.__module__, "Sam2MatcherLightningModel")


class Extended(Sam2MatcherLightningModel):
    """A model of somebody else, with a setting of its own."""

    def __init__(self, extra: int, **settings: Any) -> None:
        super().__init__(**settings)


def test_model_of_somebody_else__is_left_to_lightning(photos_dir: Path) -> None:
    flags = ["--model.class_path", f"{__name__}.Extended", "--model.init_args.extra"]
    outcome = run_command("test", *base(), *flags, "3", "--print_config")
    assert outcome.code == 0, outcome.err
    assert "extra: 3" in outcome.out
    outcome = run_command("test", *base(), *flags, "three", "--print_config")
    assert outcome.err == "error: extra: expected int, got three\n"


def test_help_of_a_logger__is_left_to_lightning(photos_dir: Path) -> None:
    outcome = run_command("test", "--trainer.logger.help", "CSVLogger")
    assert outcome.code == 0, outcome.err
    assert "flush_logs_every_n_steps" in outcome.out


def test_trainer_arguments__are_those_of_the_trainer() -> None:
    assert trainer_arguments() == list(inspect.signature(Trainer).parameters)


def test_errors_and_help__come_before_pytorch_is_imported(photos_dir: Path) -> None:
    stage = [*base(), *targets(), "--model.test_mode", "test", "--ckpt_path", "references.json"]
    cases = {  # what the sentence or the help holds: arguments
        "commands:": ["--help"],
        "torch": ["--version"],
        "dinov2_large": ["weights"],
        "did you mean dinov2_large?": ["weights", "dinov2_larg"],
        "did you mean test?": ["tset"],
        "there is no folder nothing": ["summary", "nothing"],
        "did you mean voc?": ["evaluate", "x.json", "--benchmark", "vocs"],
        "--trainer.NAME": ["test", "--help"],
        "--model.model_cfg.name": ["test", "--model.help"],
        "no --config was given": ["test"],
        "missing.yaml": ["test", "--config", "missing.yaml"],
        "did you mean out_path?": ["test", *stage, "--outpath", "x"],
        "did you mean trainer.devices?": ["test", *stage, "--devices", "1"],
        "expected int, got ten": ["test", *stage, f"{MODEL}memory_bank_cfg.length", "ten"],
        "length must be 1 or more": ["test", *stage, f"{MODEL}memory_bank_cfg.length", "0"],
        "needs --ckpt_path": ["test", *stage, "--ckpt_path", ""],
        "the memory no.pth does not exist": ["test", *stage, "--ckpt_path", "no.pth"],
        "no.pt, the weights of dinov2_demo": ["test", *stage, f"{MODEL}encoder_ckpt_path", "no.pt"],
        "the SAM 2 checkpoint no.pt does": ["test", *stage, f"{MODEL}sam2_ckpt_path", "no.pt"],
        "would replace --ckpt_path": ["test", *stage, "--export_result", "references.json"],
    }
    with_numpy = {  # said by those who read the files
        "no such file; check the path to the": ["test", *stage, f"{DATA}test.json_file", "no.json"],
        "proposer_cfg.file no.json: there is no such file": [
            *("test", *stage, f"{MODEL}proposer_cfg.name", "file"),
            *(f"{MODEL}proposer_cfg.file", "no.json"),
        ],
        "there is no folder nowhere": ["test", *stage, f"{DATA}test.root", "nowhere"],
        "x.json: there is no such file": [
            *("evaluate", "x.json", "--benchmark", "coco", "--split", "coco"),
            *("--truth", "x.json"),
        ],
    }
    results = run_light([*cases.values(), *with_numpy.values()])
    for number, (words, (_, out, heavy)) in enumerate(
        zip([*cases, *with_numpy], results, strict=True)
    ):
        assert words in " ".join(out.split())
        assert heavy == ([] if number < len(cases) else ["numpy"]), words
    assert [code for code, *_ in results[:3]] == [0, 0, 0]


def run_light(cases: list[list[str]]) -> list[tuple[int, str, list[str]]]:
    """Run commands one after the other in a new process; what each said, and which are imported."""
    process = subprocess.run(
        [sys.executable, "-c", LIGHT],
        input=json.dumps(cases),
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [tuple(json.loads(line)) for line in process.stdout.splitlines()]
