#!/usr/bin/env bash
# Usage: bash scripts/launch_coco_semantic_eval.sh
# mIoU of the results that launch_coco_semantic.sh has left in inst_to_segm/, fold by fold.
# SEED: default 42, that of the pipeline. SHOTS: default "1 5".
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
missing=0
for split in 1 2 3 4; do
    for shots in ${SHOTS:-1 5}; do
        results=inst_to_segm/coco_inst_semantic_split_${split}_${shots}shot_${SEED:-42}seed_results.json
        if [[ ! -f $results ]]; then
            echo "$results is missing; scripts/few_shot_coco_semantic_pipeline.sh $split GPUS makes it." >&2
            missing=2
            continue
        fi
        echo "Fold $split, $shots shots"
        "$PYTHON" "$ROOT/no_time_to_train/dataset/coco_inst_to_segm.py" \
            --pred_json "$results" --class_split "coco_semantic_split_$split"
    done
done
exit "$missing"
