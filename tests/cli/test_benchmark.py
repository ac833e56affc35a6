"""The measuring stick: it runs, and the literal version finds what ours finds. No times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import ROOT


def test_benchmark__literal_and_exact_find_the_same(tmp_path: Path) -> None:
    images = [f"scenes/images/target_0{number}.jpg" for number in range(3)]
    out = tmp_path / "benchmark.json"
    command = [sys.executable, "scripts/benchmark.py", "--points-per-side", "16", "--out", str(out)]
    done = subprocess.run(
        [*command, "--images", *images], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for words in ("ms per point", "GFLOP/s", "peak memory", "exact beside literal"):
        assert words in done.stdout
    content = json.loads(out.read_text())
    agreement = content["agreement"]["exact"]
    assert agreement["matched"] == agreement["theirs"] == agreement["ours"] > 20
    assert agreement["least_mask_iou"] >= 0.999
    assert agreement["greatest_score_difference"] <= 1e-4
    for figures in content["variants"].values():
        assert len(figures["records"]) == len(images)
        assert figures["seconds_per_image"] > figures["seconds"]["decoding"] > 0
    literal, exact = (content["variants"][name] for name in ("literal", "exact"))
    assert exact["gflop_per_point"] < literal["gflop_per_point"]
