#!/usr/bin/env bash
# Usage: bash scripts/launch_pascal_split.sh [ARGUMENTS]
# All three splits of Pascal VOC, as pascal_split.sh. ARGUMENTS go to every call of run_lightening.py test.
# GPUS: how many, or cpu (default 5). SHOTS: default "1 2 3 5 10".
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
read -ra shots <<<"${SHOTS:-1 2 3 5 10}"
reproduce voc --shots "${shots[@]}" --seeds 33 --devices "${GPUS:-5}" --plot -- "$@"
