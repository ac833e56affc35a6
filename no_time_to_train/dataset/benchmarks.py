"""The public benchmarks: what is drawn from what, tested on what, and measured how."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

CLASS_LISTS = Path(__file__).with_name("class_splits")
"""Text files, one class name per line."""
ROOT_VARIABLE = "DATASETS_ROOT"
"""Environment variable with the folder of all data sets."""


@dataclass(frozen=True)
class Images:
    """Annotations and the folder of their images, below `data_root`.

    `{split}` and `{shots}` in them stand for what a run is for.
    """

    annotations: str
    folder: str


@dataclass(frozen=True)
class Tool:
    """A script of this folder that makes files of a data set out of others, below `data_root`."""

    script: str
    arguments: tuple[str, ...]
    """`{root}` in them stands for the folder of the data sets."""
    inputs: tuple[str, ...]
    """Files that the outputs belong to."""
    outputs: tuple[str, ...]
    """Files or folders."""


@dataclass(frozen=True)
class Benchmark:
    """A data set with the ways in which papers split its classes."""

    title: str
    """As papers write it."""
    splits: Mapping[str, Path]
    """Name of each split -> its list of classes, one name per line."""
    train: Images
    """What references are drawn from."""
    test: Images
    config: str
    """YAML of the published run, below the repository's root."""
    metrics: str
    """How results are measured: a row of `evaluation.EVALUATORS`."""
    shots: tuple[int, ...]
    """References per class, of the published runs."""
    seeds: tuple[int, ...]
    """Of the draws of the published runs."""
    repeats: bool = False
    """Whether a class with too few references starts over, instead of stopping the draw."""
    usual_splits: tuple[str, ...] = ()
    """Those that are run where none is named; empty for all."""
    drawn_split: str = "{split}"
    """Whose classes the references are drawn for; the other stages restrict them."""
    folder: str = "work_dirs/{split}_seed{seed}/{shots}shot"
    """Where the files of a run go; `{number}` is that at the end of the split's name."""
    references: str = "few_shot_ann_{shots}shot_seed{seed}_fixed.pkl"
    """Name of the reference set in that folder."""
    memory: str = "memory.ckpt"
    """Name of the memory in that folder; after post-processing with `_postprocessed`."""
    test_arguments: tuple[str, ...] = ()
    """More of stage 3 than the others have."""
    has_published_paths: bool = False
    """Whether the paths in the config hold where DATASETS_ROOT is not set."""
    tools: tuple[Tool, ...] = ()
    """What makes the annotations and folders that archives do not have; annotations of boxes get
    their masks, in `<name>_with_segm.json`, by `sam_bbox_to_segm_batch.py`."""


def data_root() -> Path:
    """The folder of all data sets: the environment variable DATASETS_ROOT, or ./data."""
    return Path(os.environ.get(ROOT_VARIABLE) or "./data")


def _listed(*splits: str) -> dict[str, Path]:
    return {split: CLASS_LISTS / f"{split}.txt" for split in splits}


COCO_TRAIN = Images("coco/annotations/instances_train2017.json", "coco/train2017")
COCO_VAL = Images("coco/annotations/instances_val2017.json", "coco/val2017")
LVIS_IMAGES = "coco/allimages"
LVIS_TRAIN = Images("lvis/lvis_v1_train.json", LVIS_IMAGES)
VOC_DEVKIT = "pascal_voc/VOCdevkit"
VOC_IMAGES = f"{VOC_DEVKIT}/allimages"
VOC_TOOLS = (
    Tool("pascal_voc_images.py", (f"{{root}}/{VOC_DEVKIT}",), (), (VOC_IMAGES,)),
    Tool(
        "pascal_voc_to_coco.py",
        (
            f"{{root}}/{VOC_DEVKIT}",
            *("--out-dir", "{root}/pascal_voc/annotations", "--out-format", "coco", "--flat"),
        ),
        tuple(
            f"{VOC_DEVKIT}/{year}/ImageSets/Main/{split}.txt"
            for year, split in (
                ("VOC2007", "trainval"),
                ("VOC2007", "test"),
                ("VOC2012", "trainval"),
            )
        ),
        tuple(f"pascal_voc/annotations/{name}.json" for name in ("voc0712_trainval", "voc07_test")),
    ),
)
LVIS_TOOLS = (
    Tool("lvis_images.py", ("{root}/coco",), (), (LVIS_IMAGES,)),
    *(
        Tool("lvis_add_filename.py", (name,), (f"lvis/original/{name}",), (f"lvis/{name}",))
        for name in ("lvis_v1_train.json", "lvis_v1_val.json")
    ),
    Tool(
        "lvis_fix_minival_segm.py",
        (),
        ("lvis/original/lvis_v1_minival_just_bbox.json", "lvis/original/lvis_v1_val.json"),
        ("lvis/lvis_v1_minival.json",),
    ),
)
LVIS_TEST = ("--model.init_args.model_cfg.sam2_infer_cfgs.num_out_instance", "300")
"""As many as its protocol looks at; the published YAML has 100."""
CDFSOD_SETS = ("ArTaxOr", "clipart1k", "DIOR", "FISH", "NEU-DET", "UODD")
FREQUENCIES = ("", "_common", "_frequent", "_rare")

