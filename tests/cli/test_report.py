"""`report`: pages of finished runs, or one line that says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from no_time_to_train.files import sha256
from tests.cli.conftest import run_command, segment
from tests.cli.test_wrong_settings import assert_one_line
from tests.unit.html_pages import Page
from tests.unit.report_runs import instance, write_predict_run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two small runs of `predict`."""
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        write_predict_run(Path(name), [instance(1, 1, 0.9)], ["a.png"], [f"coin of {name}"])
    return ["first", "second"]


def test_report__writes_a_page_into_the_folder_of_each_run(runs: list[str]) -> None:
    outcome = run_command("report", *runs)
    assert outcome.code == 0, outcome.err
    for name in runs:
        page = Path(name, "report.html")
        assert f"coin of {name}" in Page(page.read_text()).text
        assert f"{page} written" in outcome.out


def test_report__of_one_run_goes_where_it_is_wanted(runs: list[str]) -> None:
    assert run_command("report", "first/run.json", "--out", "pages/x.html").code == 0
    assert Path("pages/x.html").is_file()
    assert not Path("first/report.html").exists()


def test_wrong_arguments__are_refused_before_any_page(runs: list[str]) -> None:
    Path("empty").mkdir()
    for arguments, said in (
        (("report", *runs, "--out", "x.html"), "--out names one file, and there are 2 runs"),
        (("report", "first", "nowhere"), "there is no folder nowhere"),
        (("report", "first", "empty"), "empty is no folder of a run"),
        (("report", "first", "--out", "first/run.json"), "would replace the run first/run.json"),
        (("report",), "the following arguments are required: RUN"),
    ):
        assert_one_line(run_command(*arguments), said)
    assert not list(Path().rglob("*.html"))


def test_test_report__is_what_report_makes_of_the_finished_run(memories_dir: Path) -> None:
    outcome = segment("--report", "--export_result", "results.json")
    assert outcome.code == 0, outcome.err
    (page,) = memories_dir.rglob("report.html")
    assert f"Report written to {page.relative_to(memories_dir)}" in outcome.out
    written = page.read_bytes()
    shown = Page(written.decode())
    assert shown.all("image")
    assert shown.all("table", **{"class": "matrix"})
    assert shown.fetched() == []
    assert run_command("report", str(page.parent)).code == 0
    assert page.read_bytes() == written


def test_metrics__say_where_a_run_comes_from(memories_dir: Path) -> None:
    assert segment("--export_result", "results.json").code == 0
    (path,) = memories_dir.rglob("metrics.json")
    metrics = json.loads(path.read_text())
    assert metrics["files"]["--ckpt_path"] == sha256(Path("memory.pth"))
    assert metrics["results"] == ["results.json"]
    assert metrics["machine"]["device"] == "cpu"
    assert metrics["peak_memory_mb"]["process"] > 100
    assert not list(memories_dir.rglob("report.html"))
