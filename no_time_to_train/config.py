"""Every setting of the published key space: types, defaults, meanings and checks.

Frozen dataclasses whose field docstrings are the help texts of the command line. Checks that need
only one leaf or one group stand in `__post_init__`; those that compare groups or look at files
stand in `pl_wrapper/checks.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args

from no_time_to_train.bounds import (
    MAX_CONTEXT_RATIO,
    MAX_COUNT,
    MAX_MEGABYTES,
    MAX_POWER,
    MAX_PROCESSES,
    MAX_PROMPTS_PER_SIDE,
    MAX_SIDE,
    require,
    require_between,
)
from no_time_to_train.errors import InputError
from no_time_to_train.output_checks import check_folder_name

EncoderName = Literal[
    "dinov2_small",
    "dinov2_base",
    "dinov2_large",
    "dinov2_giant",
    "dinov2_small_reg4",
    "dinov2_base_reg4",
    "dinov2_large_reg4",
    "dinov2_giant_reg4",
    "dinov2_demo",
]
Sam2Name = Literal[
    "sam2_hiera_t.yaml",
    "sam2_hiera_s.yaml",
    "sam2_hiera_b+.yaml",
    "sam2_hiera_l.yaml",
    "sam2.1_hiera_t.yaml",
    "sam2.1_hiera_s.yaml",
    "sam2.1_hiera_b+.yaml",
    "sam2.1_hiera_l.yaml",
    "sam2_hiera_demo.yaml",
]
Precision = Literal["float32", "tf32", "bfloat16", "float16"]
Orientation = Literal["auto", "shown", "stored"]
OnBadImage = Literal["fail", "skip"]
ColourBy = Literal["class", "instance"]
MAX_NAME = 100
"""Longest name of an encoder, which memories and messages repeat."""
DOWNLOAD = "download"
"""In place of a path: the encoder's package fetches the weights."""
SAM2_STRIDE = 32
"""Pixels per step of SAM 2's coarsest feature map."""
VISUALIZATIONS = Path("results_analysis")
"""Where the pictures of every data set go."""
MEMORY_VISUALIZATIONS = "memory_vis"
"""The folder in it for pictures of memories."""


class TestMode(str, Enum):
    """The stage that a `test` command runs."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    fill_memory = "fill_memory"
    postprocess_memory = "postprocess_memory"
    vis_memory = "vis_memory"
    test = "test"


class ClassNames(tuple[str, ...]):
    """Class names; on the command line a comma-separated list such as `boat,bird`."""

    __slots__ = ()


def read_class_names(value: Any) -> ClassNames:
    """Class names from `boat,bird` or from a YAML list.

    Raises:
        ValueError: An entry is no text; YAML reads a bare `no` or `yes` as a truth value.
    """
    if not isinstance(value, str | list | tuple):
        raise ValueError(f"class names are a list such as boat,bird, got {value!r}")
    names = value.split(",") if isinstance(value, str) else list(value)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise ValueError(f"class name {wrong[0]!r} is not text; quote it in the YAML file")
    stripped = [name.strip() for name in names]
    if not all(stripped):
        raise ValueError(f"there is an empty class name in {value!r}; write them as boat,bird")
    return ClassNames(stripped)


@dataclass(frozen=True)
class DiffusionConfig:
    """Merging by diffusion: a mask is suppressed by better ones and by what suppresses those."""

    alpha: float = 0.3
    """Share of the suppression that comes from the suppression of better masks."""
    power: float = 0.5
    """Of the factor that a score is multiplied with; lambda in the paper."""
    normalise: bool = True
    """True is the paper: the overlaps of a mask are scaled to sum 1; False the code it released."""
    semantic: bool = False
    """Overlaps count in proportion to the cosine of both masks' features."""

    def __post_init__(self) -> None:
        require_between(0, 1, sam2_infer_cfgs__diffusion__alpha=self.alpha)
        require_between(0, MAX_POWER, sam2_infer_cfgs__diffusion__power=self.power)