LVIS = Benchmark(
    title="LVIS",
    splits=_listed(*(f"lvis{frequency}" for frequency in FREQUENCIES)),
    train=LVIS_TRAIN,
    test=Images("lvis/lvis_v1_val.json", LVIS_IMAGES),
    config="no_time_to_train/pl_configs/matching_lvis_allClass.yaml",
    metrics="lvis",
    shots=(10,),
    seeds=(42,),
    repeats=True,
    usual_splits=("lvis",),
    drawn_split="lvis",
    folder="work_dirs/{split}_seed{seed}/{shots}shots",
    references="few_shot_lvis_ann_{shots}shot_seed{seed}_fixed.pkl",
    test_arguments=LVIS_TEST,
    tools=LVIS_TOOLS,
)
BENCHMARKS = {
    "coco": Benchmark(
        title="COCO",
        splits={"coco": CLASS_LISTS / "default_classes.txt"}
        | _listed("default_classes", "few_shot_classes"),
        train=COCO_TRAIN,
        test=COCO_VAL,
        config="no_time_to_train/new_exps/coco_fewshot_10shot_Sam2L.yaml",
        metrics="coco",
        shots=(1, 2, 3, 5, 10, 30),
        seeds=(42, 13, 27, 36, 88, 33, 69, 55, 77, 99),
        usual_splits=("few_shot_classes",),
        references="few_shot_{shots}shot_seed{seed}.pkl",
        has_published_paths=True,
    ),
    "coco20i": Benchmark(
        title="COCO-20i",
        splits=_listed(*(f"coco_semantic_split_{fold}" for fold in (1, 2, 3, 4))),
        train=COCO_TRAIN,
        test=COCO_VAL,
        config="no_time_to_train/new_exps/coco_fewshot_10shot_Sam2L.yaml",
        metrics="coco20i",
        shots=(1, 5),
        seeds=(42,),
        folder="work_dirs/coco_semantic_{number}_seed{seed}/{shots}shot",
        references="coco_semantic_few_shot_ann_{shots}shot_seed{seed}_fixed.pkl",
        test_arguments=(
            *("--coco_semantic_split", "{number}"),
            *("--n_shot", "{shots}"),
            *("--seed", "{seed}"),
        ),
        has_published_paths=True,
    ),
    "voc": Benchmark(
        title="Pascal VOC",
        splits=_listed(*(f"pascal_voc_split_{split}" for split in (1, 2, 3))),
        train=Images("pascal_voc/annotations/voc0712_trainval_with_segm.json", VOC_IMAGES),
        test=Images("pascal_voc/annotations/voc07_test_with_segm.json", VOC_IMAGES),
        config="no_time_to_train/pl_configs/matching_pascal_voc_few_shot_template.yaml",
        metrics="voc",
        shots=(1, 2, 3, 5, 10),
        seeds=(33,),
        tools=VOC_TOOLS,
    ),
    "lvis": LVIS,
    "lvis_minival": replace(
        LVIS,
        title="LVIS minival",
        splits=_listed(*(f"lvis_minival{frequency}" for frequency in FREQUENCIES)),
        test=Images("lvis/lvis_v1_minival.json", LVIS_IMAGES),
        usual_splits=("lvis_minival",),
    ),
    "cdfsod": Benchmark(
        title="CD-FSOD",
        splits=_listed(*CDFSOD_SETS),
        train=Images("{split}/annotations/{shots}_shot.json", "{split}/train"),
        test=Images("{split}/annotations/test.json", "{split}/test"),
        config="no_time_to_train/pl_configs/matching_cdfsod_template.yaml",
        metrics="cdfsod",
        shots=(1, 5, 10),
        seeds=(42,),  # of the repetitions that coco_to_pkl.py fills up with
        folder="tmp_ckpts/cd_fsod/matching",
        memory="{split}_{shots}_refs_memory.pth",
    ),
}
"""Every split belongs to one of them."""
