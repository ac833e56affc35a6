"""README and the pages: every command is parsed, Python runs, links and files exist."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from PIL import Image
from torch.distributed import run as torchrun

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.coco.annotations import CocoAnnotations, rasterise
from no_time_to_train.commands import COMMANDS
from no_time_to_train.config import DataLoadConfig, DatasetsConfig, ModelConfig
from scripts import settings_page
from tests.cli.conftest import CONFIGS, run_test

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/*.md")],
    key=lambda path: str(path.relative_to(ROOT)),
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
TEXTS = dict(zip(NAMES, (page.read_text(encoding="utf-8") for page in PAGES), strict=True))
PUBLISHED = (ROOT / "tests/data/published_commands.md").read_text()
"""Commands that tests/cli/test_published_commands.py parses and runs."""
PROGRAMS = ("python", "bash", "pip", "conda", "wget", "mkdir", "cd", "torchrun", "srun")
PROGRAMS += ("no-time-to-train",)
RECORD = "\n".join(
    f'{name}() {{ printf \'%s\\0\' {name} "$@" >> "$RECORD"; echo >> "$RECORD"; }}'
    for name in PROGRAMS
)
FOLDERS = "configs|demo_models|docs|no_time_to_train|photos|sam2|dinov2|scenes|scripts|tests"
TOP = {"model_cfg": ModelConfig, "dataset_cfgs": DatasetsConfig, "data_load_cfgs": DataLoadConfig}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXTS[page], flags=re.DOTALL | re.MULTILINE)


def prose(page: str) -> str:
    return re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.DOTALL | re.MULTILINE)


def inline_code(page: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


def with_block(language: str) -> list[str]:
    return [page for page in NAMES if blocks(page, language)]


def recorded(block: str, folder: Path) -> list[list[str]]:
    """The words of each command of a shell block; nothing runs, and other commands fail."""
    path = folder / "commands"
    path.write_text("")
    variables = {"RECORD": str(path), "PATH": "/nonexistent"}
    done = subprocess.run(["/bin/bash", "-e", "-c", f"{RECORD}\n{block}"], env=variables)
    assert done.returncode == 0, block
    return [line.rstrip("\0").split("\0") for line in path.read_text().splitlines()]


class Parsed(Exception):
    """The arguments of a tool were accepted."""


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools stop as soon as they have read their arguments."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("GOMP_SPINCOUNT", "10000")  # the benchmark would set it
    monkeypatch.setattr(sys, "path", list(sys.path))
    parse = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *given: Any) -> None:
        parse(self, *given)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)


def check_python(arguments: list[str], patch: pytest.MonkeyPatch) -> None:
    """A stage is parsed by the command itself, a tool by its own parser."""
    if arguments[0] == "run_lightening.py":
        check_command(arguments[1:], patch)
        return
    if arguments[0] == "-m":
        module, rest = arguments[1], arguments[2:]
    else:
        assert (ROOT / arguments[0]).is_file(), arguments[0]
        module, rest = arguments[0].removesuffix(".py").replace("/", "."), arguments[1:]
    patch.setattr("sys.argv", [module, *rest])
    with pytest.raises(Parsed):
        importlib.import_module(module).main()


def check_command(arguments: list[str], patch: pytest.MonkeyPatch) -> None:
    if arguments[0] not in ("test", "check"):  # which take the same arguments
        with pytest.raises(Parsed):
            importlib.import_module(COMMANDS[arguments[0]].module).main(arguments[1:])
        return
    with patch.context() as unpatched:
        unpatched.undo()
        unpatched.chdir(ROOT)
        shown = [word for word in arguments[1:] if not word.startswith("--print_config")]
        outcome = run_test(*shown, "--print_config")
    assert outcome.code == 0, outcome.err


def check_pip(arguments: list[str]) -> None:
    assert arguments[0] == "install"
    extras = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    for word in arguments[1:]:
        for extra in re.findall(r"\[(.*)\]", word):
            assert f"\n{extra} = [" in extras
        if word.endswith(".lock"):
            assert (ROOT / word).is_file()


def check_bash(arguments: list[str]) -> None:
    script = ROOT / arguments[0]
    usage = next(line for line in script.read_text().splitlines() if line.startswith("# Usage: "))
    needed = re.findall(r"\b[A-Z_]{3,}\b", usage.replace("[ARGUMENTS]", ""))
    assert len(arguments) - 1 >= len(needed), usage
    subprocess.run(["bash", "-n", str(script)], check=True)


def check_torchrun(arguments: list[str], patch: pytest.MonkeyPatch) -> None:
    """torchrun's own parser takes its part, and the trainer is told of as many processes."""
    given, unknown = torchrun.get_args_parser().parse_known_args(arguments)
    assert not unknown
    assert int(given.node_rank) < int(given.nnodes)
    check_world(given.training_script_args, given.nnodes, given.nproc_per_node)
    check_python([given.training_script, *given.training_script_args], patch)


