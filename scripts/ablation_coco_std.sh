#!/usr/bin/env bash
# Usage: bash scripts/ablation_coco_std.sh [ARGUMENTS]
# The seed table: the 20 few-shot classes of COCO with ten seeds by 1, 2, 3, 5, 10 and 30 shots, each run in a folder of
# work_dirs/few_shot_results. A run that fails does not stop the others. ARGUMENTS go to every call of
# run_lightening.py test.
# GPUS: how many, or cpu (default 4). SEEDS, SHOTS: default as published.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
read -ra seeds <<<"${SEEDS:-42 13 27 36 88 33 69 55 77 99}"
read -ra shots <<<"${SHOTS:-1 2 3 5 10 30}"
reproduce coco --splits few_shot_classes --shots "${shots[@]}" --seeds "${seeds[@]}" --devices "${GPUS:-4}" \
    --folder 'work_dirs/few_shot_results/{split}_{shots}shot_seed{seed}' --keep-going -- "$@"
