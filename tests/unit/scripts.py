"""Run the published tools as a user does: as scripts, from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST_HEAVY_IMPORTS = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
heavy = {"torch", "lightning", "sklearn", "cv2", "matplotlib", "PIL", "pycocotools"}
print("loaded:", sorted(heavy & set(sys.modules)))
"""


def run_script(
    name: str, *arguments: str | Path, cwd: Path, list_imports: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run no_time_to_train/dataset/<name>; the last line of stdout can list what was imported."""
    prefix = ["-c", LIST_HEAVY_IMPORTS] if list_imports else []
    script = str(ROOT / "no_time_to_train" / "dataset" / name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    environment.pop("DATASETS_ROOT", None) if "DATASETS_ROOT" not in variables else None
    return subprocess.run(
        [sys.executable, *prefix, script, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )
