#!/usr/bin/env bash
# Usage: bash scripts/pascal_voc_box_to_segmentation.sh DEVICES
#   DEVICES  number of a GPU, of which the first is used; or cpu
# Masks for the boxes of voc0712_trainval.json and voc07_test.json, which are made where they are missing, as is
# allimages. SAM_CHECKPOINT names the weights; by default SAM 1 ViT-H where it is in checkpoints/, else SAM 2 large.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_arguments 1 "$@"
reproduce voc --prepare --devices "$(gpu_numbers "$1")"
