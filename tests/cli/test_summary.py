"""Tables of many runs: the published ones come out, in every format; what is missing is named."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from no_time_to_train.commands.runs import Run, write_runs
from no_time_to_train.dataset.benchmarks import BENCHMARKS, Benchmark, Images
from no_time_to_train.evaluation.layouts import LAYOUTS, Layout
from no_time_to_train.evaluation.published import AVERAGE, Key, published_numbers
from tests.cli.conftest import run_command
from tests.cli.test_wrong_settings import assert_one_line

TEN_SEEDS = """
42 13 27 36 88 33 69 55 77 99
22.0/21.0 24.1/22.3 25.0/23.3 26.5/24.9 24.7/23.2 25.6/24.1 23.2/21.2 26.8/25.3 23.9/22.1 23.0/21.2
27.1/25.3 31.0/29.0 31.1/28.8 31.4/29.5 29.5/27.3 30.7/28.5 29.6/27.7 29.6/27.9 29.7/27.7 25.1/23.1
32.0/29.8 34.0/31.8 32.6/30.4 33.7/31.6 32.6/30.2 32.4/29.7 32.6/30.5 32.3/30.5 31.0/28.9 29.3/27.1
34.0/31.8 35.7/33.2 33.9/31.6 35.1/32.9 34.3/31.9 35.1/32.4 34.2/32.0 34.6/32.4 34.4/31.9 33.0/30.6
35.2/32.8 36.2/33.8 35.8/33.3 36.3/33.9 36.2/33.7 36.6/33.8 36.3/33.7 35.9/33.5 35.7/32.9 35.1/32.6
36.7/34.2 36.9/34.4 37.1/34.4 36.9/34.4 37.2/34.6 37.3/34.7 36.6/34.0 37.1/34.6 36.8/34.2 36.9/34.3
"""
"""Published box / mask AP x 100 of COCO's novel classes, one line for each of MEANS."""
MEANS = {  # shots: as the paper prints them, over these ten seeds
    1: ("24.5 ± 1.5", "22.9 ± 1.6"),
    2: ("29.5 ± 2.0", "27.5 ± 1.9"),
    3: ("32.3 ± 1.3", "30.1 ± 1.3"),
    5: ("34.4 ± 0.8", "32.1 ± 0.7"),
    10: ("35.9 ± 0.5", "33.4 ± 0.5"),
    30: ("37.0 ± 0.2", "34.4 ± 0.2"),
}
NUMBERS = ("box nAP", "mask nAP")


def ten_seeds() -> Iterator[tuple[int, int, list[str]]]:
    """Shots, seed, and AP of boxes and of masks as printed."""
    head, *lines = (line.split() for line in TEN_SEEDS.strip().splitlines())
    for shots, cells in zip(MEANS, lines, strict=True):
        for seed, cell in zip(head, cells, strict=True):
            yield shots, int(seed), cell.split("/")


