#!/usr/bin/env bash
# Usage: bash scripts/artaxor_clipart.sh [ARGUMENTS]
# ArTaxOr and clipart1k of CD-FSOD, as matching_cdfsod_pipeline.sh. ARGUMENTS go to every call of run_lightening.py test.
# DEVICES: GPU numbers such as 0,1, or cpu (default 0). SHOTS: default "1 5 10". DATASETS_ROOT: default ./data.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
read -ra shots <<<"${SHOTS:-1 5 10}"
reproduce cdfsod --splits ArTaxOr clipart1k --shots "${shots[@]}" --devices "$(gpu_numbers "${DEVICES:-0}")" -- "$@"