@dataclass(frozen=True)
class Sam2InferConfig:
    """How masks are proposed, suppressed and merged."""

    points_per_side: int = 32
    """Points per side of the prompt grid."""
    testing_point_bs: int = 256
    """Prompts decoded at once on a GPU; the results do not depend on it."""
    iou_thr: float = 0.4
    """Proposals of the point grid with a predicted IoU at or below this are dropped."""
    nms_thr: float = 0.5
    """Box IoU above which a proposal is suppressed by a better one of its class."""
    num_out_instance: int = 100
    """Most instances kept per image."""
    kmeans_k: int = 4
    """Cluster centres per class, for the pictures of vis_memory."""
    n_pca_components: int = 3
    """Principal components per class, for the pictures of vis_memory."""
    cls_num_per_mask: int = 1
    """Classes tried per mask; -1 tries all and keeps those within 0.6 of the mask's best score."""
    merging: str = "semantic_soft"
    """How scores of overlapping masks of a class are lowered: semantic_soft as published, soft
    without the features' cosine, hard (0 inside a better mask), or diffusion."""
    hard_thr: float = 1.0
    """Where merging is hard: share inside a better mask at or above which a score becomes 0."""
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    """Where merging is diffusion: its parameters."""

    def __post_init__(self) -> None:
        sides = self.points_per_side
        require_between(1, MAX_PROMPTS_PER_SIDE, sam2_infer_cfgs__points_per_side=sides)
        require_between(
            1,
            MAX_COUNT,
            sam2_infer_cfgs__testing_point_bs=self.testing_point_bs,
            sam2_infer_cfgs__num_out_instance=self.num_out_instance,
            sam2_infer_cfgs__kmeans_k=self.kmeans_k,
            sam2_infer_cfgs__n_pca_components=self.n_pca_components,
        )
        require_between(
            0, 1, sam2_infer_cfgs__iou_thr=self.iou_thr, sam2_infer_cfgs__nms_thr=self.nms_thr
        )
        require_between(-1, MAX_COUNT, sam2_infer_cfgs__cls_num_per_mask=self.cls_num_per_mask)
        require(
            self.cls_num_per_mask >= 1 or self.cls_num_per_mask == -1,
            "sam2_infer_cfgs.cls_num_per_mask must be 1 or more, or -1 for all, "
            f"got {self.cls_num_per_mask}",
        )
        require_between(0, 1, sam2_infer_cfgs__hard_thr=self.hard_thr)
        require(self.hard_thr > 0, "sam2_infer_cfgs.hard_thr must be above 0, got 0.0")


@dataclass(frozen=True)
class EncoderConfig:
    """The network that tells classes apart."""

    name: str = "dinov2_large"
    """A size of DINOv2, with or without registers; or timm/NAME, any vision transformer of timm."""
    img_size: int | None = None
    """Side of its square input in pixels, a multiple of the patch size; by default that of the
    network itself, 518 of DINOv2."""
    patch_size: int | None = None
    """Side of a patch in pixels; the network's, so that it need not be given."""

    def __post_init__(self) -> None:
        require(
            "/" in self.name or self.name in get_args(EncoderName),
            f"encoder_cfg.name is {self.name!r}; give one of {', '.join(get_args(EncoderName))}, "
            "or a vision transformer of timm such as timm/vit_small_patch16_dinov3.lvd1689m",
        )
        require(
            len(self.name) <= MAX_NAME and self.name.isprintable(),
            f"encoder_cfg.name must be printable and of {MAX_NAME} letters at most",
        )
        patch, side = self.patch_size, self.img_size
        if patch is not None:
            require_between(1, MAX_SIDE, encoder_cfg__patch_size=patch)
        if side is not None:
            require_between(1, MAX_SIDE, encoder_cfg__img_size=side)
        if patch is not None and side is not None:
            require(
                side >= patch and side % patch == 0,
                f"encoder_cfg.img_size must be a multiple of patch_size {patch}, got {side}",
            )

    def check_sizes(self, patch_size: int, image_size: int) -> None:
        """Compare these sizes with those of the network.

        Args:
            patch_size: Of the network, in pixels.
            image_size: Side of its input, in pixels.

        Raises:
            InputError: Another patch size is given, or the input does not divide into patches.
        """
        if self.patch_size not in (None, patch_size):
            raise InputError(
                f"encoder_cfg.patch_size is {self.patch_size}, but {self.name} has "
                f"patches of {patch_size} pixels; set it to {patch_size}, or leave it out"
            )
        if image_size % patch_size:
            fitting = max(1, round(image_size / patch_size)) * patch_size
            raise InputError(
                f"encoder_cfg.img_size must be a multiple of the patch size {patch_size} of "
                f"{self.name}, got {image_size}; set it, and fill_memory.image_size, to {fitting}"
            )


def dinov2_side(settings: EncoderConfig) -> int:
    """Side of the input of DINOv2 in pixels; by default that of its last training."""
    return settings.img_size or 518


