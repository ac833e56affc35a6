"""`episodes`: COCO-20i by episodes, the protocol of few-shot segmentation."""

from __future__ import annotations

import logging
from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from no_time_to_train.commands.command_parser import CommandParser, whole_number
from no_time_to_train.commands.evaluations import EVALUATION_FILE, write_evaluation
from no_time_to_train.commands.pipeline.command_lines import in_checkout
from no_time_to_train.dataset.benchmarks import BENCHMARKS, data_root
from no_time_to_train.dataset.script_entry import positive_int, score_threshold
from no_time_to_train.files import sha256
from no_time_to_train.output_checks import prepare_outputs

if TYPE_CHECKING:
    from no_time_to_train.coco.annotations import Category, CocoAnnotations
    from no_time_to_train.dataset.episodes import Episode
    from no_time_to_train.evaluation.scores import Scores
    from no_time_to_train.settings import Settings

BENCHMARK = BENCHMARKS["coco20i"]
ANNOTATIONS = "coco/annotations/instances_val2014.json"
IMAGES = "coco/val2014"
"""Below `data_root`: what the protocol draws from."""
METRICS = "coco20i_episodes"
LOG_FILE = "episodes.jsonl"
MAX_SEED = 2**32 - 1
"""Largest of numpy's legacy generator."""
MODEL_SETTINGS = ("sam2_cfg_file", "sam2_infer_cfgs", "encoder_cfg", "compute_cfg")
"""Of `model_cfg`, those that change what is found."""

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    """Draw episodes, segment their queries, and write `episodes.jsonl` and `evaluation.json`.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: A file is missing or damaged, a class has too few images, or the folder holds
            episodes of another run.
    """
    options = _build_parser().parse_args(arguments)
    options.config = options.config or [Path(in_checkout(BENCHMARK.config))]
    options.json_file = options.json_file or data_root() / ANNOTATIONS
    outputs = [options.out / LOG_FILE, options.out / EVALUATION_FILE]
    files = {"--json-file": options.json_file} | _given("--split-list", options.split_list)
    prepare_outputs({"--out": outputs}, files | {"--config": options.config})
    episodes, scores = _measure(options)
    logger.info("%s", scores.text)
    _write(outputs[1], options, episodes, scores, files)
    logger.info("%s written", outputs[1])


def _given(name: str, path: Path | None) -> dict[str, Path]:
    return {} if path is None else {name: path}


def _build_parser() -> CommandParser:
    parser = CommandParser(
        "episodes",
        "The same command goes on where an earlier one was stopped, and with more --episodes adds "
        "to them.",
    )
    add = parser.add_argument
    add("--fold", type=int, choices=range(1, 5), required=True, help="Of coco_semantic_split_1-4.")
    add("--shots", type=positive_int, required=True, metavar="N", help="Supports per episode.")
    add("--seed", type=_seed, required=True, metavar="N", help="Of the draw of episodes.")
    add("--out", type=Path, required=True, metavar="FOLDER", help="For the episodes and numbers.")
    add("--episodes", type=positive_int, default=1000, metavar="N", help="By default 1000.")
    lowest = "Lowest score of instances that make up the mask, by default 0.5."
    add("--score-thr", type=score_threshold, default=0.5, metavar="X", help=lowest)
    add("--device", metavar="NAME", help="Such as cuda:1; by default what the settings say.")
    _add_files(parser)
    return parser


def _add_files(parser: CommandParser) -> None:
    for flag, metavar, text in (
        ("--json-file", "FILE", "Annotations; by default COCO's val2014."),
        ("--img-dir", "FOLDER", "Images; by default COCO's val2014."),
        ("--split-list", "FILE", "Images to draw from, one name a line; by default all."),
    ):
        parser.add_argument(flag, type=Path, metavar=metavar, help=text)
    settings = f"Settings, later ones winning; by default {BENCHMARK.config}."
    parser.add_argument("--config", type=Path, action="append", metavar="FILE", help=settings)


def _seed(text: str) -> int:
    seed = whole_number(text)
    if seed > MAX_SEED:
        raise ArgumentTypeError(f"must be at most {MAX_SEED}, got {text[:40]!r}")
    return seed


def _draw(
    options: Namespace,
) -> tuple[CocoAnnotations, Sequence[Category], Sequence[Episode]]:
    # numpy and pycocotools are loaded once the arguments are known to be right.
    from no_time_to_train.coco.annotations import CocoAnnotations
    from no_time_to_train.dataset.class_splits import wanted_categories
    from no_time_to_train.dataset.episodes import draw_episodes, read_image_list

    annotations = CocoAnnotations.read(options.json_file)
    categories = wanted_categories(annotations, _split(options), None)
    images = list(annotations.images)
    if options.split_list is not None:
        images = read_image_list(options.split_list, annotations)
    draw = options.shots, options.seed, options.episodes
    return annotations, categories, draw_episodes(annotations, categories, images, *draw)


def _split(options: Namespace) -> str:
    return f"coco_semantic_split_{options.fold}"


def _measure(options: Namespace) -> tuple[Sequence[Episode], Scores]:
    annotations, categories, episodes = _draw(options)

    # Now torch, too.
    from no_time_to_train.commands.episode_log import EpisodeLog
    from no_time_to_train.commands.episode_runs import Task, run_episodes
    from no_time_to_train.evaluation.episodes import evaluate_episodes
    from no_time_to_train.settings import read_configs

    settings = read_configs(options.config)
    log = EpisodeLog(options.out / LOG_FILE, _identity(options, settings))
    logger.info(
        "%s: %d of %d episodes are there; where this is stopped, the same command goes on",
        log.path,
        min(len(log.done), len(episodes)),
        len(episodes),
    )
    if len(log.done) < len(episodes):
        folder = options.img_dir or data_root() / IMAGES
        task = Task(annotations, episodes, folder, options.score_thr)
        run_episodes(task, log, settings, options.device)
    return episodes, evaluate_episodes(categories, log.done[: len(episodes)])


def _identity(options: Namespace, settings: Settings) -> dict[str, Any]:
    """What the numbers depend on; of files, the content."""
    model, data = settings.model, settings.datasets
    files = {
        "--json-file": options.json_file,
        "--split-list": options.split_list,
        "model_cfg.sam2_ckpt_path": Path(model.sam2_ckpt_path),
        "model_cfg.encoder_ckpt_path": Path(model.encoder_ckpt_path),
    }
    return {
        **{f"--{name}": vars(options)[name] for name in ("fold", "shots", "seed", "score_thr")},
        **{name: path and _content_of(path) for name, path in files.items()},
        "model_cfg": {key: value for key, value in asdict(model).items() if key in MODEL_SETTINGS},
        "dataset_cfgs.fill_memory.context_ratio": data.fill_memory.context_ratio,
        "dataset_cfgs.test.image_size": settings.image_size,
    }


def _content_of(path: Path) -> str:
    return sha256(path) if path.is_file() else str(path)


def _write(
    path: Path,
    options: Namespace,
    episodes: Sequence[Episode],
    scores: Scores,
    files: Mapping[str, Path],
) -> None:
    about = {
        "benchmark": "coco20i",
        "title": f"{BENCHMARK.title} episodes",
        "split": _split(options),
        "shots": options.shots,
        "seed": options.seed,
        "metrics": METRICS,
    }
    images = {
        "images": len({episode.query for episode in episodes}),
        "episodes": len(episodes),
        "bad_images": [],
        "limited_by": None,
    }
    named = {name.removeprefix("--").replace("-", "_"): path for name, path in files.items()}
    write_evaluation(path, about, scores, images, named)
