#!/usr/bin/env bash
# Usage: bash scripts/artaxor_clipart.sh [ARGUMENTS]
# ArTaxOr and clipart1k of CD-FSOD, with matching_cdfsod_pipeline.sh. ARGUMENTS go to every call of run_lightening.py.
# DEVICES: GPU numbers such as 0,1, or cpu (default 0). SHOTS: default "1 5 10". DATASETS_ROOT: default ./data.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cdfsod_benchmark ArTaxOr Araneae,Coleoptera,Diptera,Hemiptera,Hymenoptera,Lepidoptera,Odonata "$@"
cdfsod_benchmark clipart1k sheep,chair,boat,bottle,diningtable,sofa,cow,motorbike,car,aeroplane,cat,train,person,bicycle,pottedplant,bird,dog,bus,tvmonitor,horse "$@"
