"""Write down the exact packages that the tests run with, with the hashes of their files.

    python scripts/lock.py

Asks pip what it would install now, and writes requirements.lock (what a user needs) and
requirements-dev.lock (what the tests need besides) for this platform and Python; scripts/venv.sh
installs from them where both are the same. Run the tests in a new .venv afterwards.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def resolve(project: str, versions: dict[str, str] | None = None) -> dict[str, str]:
    """What pip would install for a project: a line of a requirements file by package name.

    Args:
        project: With its extras.
        versions: What is to be of the version in such a line, if it is installed at all.
    """
    with tempfile.TemporaryDirectory() as folder:
        report, constraints = Path(folder) / "report.json", Path(folder) / "constraints.txt"
        lines = [line.partition(" ")[0] for line in (versions or {}).values()]
        constraints.write_text("\n".join(lines), encoding="utf-8")
        options = ["--quiet", "--dry-run", "--ignore-installed", "--report", str(report)]
        options += ["--constraint", str(constraints)]
        command = [sys.executable, "-m", "pip", "install", *options, project]
        subprocess.run(command, cwd=ROOT, check=True)
        installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    lines = {}
    for install in installs:
        hashes = install["download_info"].get("archive_info", {}).get("hashes")
        if hashes:  # all but this project itself
            name, version = (install["metadata"][key] for key in ("name", "version"))
            lines[name.lower()] = f"{name}=={version} --hash=sha256:{hashes['sha256']}"
    return lines


def main() -> None:
    everything = resolve(".[dev]")  # which may need older versions than a user would get
    user = resolve(".", everything)
    python = ".".join(map(str, sys.version_info[:2]))
    head = f"# Made by scripts/lock.py on {sys.platform} with Python {python}.\n"
    tests = {name: line for name, line in everything.items() if name not in user}
    for file, lines in (("requirements.lock", user), ("requirements-dev.lock", tests)):
        content = head + "".join(f"{lines[name]}\n" for name in sorted(lines))
        (ROOT / file).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
