"""Write the checkpoints of configs/demo.yaml: official formats, tiny networks, made-up weights.

Such weights exercise every stage on any machine and find nothing meaningful. They are the same
everywhere, each tensor drawn from its name by the rules of tests/golden/deterministic.py.

    python scripts/make_demo_checkpoints.py [FOLDER]
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from dinov2 import build_dinov2
from sam2 import build_sam2

ROOT = Path(__file__).resolve().parent.parent


def load_rules() -> ModuleType:
    """Import tests/golden/deterministic.py, which is in every clone but in no installed package."""
    path = ROOT / "tests" / "golden" / "deterministic.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made_up_state(network: nn.Module) -> dict[str, Tensor]:
    """Every tensor of a network, drawn from its name."""
    rules = load_rules()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    return {name: torch.from_numpy(rules.weight(name, shape)) for name, shape in shapes.items()}


def save(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    unfinished = path.with_suffix(".unfinished")
    torch.save(content, unfinished)
    unfinished.replace(path)
    print(f"wrote {path}")


def write_checkpoints(folder: Path) -> None:
    """Write sam2_hiera_demo.pt and dinov2_demo.pth into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save({"model": made_up_state(build_sam2("sam2_hiera_demo"))}, folder / "sam2_hiera_demo.pt")
    save(made_up_state(build_dinov2("dinov2_demo")), folder / "dinov2_demo.pth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "checkpoints" / "demo")
    write_checkpoints(parser.parse_args().folder)


if __name__ == "__main__":
    main()