def write(
    folder: str | Path,
    numbers: dict[str, float | None],
    benchmark: str = "coco",
    split: str = "few_shot_classes",
    shots: int | None = 30,
    seed: int | None = 33,
    **changes: Any,
) -> None:
    """An evaluation.json as `evaluate` writes it; numbers x 100."""
    metrics = BENCHMARKS[benchmark].metrics
    content = {"benchmark": benchmark, "title": BENCHMARKS[benchmark].title, "split": split}
    content |= {"shots": shots, "seed": seed, "metrics": metrics, "per_class": [], "images": 9}
    content["numbers"] = {k: None if v is None else v / 100 for k, v in numbers.items()}
    content |= {"bad_images": [], "limited_by": None, "files": {}, "versions": {}, **changes}
    path = Path(folder, "evaluation.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))


def text(*arguments: str) -> str:
    outcome = run_command("summary", *(arguments or (".",)))
    assert outcome.code == 0, outcome.err
    return outcome.out


def rows(shown: str) -> list[list[str]]:
    """The cells of every line of text."""
    return [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sixty_runs(folder: Path) -> Path:
    """The published ten-seed table as evaluations."""
    for shots, seed, cells in ten_seeds():
        numbers = dict(zip(NUMBERS, map(float, cells), strict=True))
        write(f"runs/{shots}shot/seed{seed}", numbers, shots=shots, seed=seed)
    return folder


def check_ten_seeds(tables: list[list[list[str]]]) -> None:
    """Tables of strings: a head, and a row per number of shots."""
    assert len(tables) == 2
    for kind, (head, *lines) in enumerate(tables):
        assert head[-2:] == ["mean", "published"]
        assert [line[0] for line in lines] == [str(shots) for shots in MEANS]
        for line in lines:
            assert line[-2] == line[-1] == MEANS[int(line[0])][kind]
        cells = {
            (int(line[0]), int(seed)): cell
            for line in lines
            for seed, cell in zip(head[1:-2], line[1:-2], strict=True)
        }
        assert cells == {(shots, seed): pair[kind] for shots, seed, pair in ten_seeds()}


def test_ten_seeds__come_out_as_text(sixty_runs: Path) -> None:
    shown = text("runs")
    tables = [part for part in shown.split("\n\n") if part.startswith("shots")]
    check_ten_seeds([rows(table) for table in tables])
    assert "missing" not in shown and "*" not in shown


def test_ten_seeds__come_out_as_markdown(sixty_runs: Path) -> None:
    parts = text("runs", "--format", "markdown").split("\n\n")
    tables = [
        [line.strip("| ").split(" | ") for line in part.splitlines() if "---" not in line]
        for part in parts
        if part.startswith("|")
    ]
    check_ten_seeds(tables)


def test_ten_seeds__come_out_as_latex(sixty_runs: Path) -> None:
    shown = text("runs", "--format", "latex").replace("$\\pm$", "±")
    bodies = re.findall(r"\\begin{tabular}{(l)(r+)}\n(.*?)\\end{tabular}", shown, re.DOTALL)
    tables = [
        [line.removesuffix(r" \\").split(" & ") for line in body.splitlines() if "&" in line]
        for _, _, body in bodies
    ]
    check_ten_seeds(tables)
    assert {1 + len(columns) for _, columns, _ in bodies} == {len(tables[0][0])} == {13}


def test_ten_seeds__come_out_as_csv(sixty_runs: Path) -> None:
    text("runs", "--format", "csv", "--out", "table.csv")
    with Path("table.csv").open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == 132
    for cell in cells:
        assert cell["value"] == cell["published"] and cell["std"] == cell["published_std"]
        if cell["seed"] == AVERAGE:
            mean = MEANS[int(cell["shots"])][NUMBERS.index(cell["number"])]
            assert f"{cell['value']} ± {cell['std']}" == mean
    own = {(cell["shots"], cell["seed"], cell["number"]): cell["value"] for cell in cells}
    for shots, seed, pair in ten_seeds():
        assert [own[str(shots), str(seed), number] for number in NUMBERS] == pair


def test_ten_seeds__come_out_as_json_in_full_precision(sixty_runs: Path) -> None:
    content = json.loads(text("runs", "--format", "json"))
    assert content["missing"] == content["notes"] == []
    (mean,) = [
        cell
        for cell in content["cells"]
        if (cell["shots"], cell["seed"], cell["number"]) == (1, AVERAGE, "box nAP")
    ]
    # The ten values add up to 244.8, their squares to 6014.2: variance (6014.2 - 5992.704) / 9.
    assert mean["value"] == pytest.approx(0.2448)
    assert mean["std"] == pytest.approx(0.0154546, abs=1e-7)
    assert (mean["runs"], mean["published"], mean["published_std"]) == (10, 0.245, 0.015)
    assert mean["differs"] is False


def test_published_numbers__are_those_of_the_paper() -> None:
    known = published_numbers("coco")
    assert len(known) == 132
    for shots, seed, pair in ten_seeds():
        for number, printed in zip(NUMBERS, pair, strict=True):
            found = known[Key("few_shot_classes", shots, seed, number)]
            assert (found.value, found.std) == (pytest.approx(float(printed) / 100), None)


def test_difference__is_marked_beyond_the_spread_and_half_a_point(folder: Path) -> None:
    # 30 shots: 37.3 with seed 33, the mean is 37.0 +- 0.2. One shot: 24.5 +- 1.5.
    write("a", {"box nAP": 37.9}, seed=33)
    write("b", {"box nAP": 36.7}, seed=42)
    write("c", {"box nAP": 25.6}, shots=1, seed=33)
    write("d", {"box nAP": 26.1}, shots=1, seed=42)
    shown = rows(text())
    assert shown[2] == ["shots", "33", "42", "mean", "published"]
    assert shown[3] == ["1", "25.6", "26.1*", "25.9 ± 0.4", "24.5 ± 1.5"]
    assert shown[4] == ["30", "37.9*", "36.7", "37.3 ± 0.8", "37.0 ± 0.2"]
    assert shown[6][0].startswith("* differs from the published value by more than its spread")
    marked = [r"37.9\*", "37.9$^{*}$"]
    for style, cell in zip(("markdown", "latex"), marked, strict=True):
        assert f" {cell} " in text(".", "--format", style)


def test_missing_runs__would_complete_the_table(folder: Path) -> None:
    for shots, seed in ((1, 33), (1, 42), (5, 33)):
        write(f"{shots}_{seed}", {"box nAP": 30}, shots=shots, seed=seed)
    write("all", {"box nAP": 20}, split="default_classes", shots=10, seed=7)
    shown = text()
    assert "missing: coco, few_shot_classes, 5 shots, seed 42" in shown
    assert shown.count("missing") == 1
    assert ["5", "30.0", "-", "30.0", "34.4 ± 0.8"] in [
        [cell.rstrip("*") for cell in row] for row in rows(shown)
    ]


def test_missing_runs__are_those_of_the_list(folder: Path) -> None:
    runs = [Run("coco", "few_shot_classes", 30, seed, f"seed{seed}") for seed in (42, 13, 33)]
    runs += [Run("voc", "pascal_voc_split_1", 1, 33, "../elsewhere/voc")]
    write_runs(Path("sweep"), runs)
    write("sweep/seed42", {"box nAP": 36.7}, seed=42)
    write("sweep/seed33", {"box nAP": 37.3}, seed=33)
    shown = text("sweep")
    assert "missing: coco, few_shot_classes, 30 shots, seed 13: nothing in sweep/seed13" in shown
    assert "missing: voc, pascal_voc_split_1, 1 shot, seed 33" in shown
    content = json.loads(text("sweep", "--format", "json"))
    assert [(run["benchmark"], run["seed"]) for run in content["missing"]] == [
        ("coco", 13),
        ("voc", 33),
    ]
    write("elsewhere/voc", {"nAP50": 60}, "voc", "pascal_voc_split_1", 1)
    assert "missing: voc" not in text("sweep")  # found where the list says, beside the sweep
    with Path("cells.csv").open("w") as file:
        file.write(text("sweep", "--format", "csv"))
    with Path("cells.csv").open() as file:
        cells = {(cell["benchmark"], cell["seed"]): cell for cell in csv.DictReader(file)}
    assert (cells["coco", "13"]["value"], cells["coco", "13"]["runs"]) == ("", "0")


def test_coco__means_at_each_threshold_have_a_table(folder: Path) -> None:
    for seed, value in ((33, 55.0), (42, 57.0)):
        numbers = {"box nAP": 37.0, "box nAP50": value, "box nAP75": 40, "mask nAP50": None}
        write(str(seed), numbers, seed=seed)
    first, second = text().strip().split("\n\n")[::2]
    assert first.endswith("by shots and seed")
    assert second == "COCO, few_shot_classes by shots and number"
    assert rows(text())[-2:] == [
        ["shots", "box nAP50", "box nAP75"],
        ["30", "56.0 ± 1.4", "40.0 ± 0.0"],
    ]


def test_voc__splits_by_shots_with_averages_over_all_runs(folder: Path) -> None:
    values = {}
    for split in (1, 2, 3):
        for shots in (1, 2, 3, 5, 10):
            values[split, shots] = 10 * split + shots
            name = f"pascal_voc_split_{split}"
            numbers = {"nAP50": values[split, shots], "box AP": 1}
            write(f"{split}/{shots}", numbers, "voc", name, shots)
    shown = rows(text())
    assert shown[2] == ["split", "1", "2", "3", "5", "10", "average"]
    # Shots add up to 21, a fifth of it is 4.2.
    assert shown[3] == ["pascal_voc_split_1", "11.0", "12.0", "13.0", "15.0", "20.0", "14.2"]
    assert shown[6] == ["average", "21.0", "22.0", "23.0", "25.0", "30.0", "24.2*"]
    assert shown[7] == ["published", "-", "-", "-", "-", "-", "71.2"]


def test_cdfsod__sets_by_shots_with_the_published_averages(folder: Path) -> None:
    sets = list(BENCHMARKS["cdfsod"].splits)
    assert len(sets) == 6
    for number, name in enumerate(sets):
        for shots in (1, 5):
            numbers = {"box mAP": 10 + 2 * number + shots, "mask mAP": None}
            write(f"{name}/{shots}", numbers, "cdfsod", name, shots, 42)
    shown = rows(text())
    # Six sets, two points apart: the mean is five above the first.
    assert shown[2] == ["split", "1", "5"]
    assert shown[9] == ["average", "16.0*", "20.0*"]
    assert shown[10] == ["published", "18.0", "22.4"]


def test_average__needs_every_run_that_it_is_over(folder: Path) -> None:
    for split in (1, 2, 3):
        for shots in (1, 2):
            if (split, shots) != (3, 2):
                write(f"{split}/{shots}", {"nAP50": 70}, "voc", f"pascal_voc_split_{split}", shots)
    shown = rows(text())
    assert shown[5] == ["pascal_voc_split_3", "70.0", "-", "-"]
    assert shown[6] == ["average", "70.0", "-", "-"]
    assert "published" not in str(shown)  # an average over fewer shots is another number


def test_seeds__that_have_no_place_of_their_own_are_a_mean(folder: Path) -> None:
    for seed, value in ((33, 60.0), (42, 63.0)):
        write(f"{seed}", {"nAP50": value}, "voc", "pascal_voc_split_1", 1, seed)
    assert ["pascal_voc_split_1", "61.5 ± 2.1", "61.5"] in rows(text())  # 3 / sqrt 2


def test_benchmark__of_a_new_row_has_a_table_and_an_average(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout("split", "number", averages=("split",), numbers=("a", "b", "c"))
    monkeypatch.setitem(LAYOUTS, "mine", (layout,))
    splits = {"one": Path("x"), "two": Path("x")}
    row = Benchmark("Mine", splits, Images("", ""), Images("", ""), "", "mine", (5,), (1,))
    monkeypatch.setitem(BENCHMARKS, "mine", row)
    for split, value in (("two", 30), ("one", 20)):
        write(split, {"b": value, "a": 2 * value, "c": None}, "mine", split, 5, 1)
    shown = rows(text())
    assert shown[0] == ["Mine, shots 5 by split and number"]
    assert shown[2:] == [
        ["split", "a", "b"],
        ["one", "40.0", "20.0"],
        ["two", "60.0", "30.0"],
        ["average", "50.0", "25.0"],
    ]


def test_images__that_could_not_be_read_or_did_not_run_are_told(folder: Path) -> None:
    bad = [{"file_name": f"{n}.jpg", "reason": "it is cut off"} for n in range(3)]
    write("a", {"box nAP": 37.3}, bad_images=bad)
    write("b", {"box nAP": 36.7}, seed=42, limited_by="trainer.limit_test_batches 10")
    shown = text()
    assert "coco, few_shot_classes, 30 shots, seed 33: 3 images could not be read" in shown
    part = "seed 42: a part of the images only (trainer.limit_test_batches 10)"
    assert part in shown
    assert part in run_command("summary", ".", "--format", "csv").err
    assert "% coco, few_shot_classes" in text(".", "--format", "latex")


def test_file__that_evaluate_has_not_written_is_named_and_left_out(folder: Path) -> None:
    write("a", {"box nAP": 37.3})
    Path("b").mkdir()
    Path("b/evaluation.json").write_text('{"accuracy": 1}')
    assert "b/evaluation.json is not what `evaluate` writes" in text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["there is no folder nowhere"]),
        (["empty"], ["there is no evaluation.json in empty", "`evaluate` writes"]),
        (["full", "--out", "full/a/evaluation.json"], ["--out", "evaluation.json", "reads"]),
        (["listed", "--out", "listed/runs.json"], ["--out", "the list of runs listed/runs.json"]),
        (["full", "--format", "html"], ["--format", "'html'", "markdown"]),
        (["full", "again"], ["full/a", "again", "seed 33, and differ"]),
        (["broken"], ["broken/runs.json", "a run must have benchmark, split"]),
        (["strange"], ["strange/runs.json", "did you mean coco?"]),
    ],
)
def test_arguments__that_do_not_fit_are_one_line(
    folder: Path, arguments: list[str], words: list[str]
) -> None:
    Path("empty").mkdir()
    write("full/a", {"box nAP": 37.3})
    write("again", {"box nAP": 37.2})
    write("broken/a", {"box nAP": 1})
    Path("broken/runs.json").write_text('[{"benchmark": "coco"}]')
    write("listed/a", {"box nAP": 1})
    write_runs(Path("listed"), [Run("coco", "few_shot_classes", 30, 33, "a")])
    write_runs(Path("strange"), [Run("coca", "few_shot_classes", 1, 1, "a")])
    assert_one_line(run_command("summary", *arguments), *words)


