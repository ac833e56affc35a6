#!/usr/bin/env bash
# Usage: bash scripts/dior_fish.sh [ARGUMENTS]
# DIOR and FISH of CD-FSOD, with matching_cdfsod_pipeline.sh. ARGUMENTS go to every call of run_lightening.py.
# DEVICES: GPU numbers such as 0,1, or cpu (default 0). SHOTS: default "1 5 10". DATASETS_ROOT: default ./data.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cdfsod_benchmark DIOR Expressway-Service-area,Expressway-toll-station,airplane,airport,baseballfield,basketballcourt,bridge,chimney,dam,golffield,groundtrackfield,harbor,overpass,ship,stadium,storagetank,tenniscourt,trainstation,vehicle,windmill "$@"
cdfsod_benchmark FISH fish "$@"