@dataclass(frozen=True)
class ProposerConfig:
    """Where masks come from that classes are then found for."""

    name: str = "point_grid"
    """point_grid: SAM 2, prompted with a grid of points; file: boxes or masks of other systems."""
    file: str | None = None
    """Proposals, a COCO results list, FILE.json: masks are used as they are, boxes prompt SAM 2;
    both are ranked by score, category_id does not matter, and neither does iou_thr."""

    def __post_init__(self) -> None:
        require(
            self.name != "file" or bool(self.file),
            "proposer_cfg.name is file, but proposer_cfg.file is not given; set it to the list of "
            "proposals, FILE.json",
        )
        require(
            self.name == "file" or self.file is None,
            f"proposer_cfg.file is given, but proposer_cfg.name is {self.name!r}; set it to file",
        )


@dataclass(frozen=True)
class MemoryBankConfig:
    """Size of the reference memory."""

    enable: bool = True
    """Always True: the method is the memory. Kept because published configs name it."""
    category_num: int = 80
    """Number of classes; one bank row per class."""
    length: int = 10
    """References stored per class, at most (the number of shots)."""
    patch_memory_mb: int = 256
    """Megabytes for the foreground patches behind the k-means and PCA pictures; beyond it they are
    sampled."""

    def __post_init__(self) -> None:
        require(
            self.enable,
            "memory_bank_cfg.enable must be True: there is no method without the memory bank",
        )
        require_between(
            1,
            MAX_COUNT,
            memory_bank_cfg__category_num=self.category_num,
            memory_bank_cfg__length=self.length,
        )
        require_between(1, MAX_MEGABYTES, memory_bank_cfg__patch_memory_mb=self.patch_memory_mb)


@dataclass(frozen=True)
class ComputeConfig:
    """How the networks compute; matching and merging are float32 whatever is set here."""

    precision: Precision = "float32"
    """Number format of both networks; tf32 is float32 whose matrix products take factors of 10 bits
    where the GPU can."""
    compile: bool = False
    """Compile the networks when they first run: that takes a minute and a C++ compiler."""
    decoder: Literal["auto", "plain", "fast"] = "auto"
    """SAM 2's mask decoder: plain as in the papers, fast for the same masks with less arithmetic;
    auto is fast on a CPU and plain on a GPU."""


@dataclass(frozen=True)
class VisualizationConfig:
    """Pictures of predictions, drawn after a test."""

    imgs_path: str | None = None
    """Folder of the target images, where it is not dataset_cfgs.test.root."""
    online_vis: bool = False
    """Write one picture per image: ground truth left, predictions right; predictions alone where
    no image has any ground truth."""
    vis_thr: float = 0.5
    """Lowest score that is drawn."""
    colour_by: ColourBy = "class"
    """A colour per class, or one per instance, by which overlapping instances of one class are
    told apart."""

    def __post_init__(self) -> None:
        require_between(0, 1, test__vis_thr=self.vis_thr)


@dataclass(frozen=True)
class ModelConfig:
    """Networks, memory, and what to do with masks."""

    name: Literal["matching_baseline_noAMG"] = "matching_baseline_noAMG"
    """The published name of the method."""
    sam2_cfg_file: Sam2Name = "sam2_hiera_l.yaml"
    """SAM 2 preset."""
    sam2_ckpt_path: str = "./checkpoints/sam2_hiera_large.pt"
    """SAM 2 weights, an official checkpoint."""
    sam2_infer_cfgs: Sam2InferConfig = field(default_factory=Sam2InferConfig)
    proposer_cfg: ProposerConfig = field(default_factory=ProposerConfig)
    encoder_cfg: EncoderConfig = field(default_factory=EncoderConfig)
    encoder_ckpt_path: str = "./checkpoints/dinov2/dinov2_vitl14_pretrain.pth"
    """Weights of the encoder, an official checkpoint; `download` lets timm fetch its own."""
    memory_bank_cfg: MemoryBankConfig = field(default_factory=MemoryBankConfig)
    compute_cfg: ComputeConfig = field(default_factory=ComputeConfig)
    dataset_name: str | None = None
    """Folder name for pictures, under results_analysis/."""
    test: VisualizationConfig = field(default_factory=VisualizationConfig)

    def __post_init__(self) -> None:
        if self.dataset_name is not None:
            check_folder_name(self.dataset_name, "model_cfg.dataset_name", VISUALIZATIONS)
            require(
                Path(self.dataset_name).parts[0].casefold() != MEMORY_VISUALIZATIONS,
                f"model_cfg.dataset_name {self.dataset_name!r} is the folder that vis_memory draws "
                "into; give it another name",
            )

    @property
    def visualizations_folder(self) -> Path:
        """Where the pictures of predictions go."""
        return VISUALIZATIONS / (self.dataset_name or "dataset")

    @property
    def memory_visualizations_folder(self) -> Path:
        """Where the pictures of a memory go."""
        return VISUALIZATIONS / MEMORY_VISUALIZATIONS / (self.dataset_name or "dataset")