def check_srun(arguments: list[str], block: str, patch: pytest.MonkeyPatch) -> None:
    """The job has as many tasks as the trainer has processes."""
    job = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", block, flags=re.MULTILINE))
    assert job["job-name"] not in ("bash", "interactive")
    assert job["ntasks-per-node"] == job["gpus-per-node"]
    assert re.fullmatch(r"TERM@\d+", job["signal"])
    option, program, *rest = arguments
    assert (option, program) == ("--kill-on-bad-exit=1", "python")
    check_world(rest, job["nodes"], job["ntasks-per-node"])
    check_python(rest, patch)


def check_world(arguments: list[str], nodes: str, per_node: str) -> None:
    for flag, expected in (("--trainer.num_nodes", nodes), ("--trainer.devices", per_node)):
        assert arguments[arguments.index(flag) + 1] == expected


@pytest.mark.usefixtures("parse_only")
@pytest.mark.parametrize("page", with_block("bash"))
def test_shell_blocks__every_command_is_accepted(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [block for block in blocks(page, "bash") if block not in PUBLISHED]
    for block in own:
        for program, *arguments in recorded(block, tmp_path):
            if program == "python":
                check_python(arguments, monkeypatch)
            elif program == "no-time-to-train":
                check_command(arguments, monkeypatch)
            elif program == "pip":
                check_pip(arguments)
            elif program == "bash":
                check_bash(arguments)
            elif program == "torchrun":
                check_torchrun(arguments, monkeypatch)
            elif program == "srun":
                check_srun(arguments, block, monkeypatch)
            elif program == "wget":
                assert arguments[0].startswith("https://")
            elif program == "conda" and arguments[:2] == ["env", "create"]:
                assert (ROOT / arguments[-1]).is_file()


def test_published_blocks__stand_in_the_pages_word_for_word() -> None:
    install, coco, custom = re.findall(r"```bash\n(.*?)```", PUBLISHED, flags=re.DOTALL)[:3]
    readme, page = TEXTS["README.md"], TEXTS["docs/custom_data.md"]
    assert install in readme
    assert coco in readme
    for part in custom.split("\n\n"):
        assert part.strip() in page


@pytest.fixture
def harbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the Python examples name, and the demo's networks in place of the large."""
    annotations = CocoAnnotations.read(ROOT / "photos/annotations/custom_references_with_segm.json")
    for name, category_id in (("bird", 11), ("boat", 4)):
        entry = next(a for a in annotations.annotations if a.category_id == category_id)
        image = annotations.images[entry.image_id]
        picture = Image.open(ROOT / "photos/images" / image.file_name).convert("RGB")
        picture.save(tmp_path / f"{name}.jpg")
        Image.fromarray(rasterise(entry, image)).save(tmp_path / f"{name}_mask.png")
    Image.open(ROOT / "photos/images/coins_bottom.png").convert("RGB").save(
        tmp_path / "harbour.jpg"
    )
    (tmp_path / "demo_models").symlink_to(ROOT / "demo_models")
    few = {"model_cfg": {"sam2_infer_cfgs": {"points_per_side": 6}}}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump({"model": {"init_args": few}}))
    configs = [*(ROOT / name for name in CONFIGS), tmp_path / "few.yaml"]
    from_config = FewShotSegmenter.from_config

    def small(*paths: str, **options: Any) -> FewShotSegmenter:
        assert all((ROOT / path).is_file() for path in paths)
        return from_config(*configs, device="cpu")

    monkeypatch.setattr(FewShotSegmenter, "from_preset", small)
    monkeypatch.setattr(FewShotSegmenter, "from_config", small)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", with_block("python"))
