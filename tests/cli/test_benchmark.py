"""The measuring stick: it runs, and the literal version finds what ours finds. No times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT


def measured(out: Path, *arguments: str) -> tuple[str, Any]:
    """What the benchmark prints, and its figures."""
    command = [sys.executable, "scripts/benchmark.py", "--out", str(out), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, json.loads(out.read_text())


def test_benchmark__literal_and_exact_find_the_same(tmp_path: Path) -> None:
    images = [f"scenes/images/target_0{number}.jpg" for number in range(3)]
    sizes = ("--points-per-side", "16", "--more-classes", "100", "--turns", "2")
    arguments = (*sizes, "--images", *images)
    told, content = measured(tmp_path / "benchmark.json", *arguments)
    for words in ("ms per point", "GFLOP/s", "peak memory", "exact beside literal"):
        assert words in told
    assert "exact, 100 classes beside 20: an image takes" in told
    agreement = content["agreement"]["exact"]
    assert agreement["matched"] == agreement["theirs"] == agreement["ours"] > 20
    assert agreement["min_mask_iou"] >= 0.999
    assert agreement["max_score_difference"] <= 1e-4
    for figures in content["variants"].values():
        assert len(figures["records"]) == len(images)
        assert figures["seconds_per_image"] > figures["seconds"]["decoding"] > 0
        assert sum(figures["turns"]) == pytest.approx(2 * figures["seconds_per_image"])
    literal, exact = (content["variants"][name] for name in ("literal", "exact"))
    assert exact["gflop_per_point"] < literal["gflop_per_point"]


@pytest.mark.exhaustive
def test_benchmark__accuracy_on_the_demo_set_in_full_and_half_precision(tmp_path: Path) -> None:
    arguments = ("--demo-set", "--points-per-side", "8", "--variants")
    variants = ("literal", "exact", "uncompiled")
    told, content = measured(tmp_path / "benchmark.json", *arguments, *variants)
    literal, exact, half = (content["accuracy"][name] for name in variants)
    assert exact == pytest.approx(literal, abs=1e-3)
    assert half == pytest.approx(exact, abs=0.01)
    assert half != exact, "half precision computes something else"
    assert "exact on the demo's data set: box AP" in told
