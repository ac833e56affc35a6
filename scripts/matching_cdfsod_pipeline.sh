#!/usr/bin/env bash
# Usage: bash scripts/matching_cdfsod_pipeline.sh DATASET SHOT DEVICES CAT_NAMES CATEGORY_NUM [ARGUMENTS]
#   DATASET       folder in $DATASETS_ROOT (default ./data) with train/, test/, annotations/{<SHOT>_shot,test}.json
#   SHOT          references per class
#   DEVICES       GPU numbers such as 0 or 0,1; or cpu
#   CAT_NAMES     class names, comma-separated
#   CATEGORY_NUM  how many they are
#   ARGUMENTS     go to every call of run_lightening.py, e.g. --config configs/sam2_hiera_t.yaml
# One CD-FSOD data set: boxes to masks where there are none yet, pickle, fill, postprocess, test.
# SAM_CHECKPOINT names the weights that turn boxes into masks; by default SAM 1 ViT-H where it is in checkpoints/, else
# SAM 2 large.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
require_arguments 5 "$@"
dataset=$1 shot=$2 cat_names=$4 category_num=$5
use_devices "$3"
shift 5

folder=${DATASETS_ROOT:-./data}/$dataset
[[ $dataset == NEU-DET && ! -d $folder ]] && folder=${folder%NEU-DET}NEUDET # spelt either way on disk
[[ -d $folder ]] || stop "$folder is no folder; put $dataset there, or name the folder of the data sets in DATASETS_ROOT."
references=$folder/annotations/${shot}_shot.json
[[ -f $references ]] || stop "$references is missing; $dataset needs one such file per number of shots."

# Of a file that cannot be read, coco_to_pkl.py says below what is wrong with it.
lacks_masks() {
    local code=0
    "$PYTHON" - "$1" <<'PYTHON' || code=$?
import json, sys
try:
    annotations = json.load(open(sys.argv[1], encoding="utf-8-sig"))["annotations"]
    lacking = not all(annotation.get("segmentation") for annotation in annotations)
except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
    lacking = False
sys.exit(3 if lacking else 0)
PYTHON
    ((code == 3))
}

sam_checkpoint() {
    local sam1=checkpoints/sam_vit_h_4b8939.pth
    [[ -f $sam1 ]] || sam1=checkpoints/sam2_hiera_large.pt
    echo "${SAM_CHECKPOINT:-$sam1}"
}

if lacks_masks "$references"; then
    with_masks=${references%.json}_with_segm.json
    [[ -f $with_masks ]] || "$PYTHON" "$ROOT/no_time_to_train/dataset/sam_bbox_to_segm_batch.py" \
        --input_json "$references" \
        --image_dir "$folder/train" \
        --sam_checkpoint "$(sam_checkpoint)" \
        --model_type vit_h \
        --device "$torch_device" \
        --batch_size 8
    references=$with_masks
fi

"$PYTHON" "$ROOT/no_time_to_train/dataset/coco_to_pkl.py" "$references" "${references%.json}.pkl" "$shot"

config=$ROOT/no_time_to_train/pl_configs/matching_cdfsod_template.yaml
memory=./tmp_ckpts/cdfsod/${dataset}_${shot}_refs_memory
mkdir -p "${memory%/*}"
sizes=(
    --model.init_args.model_cfg.dataset_name "$dataset"
    --model.init_args.model_cfg.memory_bank_cfg.length "$shot"
    --model.init_args.model_cfg.memory_bank_cfg.category_num "$category_num"
)

run_stage --config "$config" \
    --model.test_mode fill_memory \
    --out_path "$memory.pth" \
    --model.init_args.dataset_cfgs.fill_memory.root "$folder/train" \
    --model.init_args.dataset_cfgs.fill_memory.json_file "$references" \
    --model.init_args.dataset_cfgs.fill_memory.memory_pkl "${references%.json}.pkl" \
    --model.init_args.dataset_cfgs.fill_memory.memory_length "$shot" \
    --model.init_args.dataset_cfgs.fill_memory.cat_names "$cat_names" \
    "${sizes[@]}" "${all_devices[@]}" "$@"

run_stage --config "$config" \
    --model.test_mode postprocess_memory \
    --ckpt_path "$memory.pth" \
    --out_path "${memory}_postprocessed.pth" \
    "${sizes[@]}" "${one_device[@]}" "$@"

run_stage --config "$config" \
    --model.test_mode test \
    --ckpt_path "${memory}_postprocessed.pth" \
    --model.init_args.dataset_cfgs.test.root "$folder/test" \
    --model.init_args.dataset_cfgs.test.json_file "$folder/annotations/test.json" \
    --model.init_args.dataset_cfgs.test.cat_names "$cat_names" \
    --model.init_args.model_cfg.test.imgs_path "$folder/test" \
    "${sizes[@]}" "${all_devices[@]}" "$@"
