#!/usr/bin/env bash
# Usage: bash scripts/pascal_split.sh SPLIT GPUS [ARGUMENTS]
#   SPLIT      1, 2 or 3: which five classes of Pascal VOC are novel
#   GPUS       how many, or cpu
#   ARGUMENTS  go to every call of run_lightening.py test, e.g. --config configs/sam2_hiera_t.yaml
# Pascal VOC from the devkit in $DATASETS_ROOT/pascal_voc (default ./data/pascal_voc): annotations, allimages and masks
# where they are missing; then sample, fill, postprocess, test, evaluate into work_dirs/pascal_voc_split_<SPLIT>_seed33.
# SHOTS: default "1 2 3 5 10".
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_arguments 2 "$@"
read -ra shots <<<"${SHOTS:-1 2 3 5 10}"
reproduce voc --splits "pascal_voc_split_$1" --shots "${shots[@]}" --seeds 33 --devices "$2" --plot -- "${@:3}"
