#!/usr/bin/env bash
# Usage: bash scripts/launch_coco_semantic.sh [ARGUMENTS]
# All folds of COCO-20i, as few_shot_coco_semantic_pipeline.sh. ARGUMENTS go to every call of run_lightening.py test.
# GPUS: how many, or cpu (default 4). SHOTS: default "1 5".
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
read -ra shots <<<"${SHOTS:-1 5}"
reproduce coco20i --shots "${shots[@]}" --seeds 42 --devices "${GPUS:-4}" --plot -- "$@"
