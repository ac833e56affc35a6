#!/usr/bin/env bash
# Usage: bash scripts/lvis_pipeline.sh SPLIT SHOTS GPUS [ARGUMENTS]
#   SPLIT      lvis or lvis_minival, or one of them with _common, _frequent or _rare behind it
#   SHOTS      references per class
#   GPUS       how many, or cpu
#   ARGUMENTS  go to every call of run_lightening.py test, e.g. --config configs/sam2_hiera_t.yaml
# LVIS from $DATASETS_ROOT/lvis/original and $DATASETS_ROOT/coco/allimages (default ./data): file names and the masks of
# minival where they are missing; then sample, fill, postprocess, test, evaluate into work_dirs/<SPLIT>_seed42.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_arguments 3 "$@"
[[ $1 == lvis_minival* ]] && benchmark=lvis_minival || benchmark=lvis
reproduce "$benchmark" --splits "$1" --shots "$2" --seeds 42 --devices "$3" --plot -- "${@:4}"