@dataclass(frozen=True)
class FillMemoryDataConfig:
    """The reference images."""

    name: str = "coco"
    """A label; every data set is read as COCO json."""
    root: str = "./data/coco/train2017"
    """Folder that `file_name` of the json starts from."""
    json_file: str = "./data/coco/annotations/instances_train2017.json"
    """Annotations of the references, in COCO format, with segmentations."""
    memory_pkl: str = "./work_dirs/few_shot_results/few_shot_10shot_seed33.pkl"
    """Reference set, pickle or json: category_id -> [{"img_id": ..., "ann_ids": [...]}, ...]."""
    image_size: int = 518
    """Side of the resized crop in pixels; equal to encoder_cfg.img_size."""
    memory_length: int = 10
    """References per class in the reference set, at most; equal to memory_bank_cfg.length."""
    orientation: Orientation = "auto"
    """Photographs with an EXIF orientation: shown as viewers turn them, stored as the published
    code reads them; auto is shown, but stored where that alone has the size that the json gives."""
    context_ratio: float = 0.2
    """How much wider than the instance's box the crop is."""
    norm_img: bool = False
    """Always False: the networks normalise. Kept because published configs name it."""
    class_split: str | None = None
    """A named list of classes."""
    cat_names: ClassNames | None = None
    """Class names, comma-separated; they win over class_split."""

    def __post_init__(self) -> None:
        require_between(1, MAX_COUNT, fill_memory__memory_length=self.memory_length)
        require_between(1, MAX_SIDE, fill_memory__image_size=self.image_size)
        require_between(0, MAX_CONTEXT_RATIO, fill_memory__context_ratio=self.context_ratio)
        require(
            not self.norm_img,
            "fill_memory.norm_img must be False: the networks normalise their input",
        )


@dataclass(frozen=True)
class TestDataConfig:
    """The images to segment."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    name: str = "coco"
    """A label; every data set is read as COCO json."""
    root: str = "./data/coco/val2017"
    """Folder that `file_name` of the json starts from."""
    json_file: str = "./data/coco/annotations/instances_val2017.json"
    """Images and ground truth, in COCO format."""
    image_size: int = 1024
    """Side of SAM 2's square input in pixels."""
    orientation: Orientation = "auto"
    """Photographs with an EXIF orientation: shown as viewers turn them, stored as the published
    code reads them; auto is shown, but stored where that alone has the size that the json gives."""
    norm_img: bool = False
    """Always False: the networks normalise. Kept because published configs name it."""
    with_query_points: bool = False
    """Always False: prompts are a grid. Kept because published configs name it."""
    on_bad_image: OnBadImage = "fail"
    """At an image that is missing or unreadable: fail ends the run, skip names it in the log and in
    metrics.json and counts it as an image without detections."""
    class_split: str | None = None
    """A named list of classes."""
    cat_names: ClassNames | None = None
    """Class names, comma-separated; they win over class_split."""

    def __post_init__(self) -> None:
        require_between(1, MAX_SIDE, test__image_size=self.image_size)
        require(
            self.image_size >= SAM2_STRIDE and self.image_size % SAM2_STRIDE == 0,
            f"test.image_size must be a multiple of {SAM2_STRIDE}, got {self.image_size}",
        )
        require(
            not self.norm_img, "test.norm_img must be False: the networks normalise their input"
        )
        require(
            not self.with_query_points,
            "test.with_query_points must be False: prompts are a point grid",
        )


@dataclass(frozen=True)
class DatasetsConfig:
    """References and targets."""

    fill_memory: FillMemoryDataConfig = field(default_factory=FillMemoryDataConfig)
    test: TestDataConfig = field(default_factory=TestDataConfig)


@dataclass(frozen=True)
class DataLoadConfig:
    """How images are read."""

    workers: int = 4
    """Processes that read and resize images; 0 reads in the main process."""
    batch_size: int = 1
    """Images that go through the image encoders together."""

    def __post_init__(self) -> None:
        require_between(0, MAX_PROCESSES, data_load_cfgs__workers=self.workers)
        require_between(1, MAX_COUNT, data_load_cfgs__batch_size=self.batch_size)
