#!/usr/bin/env bash
# Usage: bash scripts/neu-det_uodd.sh [ARGUMENTS]
# NEU-DET and UODD of CD-FSOD, with matching_cdfsod_pipeline.sh. ARGUMENTS go to every call of run_lightening.py.
# DEVICES: GPU numbers such as 0,1, or cpu (default 0). SHOTS: default "1 5 10". DATASETS_ROOT: default ./data.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cdfsod_benchmark NEU-DET crazing,inclusion,patches,pitted_surface,rolled-in_scale,scratches "$@"
cdfsod_benchmark UODD seacucumber,seaurchin,scallop "$@"
