"""Which package may import which, walked over every file."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMON = {
    "structures",
    "config",
    "errors",
    "files",
    "config_files",
    "setting_paths",
    "signs_of_life",
    "settings",
    "output_checks",
    "termination",
    "stepwise",
    "checkpoint_files",
    "checkpoint_index",
    "pickle_index",
    "preprocessing",
    "networks",
}
METHOD = {"models", "encoders", "proposers", "memory"}
ALLOWED = {  # package: packages of ours that it may import
    "__main__": {"openmp", "termination", "commands"},
    "commands": COMMON
    | METHOD
    | {"pl_wrapper", "api", "dataset", "coco", "evaluation", "exports", "visualization"}
    | {"distributed", "reports", "app"},
    "app": COMMON | {"api", "dataset", "coco", "exports", "visualization"},
    "api": COMMON | METHOD | {"bounds", "dataset", "coco", "exports", "visualization"},
    "pl_wrapper": COMMON | METHOD | {"dataset", "coco", "exports", "visualization", "distributed"},
    "models": COMMON | {"encoders", "proposers", "memory"},
    "encoders": COMMON | {"dinov2"},
    "proposers": COMMON | {"sam2", "coco"},
    "memory": COMMON,
    "dataset": COMMON | {"coco"},
    "evaluation": COMMON | {"coco"},
    "exports": COMMON | {"coco", "visualization"},
    "visualization": COMMON | {"coco"},
    "reports": COMMON | {"memory", "dataset", "coco", "evaluation", "visualization"},
    "coco": COMMON,
    "distributed": {"errors", "termination", "rank_links"},
    "openmp": set(),
    "termination": {"rank_links", "stepwise"},
    "rank_links": set(),
    "stepwise": set(),
    "files": {"errors", "termination"},
    "bounds": {"errors"},
    "config": {"bounds", "errors", "output_checks"},
    "config_files": {"errors", "files", "setting_paths"},
    "setting_paths": {"config"},
    "signs_of_life": set(),
    "settings": {"config", "config_files", "errors"},
    "output_checks": {"errors", "files"},
    "networks": {"config", "errors"},
    "preprocessing": set(),
    "structures": set(),
    "errors": set(),
    "checkpoint_files": {"checkpoint_index", "errors"},
    "checkpoint_index": {"errors", "files", "pickle_index"},
    "pickle_index": set(),
    "sam2": set(),
    "dinov2": set(),
}
TOOLS = {  # tools in dataset/ and what they import inside their main
    ("box_segmenters.py", "sam2"),
    ("sam_bbox_to_segm_batch.py", "sam2"),
    ("sam_bbox_to_segm_batch.py", "proposers"),
    ("sam_bbox_to_segm_batch.py", "visualization"),
    ("few_shot_sampling.py", "visualization"),
    ("coco_inst_to_segm.py", "evaluation"),
}
DRAWING = {"cv2", "matplotlib"}
MAY_USE_CV2 = ("polygons.py",)  # contours, not drawing


def python_files() -> list[Path]:
    packages = ("no_time_to_train", "sam2", "dinov2")
    return [path.relative_to(ROOT) for name in packages for path in (ROOT / name).rglob("*.py")]


def package(parts: tuple[str, ...]) -> str:
    inner = parts[0] == "no_time_to_train" and len(parts) > 1
    return parts[1].removesuffix(".py") if inner else parts[0]


def imported(path: Path) -> set[tuple[str, ...]]:
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {(*node.module.split("."), alias.name) for alias in node.names}
    return found


def test_packages__import_only_what_is_allowed() -> None:
    wrong = []
    for path in python_files():
        here = package(path.parts)
        for parts in imported(path):
            there = package(parts)
            ours = parts[0] in ("no_time_to_train", "sam2", "dinov2")
            tool = (path.name, there) in TOOLS
            if ours and there != here and not tool:
                if there not in ALLOWED[here]:
                    wrong.append(f"{path}: {here} imports {there}")
    assert not wrong


def test_packages__are_all_listed() -> None:
    packages = {package(path.parts) for path in python_files()} - {"__init__"}
    assert packages == set(ALLOWED)


def test_drawing__lives_in_visualization_alone() -> None:
    wrong = [
        str(path)
        for path in python_files()
        if package(path.parts) != "visualization"
        and path.name not in MAY_USE_CV2
        and DRAWING & {parts[0] for parts in imported(path)}
    ]
    assert not wrong


def test_dataset_files__are_not_named_like_modules_that_scripts_import() -> None:
    import sys

    names = {path.stem for path in python_files() if path.parts[1:2] == ("dataset",)}
    assert not names & set(sys.stdlib_module_names)
    third_party = {"torch", "numpy", "cv2", "PIL", "pycocotools", "coco", "evaluate", "datasets"}
    assert not names & third_party
