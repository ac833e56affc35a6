#!/usr/bin/env bash
# Usage: bash scripts/few_shot_coco_semantic_pipeline.sh SPLIT GPUS [ARGUMENTS]
#   SPLIT      1 to 4: the fold of COCO-20i
#   GPUS       how many, or cpu
#   ARGUMENTS  go to every call of run_lightening.py test, e.g. --config configs/sam2_hiera_t.yaml
# One fold of COCO-20i with 1 and 5 shots: sample, fill, postprocess, test, evaluate, into
# work_dirs/coco_semantic_<SPLIT>_seed42; results also in inst_to_segm/. SHOTS: default "1 5".
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_arguments 2 "$@"
read -ra shots <<<"${SHOTS:-1 5}"
reproduce coco20i --splits "coco_semantic_split_$1" --shots "${shots[@]}" --seeds 42 --devices "$2" --plot -- "${@:3}"
