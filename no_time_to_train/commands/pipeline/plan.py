"""The steps of a run: draw references, fill, post-process, test, evaluate.

The commands are the published ones, flag by flag in their order, with what this project adds
behind them: where results go, the number of classes, the root of the data sets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from no_time_to_train.commands.pipeline.command_lines import (
    DATA,
    MODEL,
    STAGE,
    config_files_of,
    flag_value,
    flags,
    in_checkout,
    log_folder,
    python,
    settings_of,
)
from no_time_to_train.commands.pipeline.data_files import DataFiles, located
from no_time_to_train.commands.pipeline.step import Step
from no_time_to_train.commands.pipeline.sweep import Run
from no_time_to_train.dataset.benchmarks import CLASS_LISTS, ROOT_VARIABLE

OUTSIDE_SLURM = ("env", "SLURM_JOB_NAME=interactive")
"""In front of a command that one process runs, which Lightning would take for one of a job's."""
LENGTH = f"{MODEL}memory_bank_cfg.length"
CATEGORY_NUM = f"{MODEL}memory_bank_cfg.category_num"
LOG_FOLDER = "--trainer.logger.save_dir"
REFERENCE_ANNOTATIONS = "the annotations of the references"
TARGET_ANNOTATIONS = "the annotations of the targets"
ENCODER = {"the weights of the encoder": "model_cfg.encoder_ckpt_path"}
REFERENCES = {
    REFERENCE_ANNOTATIONS: "dataset_cfgs.fill_memory.json_file",
    "the reference set": "dataset_cfgs.fill_memory.memory_pkl",
}
TARGETS = {
    "the weights of SAM 2": "model_cfg.sam2_ckpt_path",
    "the proposals": "model_cfg.proposer_cfg.file",
    TARGET_ANNOTATIONS: "dataset_cfgs.test.json_file",
}
"""Files that a stage reads, by what they are -> the setting that names them."""
OF_TARGETS = (
    f"{DATA}test.",
    f"{MODEL}test.",
    *("--export_result", "--report", "--on_bad_image", "--n_shot", "--seed"),
    "--coco_semantic_split",
)
"""Beginnings of flags that change nothing before the last stage."""


