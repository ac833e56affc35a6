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
"$VENV_PYTHON" -m pytest "$@"
