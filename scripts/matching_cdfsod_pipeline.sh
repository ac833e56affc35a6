#!/usr/bin/env bash
# Usage: bash scripts/matching_cdfsod_pipeline.sh DATASET SHOT DEVICES CAT_NAMES CATEGORY_NUM [ARGUMENTS]
#   DATASET       folder in $DATASETS_ROOT (default ./data) with train/, test/, annotations/{<SHOT>_shot,test}.json
#   SHOT          references per class
#   DEVICES       GPU numbers such as 0 or 0,1; or cpu
#   CAT_NAMES     class names, comma-separated
#   CATEGORY_NUM  how many they are
#   ARGUMENTS     go to every call of run_lightening.py test, e.g. --config configs/sam2_hiera_t.yaml
# One CD-FSOD data set: boxes to masks where there are none yet, pickle, fill, postprocess, test, evaluate.
# SAM_CHECKPOINT names the weights that turn boxes into masks; by default SAM 1 ViT-H where it is in checkpoints/, else
# SAM 2 large.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_arguments 5 "$@"
IFS=, read -ra names <<<"$4"
((${#names[@]} == $5)) || stop "CATEGORY_NUM is $5, but CAT_NAMES has ${#names[@]} names; make them agree."
reproduce cdfsod --splits "$1" --shots "$2" --devices "$(gpu_numbers "$3")" --cat-names "$4" -- "${@:6}"
