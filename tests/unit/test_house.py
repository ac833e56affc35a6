"""Which room may import which: DESIGN's arrows, walked."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMON = {
    "structures",
    "config",
    "config_files",
    "errors",
    "files",
    "output_checks",
    "termination",
    "checkpoint_files",
    "pickle_index",
}
ALLOWED = {  # room: rooms of ours that it may import
    "cli": COMMON | {"pl_wrapper", "dataset", "command_line", "outputs", "distributed"},
    "command_line": COMMON | {"bounds"},
    "outputs": COMMON | {"dataset"},
    "api": COMMON | {"models", "dataset", "visualization", "api_arguments", "api_prediction"},
    "api_arguments": COMMON,
    "api_prediction": COMMON | {"dataset", "visualization", "api_arguments"},
    "pl_wrapper": COMMON | {"models", "dataset", "visualization", "distributed"},
    "models": COMMON | {"sam2", "dinov2"},
    "dataset": COMMON | {"visualization"},
    "visualization": COMMON,
    "__main__": {"openmp", "termination", "cli"},
    "distributed": {"errors", "termination"},
    "openmp": set(),
    "termination": set(),
    "files": {"errors", "termination"},
    "bounds": {"errors"},
    "config": {"bounds", "errors", "output_checks"},
    "config_files": {"errors", "files"},
    "output_checks": {"errors", "files"},
    "structures": set(),
    "errors": set(),
    "checkpoint_files": {"errors", "files", "pickle_index"},
    "pickle_index": set(),
    "sam2": set(),
    "dinov2": set(),
}
TOOL_WITH_A_NETWORK = ("box_segmenters.py", "sam_bbox_to_segm_batch.py")
DRAWING = {"cv2", "matplotlib"}
MAY_USE_CV2 = ("mask_polygons.py",)  # contours, not drawing


def python_files() -> list[Path]:
    packages = ("no_time_to_train", "sam2", "dinov2")
    return [path.relative_to(ROOT) for name in packages for path in (ROOT / name).rglob("*.py")]


def room(parts: tuple[str, ...]) -> str:
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


def test_rooms__import_only_what_the_house_allows() -> None:
    wrong = []
    for path in python_files():
        here = room(path.parts)
        for parts in imported(path):
            there = room(parts)
            ours = parts[0] in ("no_time_to_train", "sam2", "dinov2")
            tool = path.name in TOOL_WITH_A_NETWORK and there == "sam2"
            if ours and here in ALLOWED and there != here and not tool:
                if there not in ALLOWED[here]:
                    wrong.append(f"{path}: {here} imports {there}")
    assert not wrong


def test_rooms__are_all_known() -> None:
    rooms = {room(path.parts) for path in python_files()} - {"__init__"}
    assert rooms == set(ALLOWED)


def test_drawing__lives_in_visualization_alone() -> None:
    wrong = [
        str(path)
        for path in python_files()
        if room(path.parts) != "visualization"
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