def test_python_blocks__run_with_the_networks_of_the_demo(page: str, harbour: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)
    assert (harbour / "found.png").is_file()
    assert set(names["prediction"].names) <= {"bird", "boat"}


def test_readme__is_short_and_shows_a_picture_first() -> None:
    lines = TEXTS["README.md"].splitlines()
    assert len(lines) <= 200
    first = next(line for line in lines if line and not line.startswith("<!--"))
    picture = re.fullmatch(r"!\[.+\]\((\S+)\)", first)
    assert picture
    path = ROOT / picture[1]
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        image.load()
    assert f"-m scripts.readme_picture {picture[1]}" in lines[0]


@pytest.mark.parametrize("page", NAMES)
def test_links__lead_to_files_and_headings_that_exist(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """What a heading is called in an address."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"(?ms)^```.*?^```", "", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def expanded(path: str) -> Iterator[str]:
    """A path with braces as bash expands them."""
    braces = re.search(r"\{([^{}]*)\}", path)
    if braces is None:
        yield path
        return
    for choice in braces[1].split(","):
        yield from expanded(path[: braces.start()] + choice + path[braces.end() :])


@pytest.mark.parametrize("page", NAMES)
def test_files__that_a_page_names_exist(page: str) -> None:
    for code in inline_code(page):
        for word in code.split():
            if not re.match(rf"(?:\./)?(?:{FOLDERS})/", word) or "<" in word:
                continue
            for path in expanded(word.rstrip(",.;")):
                assert (ROOT / path).exists() or list(ROOT.glob(path)), code


@pytest.mark.parametrize("page", [name for name in NAMES if name != "CHANGELOG.md"])
def test_settings__that_a_page_names_exist(page: str) -> None:
    for code in [*inline_code(page), *blocks(page, "bash"), *blocks(page, "yaml")]:
        for group, rest in re.findall(rf"\b({'|'.join(TOP)})\.([\w.*]+)", code):
            kinds: list[Any] = [TOP[group]]
            for part in rest.rstrip(".").split("."):
                hints = [hint for kind in kinds for hint in get_type_hints(kind).items()]
                kinds = [kind for name, kind in hints if part in (name, "*")]
                assert kinds, f"{group}.{rest}"
                kinds = [kind for kind in kinds if dataclasses.is_dataclass(kind)]


def test_tables__that_contributing_names_exist() -> None:
    tables = re.findall(r"`(no_time_to_train(?:\.\w+)+)\.([A-Z]+)`", TEXTS["CONTRIBUTING.md"])
    assert len(tables) == 7
    for module, name in tables:
        assert getattr(importlib.import_module(module), name)


def test_settings_page__is_what_its_script_writes() -> None:
    """Where it is not: python -m scripts.settings_page."""
    page = TEXTS["docs/settings.md"]
    assert settings_page.updated(page) == page


def test_field_docstrings__are_read_from_the_source() -> None:
    assert settings_page.field_docstrings(DataLoadConfig)["workers"].startswith("Processes that")


@pytest.mark.parametrize("page", NAMES)
def test_pages__name_no_document_that_a_clone_lacks(page: str) -> None:
    assert not re.findall(
        r"\b(?:DESIGN|STYLE|METHOD|BEYOND|BENCHMARKS)\.md|\.\./shared", TEXTS[page]
    )


def test_set_up__takes_one_time_wherever_it_is_named() -> None:
    (told,) = re.findall(r"\(once: (.*?)\)", (ROOT / "scripts/venv.sh").read_text())
    assert f"(once: {told})" in TEXTS["README.md"]
    others = [page for page in NAMES if re.search(r"\bminutes and [\d.]+ GB\b", TEXTS[page])]
    assert others == ["README.md"]
