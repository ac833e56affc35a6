#!/usr/bin/env bash
# Usage: bash full_seg.sh CONFIG SHOTS GPUS SEED [ARGUMENTS]
#   CONFIG     e.g. ./no_time_to_train/new_exps/coco_allclasses_10shot_Sam2L.yaml
#   SHOTS      references per class
#   GPUS       how many, or cpu
#   SEED       of the reference sampling
#   ARGUMENTS  go to every call of run_lightening.py test, e.g. --config configs/sam2_hiera_t.yaml
# All 80 classes of COCO: sample, fill, postprocess, test, evaluate, into work_dirs/coco_all_results.
# COCO lies where CONFIG says, or in $DATASETS_ROOT/coco.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"
require_arguments 4 "$@"
reproduce coco --splits default_classes --shots "$2" --seeds "$4" --devices "$3" --config "$1" \
    --folder work_dirs/coco_all_results -- "${@:5}"