def test_evaluation__that_was_copied_counts_once(folder: Path) -> None:
    write("a", {"box nAP": 37.3})
    write("copy/a", {"box nAP": 37.3})
    assert ["30", "37.3", "37.3", "37.0 ± 0.2"] in rows(text())


def test_lvis__has_a_column_for_each_of_its_numbers(folder: Path) -> None:
    numbers = {"box AP": 20, "box APr": 15, "box APf": 24, "box AP as published": 13}
    write("all", numbers, "lvis_minival", "lvis_minival", 10)
    write(
        "rare",
        {"box AP": 15, "box APr": 15, "mask AP": 12},
        "lvis_minival",
        "lvis_minival_rare",
        10,
    )
    assert rows(text())[0] == ["LVIS minival, shots 10 by split and number"]
    assert rows(text())[2:] == [
        ["split", "box AP", "box APr", "box APf", "box AP as published", "mask AP"],
        ["lvis_minival", "20.0", "15.0", "24.0", "13.0", "-"],
        ["lvis_minival_rare", "15.0", "15.0", "-", "-", "12.0"],
    ]


def test_benchmarks__have_a_table_each(folder: Path) -> None:
    for fold in (1, 2, 3, 4):
        for shots in (1, 5):
            numbers = {"mIoU": 10 * fold + shots, "mIoU as published": 50}
            name = f"coco_semantic_split_{fold}"
            write(f"coco20i/{fold}/{shots}", numbers, "coco20i", name, shots, 42)
    for fold in (1, 2):
        episodes = {"title": "COCO-20i episodes", "metrics": "coco20i_episodes"}
        name = f"coco_semantic_split_{fold}"
        write(f"episodes/{fold}", {"mIoU": 40 * fold}, "coco20i", name, 1, 0, **episodes)
    write("coco", {"box nAP": 37})
    tables = text().split("\n\n")

    assert [line for line in tables if " by " in line] == [
        "COCO, few_shot_classes: box nAP by shots and seed",
        "COCO-20i: mIoU by split and shots",
        "COCO-20i: mIoU as published by split and shots",
        "COCO-20i episodes: mIoU by split and shots",
    ]
    assert ["average", "26.0", "30.0"] in rows(tables[3])
    assert ["average", "60.0"] in rows(tables[7])
