"""`evaluate`: measures a stored list of COCO results by a benchmark's own rules."""

from __future__ import annotations

import json
import logging
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from no_time_to_train.commands.command_parser import CommandParser, check_known, whole_number
from no_time_to_train.commands.evaluations import EVALUATION_FILE, write_evaluation
from no_time_to_train.commands.run_metrics import RunMetrics, read_run_metrics
from no_time_to_train.dataset.benchmarks import BENCHMARKS, Benchmark, data_root
from no_time_to_train.dataset.script_entry import positive_int
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation import EVALUATORS
from no_time_to_train.evaluation.scores import percent
from no_time_to_train.output_checks import prepare_outputs
from no_time_to_train.signs_of_life import said_while

if TYPE_CHECKING:
    from no_time_to_train.coco.annotations import CocoAnnotations
    from no_time_to_train.coco.results import CocoRecord
    from no_time_to_train.evaluation.scores import Scores

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """Whose results are measured, by what."""

    results: Path
    truth: Path
    split: str
    cat_names: Sequence[str] | None
    """Classes in place of those of the split."""
    metrics: str
    """A row of EVALUATORS."""


def main(arguments: list[str]) -> None:
    """Measure a list of results, show it, and write `evaluation.json`.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: There is no such benchmark or split, or the files cannot be compared.
    """
    options = _build_parser().parse_args(arguments)
    inputs = _inputs(options)
    out = options.out or options.results.with_name(EVALUATION_FILE)
    read = {"RESULTS": options.results, "--truth": inputs.truth}
    prepare_outputs({"--out": out}, read | ({"--run": options.run} if options.run else {}))
    if options.out is None:
        _refuse_another(out, options.results)
    run = read_run_metrics(options.run) if options.run else RunMetrics()
    with said_while("measuring accuracy"):
        annotations, scores = _measure(inputs, run)
    logger.info("%s", scores.text)
    _write(out, options, inputs, run, annotations, scores)
    name, value = next(iter(scores.numbers.items()))
    logger.info("%s: %s", name, "no ground truth" if value is None else percent(value))
    logger.info("%s written", out)


def _build_parser() -> CommandParser:
    ways = " ".join(f"{name}: {row.summary}" for name, row in EVALUATORS.items())
    parser = CommandParser("evaluate", f"Benchmarks: {', '.join(BENCHMARKS)}. Metrics: {ways}")
    add = parser.add_argument
    add("results", type=Path, metavar="RESULTS", help="COCO results, as --export_result writes.")
    add("--benchmark", required=True, metavar="NAME", help="Whose rules and ground truth.")
    add("--split", metavar="NAME", help="Its classes; default: the published ones, if one.")
    add("--cat-names", metavar="A,B", help="Classes in place of those of the split.")
    add("--truth", type=Path, metavar="FILE", help="Ground truth, where not the benchmark's own.")
    add("--shots", type=positive_int, metavar="N", help="References per class of the run.")
    add("--seed", type=whole_number, metavar="N", help="Of the draw of its references.")
    add("--metrics", metavar="NAME", help="Others than the benchmark's own.")
    add(
        "--run",
        type=Path,
        metavar="METRICS",
        help="metrics.json of the run: which images it covers, and which could not be read.",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"Where to write; by default {EVALUATION_FILE} beside the results.",
    )
    return parser


def _inputs(options: Namespace) -> Inputs:
    check_known(options.benchmark, BENCHMARKS, "benchmark")
    benchmark = BENCHMARKS[options.benchmark]
    names = options.cat_names and [name.strip() for name in options.cat_names.split(",")]
    split = _split(options.benchmark, benchmark, options.split, is_known=names is None)
    metrics = options.metrics or benchmark.metrics
    check_known(metrics, EVALUATORS, "row of metrics")
    truth = options.truth or _own_truth(benchmark, split, options.shots)
    return Inputs(options.results, truth, split, names, metrics)


def _split(name: str, benchmark: Benchmark, split: str | None, is_known: bool) -> str:
    if split is not None:
        if is_known:
            check_known(split, benchmark.splits, f"split of {name}")
        return split
    usual = benchmark.usual_splits or tuple(benchmark.splits)
    if len(usual) > 1:
        raise InputError(f"{name} has several splits; add --split {'|'.join(usual)}")
    return usual[0]


def _own_truth(benchmark: Benchmark, split: str, shots: int | None) -> Path:
    template = benchmark.test.annotations
    if "{shots}" in template and shots is None:
        raise InputError(f"the ground truth of {benchmark.title} is by shots; add --shots N")
    return data_root() / template.format(split=split, shots=shots)


def _refuse_another(out: Path, results: Path) -> None:
    """Keep the numbers of one file from replacing those of another in the same folder."""
    try:
        before = Path(json.loads(out.read_text(encoding="utf-8"))["files"]["results"]["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if before.name != results.name:
        raise InputError(f"{out} is the evaluation of {before.name}; give this one's with --out")


def _measure(inputs: Inputs, run: RunMetrics) -> tuple[CocoAnnotations, Scores]:
    # numpy and pycocotools are loaded once it is known that there is something to measure.
    from no_time_to_train.coco.annotations import CocoAnnotations
    from no_time_to_train.dataset.class_splits import wanted_categories
    from no_time_to_train.evaluation.stored_results import read_results

    annotations = CocoAnnotations.read(inputs.truth)
    categories = wanted_categories(annotations, inputs.split, inputs.cat_names)
    category_ids = [category.id for category in categories]
    records = read_results(inputs.results, annotations)
    if run.image_ids is not None:
        annotations = annotations.restricted_to(run.image_ids)
    _check_results(inputs, run, annotations, records)
    others = sum(record["category_id"] not in category_ids for record in records)
    if others:
        logger.warning(
            "Results of classes outside of %s that are left out: %d", inputs.split, others
        )
    return annotations, EVALUATORS[inputs.metrics].load()(annotations, category_ids, records)


def _check_results(
    inputs: Inputs, run: RunMetrics, annotations: CocoAnnotations, records: Sequence[CocoRecord]
) -> None:
    needs_masks = EVALUATORS[inputs.metrics].needs_masks
    if needs_masks and any("segmentation" not in record for record in records):
        raise InputError(f"{inputs.results} has boxes alone, and {inputs.metrics} compares masks")
    found = {record["image_id"] for record in records}
    if strays := found - annotations.images.keys():
        raise InputError(
            f"{inputs.results} has results for images that {run.path} does not list, such as "
            f"{next(iter(strays))!r}; give the metrics.json of the same run"
        )
    numbers = len(records), len(found), len(annotations.images)
    logger.info("%d results in %d of %d images", *numbers)


def _write(
    out: Path,
    options: Namespace,
    inputs: Inputs,
    run: RunMetrics,
    annotations: CocoAnnotations,
    scores: Scores,
) -> None:
    about = {
        "benchmark": options.benchmark,
        "title": BENCHMARKS[options.benchmark].title,
        "split": inputs.split,
        "shots": options.shots,
        "seed": options.seed,
        "metrics": inputs.metrics,
    }
    images = {
        "images": len(annotations.images),
        "bad_images": list(run.bad_images),
        "limited_by": run.limited_by,
    }
    files = {"results": inputs.results, "truth": inputs.truth}
    write_evaluation(out, about, scores, images, files)