class Plan:
    """The commands of a run."""

    def __init__(self, run: Run) -> None:
        """Find out where its data lie.

        Raises:
            InputError: They are not there, as far as that decides about the commands.
        """
        self.run, self.sweep, self.row = run, run.sweep, run.sweep.row
        self.train, self.targets = self.locate()
        self.references = self.name_references()

    def locate(self) -> tuple[DataFiles, DataFiles]:
        """Where references and targets are read."""
        return located(self.run, self.row.train), located(self.run, self.row.test)

    def name_references(self) -> Path:
        """The reference set."""
        return self.run.folder / self.run.filled_in(self.row.references)

    def steps(self) -> list[Step]:
        """All of them, in order."""
        fill, test = self.fill_memory(), self.test()
        steps = [*self.make_references(fill), fill, self.postprocess_memory(), test]
        is_known = self.run.split in self.row.splits
        return [*steps, self.evaluate(test)] if is_known else steps

    def make_references(self, fill: Step) -> list[Step]:
        """Sample them from the annotations that `fill` looks them up in."""
        template = self.sweep.few_shot_files
        if template is None:
            return [self.draw_references(fill)]
        return [self.read_few_shot_files(Path(self.run.filled_in(template)), fill)]

    def read_few_shot_files(self, folder: Path, fill: Step) -> Step:
        """The command that turns files in the form of TFA into references."""
        annotations = fill.inputs.get(REFERENCE_ANNOTATIONS, self.train.annotations)
        words = python(
            "no_time_to_train/dataset/few_shot_files.py",
            *(folder, "--n-shot", self.run.shots, "--dataset", self.run.split),
            *("--json-file", annotations, "--out-path", self.references),
        )
        files = sorted(folder.glob(f"*_{self.run.shots}shot_*"))
        inputs = {f"few-shot file {number}": path for number, path in enumerate(files, start=1)}
        inputs[REFERENCE_ANNOTATIONS] = annotations
        return Step("references", words, inputs, (self.references,))

    def draw_references(self, fill: Step) -> Step:
        """The sampler's command."""
        run = self.run
        split = run.filled_in(self.row.drawn_split)
        annotations = fill.inputs.get(REFERENCE_ANNOTATIONS, self.train.annotations)
        words = python(
            "no_time_to_train/dataset/few_shot_sampling.py",
            *("--n-shot", run.shots, "--out-path", self.references, "--seed", run.seed),
            *("--dataset", split),
            *(() if annotations == self.train.annotations else ("--json-file", annotations)),
            *(("--plot", "--img-dir", self.train.images) if self.sweep.plot else ()),
        )
        inputs = {
            REFERENCE_ANNOTATIONS: annotations,
            "the list of classes": self.row.splits.get(split, CLASS_LISTS / f"{split}.txt"),
        }
        return Step("sample", words, inputs, (self.references,))

    def fill_memory(self) -> Step:
        """Stage 1."""
        run = self.run
        words = self._stage(
            ("--model.test_mode", "fill_memory", "--out_path", run.memory),
            {
                LENGTH: run.shots,
                f"{DATA}fill_memory.memory_pkl": self.references,
                f"{DATA}fill_memory.memory_length": run.shots,
                **self._classes("fill_memory"),
                LOG_FOLDER: f"{run.folder}/",
            },
            "fill_memory",
        )
        inputs = self._files(words, ENCODER | REFERENCES)
        outputs = (run.memory,)
        return Step("fill", words, inputs, outputs, without_effect=OF_TARGETS, resumes=True)

    def postprocess_memory(self) -> Step:
        """Stage 2, in one process."""
        run = self.run
        words = self._stage(
            ("--model.test_mode", "postprocess_memory"),
            {
                LENGTH: run.shots,
                "--ckpt_path": run.memory,
                "--out_path": run.postprocessed_memory,
            },
        )
        inputs = {"the memory": run.memory} | self._files(words, {})
        outputs = (run.postprocessed_memory,)
        return Step("postprocess", words, inputs, outputs, without_effect=OF_TARGETS)

    def test(self) -> Step:
        """Stage 3."""
        run = self.run
        words = self._stage(
            ("--ckpt_path", run.postprocessed_memory, "--model.init_args.test_mode", "test"),
            {
                LENGTH: run.shots,
                f"{MODEL}dataset_name": run.split,
                **self._classes("test"),
                LOG_FOLDER: f"{run.folder}/",
                "--trainer.logger.version": run.label,
                "--export_result": run.results,
            },
            "test",
            tuple(map(run.filled_in, self.row.test_arguments)),
        )
        inputs = {"the memory": run.postprocessed_memory} | self._files(words, ENCODER | TARGETS)
        results = Path(flag_value(words, "--export_result") or run.results)
        return Step("test", words, inputs, (results,), resumes=True)

    def evaluate(self, test: Step) -> Step:
        """By the rules of the benchmark."""
        run = self.run
        truth = test.inputs.get(TARGET_ANNOTATIONS, self.targets.annotations)
        log, names = log_folder(test.words), self.sweep.cat_names
        words = python(
            STAGE,
            *("evaluate", test.outputs[0], "--benchmark", self.sweep.benchmark),
            *("--split", run.split, *(("--cat-names", names) if names else ())),
            *("--shots", run.shots, "--seed", run.seed),
            *("--truth", truth, "--out", run.evaluation),
            *(() if log is None else ("--run", log / "metrics.json")),
        )
        inputs = {"the results": test.outputs[0], TARGET_ANNOTATIONS: truth}
        return Step("evaluate", words, inputs, (run.evaluation,))

    def _stage(
        self,
        head: Sequence[str | Path],
        settings: Mapping[str, str | Path | int],
        data_set: str | None = None,
        more: Sequence[str] = (),
    ) -> tuple[str, ...]:
        """A command of a stage; one that reads a data set runs on all devices.

        Args:
            head: Flags that stand first.
            settings: The published ones, and their values.
            data_set: The side of `dataset_cfgs` that it reads.
            more: Flags that it alone has.
        """
        sweep = self.sweep
        configs = sweep.configs or (in_checkout(self.row.config),)
        return (
            *(sweep.launcher if data_set else OUTSIDE_SLURM if sweep.launcher else ()),
            *python(STAGE, "test"),
            *(word for config in configs for word in ("--config", config)),
            *map(str, head),
            *flags(settings),
            *flags({CATEGORY_NUM: self.category_num}),
            *more,
            *self._devices(on_all=data_set is not None),
            *self._paths(data_set),
            *sweep.stage_arguments,
        )

    def _classes(self, data_set: str) -> dict[str, str]:
        """The setting that names them."""
        if self.sweep.cat_names is not None:
            return {f"{DATA}{data_set}.cat_names": self.sweep.cat_names}
        return {f"{DATA}{data_set}.class_split": self.run.split}

    @property
    def category_num(self) -> int:
        """How many classes there are."""
        if self.sweep.cat_names is not None:
            return len(self.sweep.cat_names.split(","))
        return len(self.row.splits[self.run.split].read_text(encoding="utf-8").splitlines())

    def _devices(self, on_all: bool) -> tuple[str, ...]:
        devices, nodes = self.sweep.devices, self.sweep.nodes
        on_nodes = ("--trainer.num_nodes", str(nodes)) if nodes > 1 else ()
        return devices.all + on_nodes if on_all else devices.one

    def _paths(self, data_set: str | None) -> tuple[str, ...]:
        """Where the data lie, unless the config says so."""
        if data_set is None or (self.row.has_published_paths and not os.environ.get(ROOT_VARIABLE)):
            return ()
        files = self.train if data_set == "fill_memory" else self.targets
        name = f"{DATA}{data_set}."
        return flags({f"{name}root": files.images, f"{name}json_file": files.annotations})

    def _files(self, words: Sequence[str], names: Mapping[str, str]) -> dict[str, Path]:
        """The files that a stage reads: those that settings name, and the settings files."""
        settings = settings_of(words)
        files = {what: Path(settings[name]) for what, name in names.items() if settings.get(name)}
        configs = enumerate(config_files_of(words), start=1)
        return files | {f"settings file {number}": path for number, path in configs}
