#!/usr/bin/env bash
# Usage: bash scripts/test.sh [pytest arguments]
# Checks formatting and types, then runs the tests, in .venv (which it sets up where it is missing).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
ensure_venv dev

"$VENV_PYTHON" -m ruff check .
"$VENV_PYTHON" -m ruff format --check .
"$VENV_PYTHON" -m mypy
# Two processes of one thread each: most tests wait for imports, not for arithmetic. By file, in the order of
# collection, so that what a module prepares is prepared once and the long goldens do not come last.
OMP_NUM_THREADS=1 "$VENV_PYTHON" -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
