#!/usr/bin/env bash
# Usage: bash scripts/demo.sh
# Finds and segments objects from one reference each, on a CPU, with the small networks of demo_models/: made-up objects in
# made-up scenes, then coins and a motorcycle in photographs. Sets up .venv first; PYTHON names another interpreter than python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
ensure_venv
PYTHON=$VENV_PYTHON

# step TITLE COMMAND...: runs the command and says how long it took.
step() {
    local title=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$title"
    "$@"
    echo "== done in $((SECONDS - start)) s"
}

# use NAME TARGETS SHOT CATEGORY_NUM CAT_NAMES: the data set of the next stages; what they make goes to demo/NAME.
use() {
    NAME=$1 TARGETS=$1/annotations/$2 SHOT=$3 CATEGORY_NUM=$4 CAT_NAMES=$5
    REFERENCES=demo/$NAME/references
    mkdir -p "demo/$NAME"
}

# stage MODE ARGUMENTS...: one stage on the data set in use.
stage() {
    "$PYTHON" run_lightening.py test \
        --config no_time_to_train/pl_configs/matching_cdfsod_template.yaml \
        --config configs/demo.yaml \
        --model.test_mode "$1" \
        --model.init_args.model_cfg.dataset_name "demo_$NAME" \
        --model.init_args.model_cfg.memory_bank_cfg.length "$SHOT" \
        --model.init_args.model_cfg.memory_bank_cfg.category_num "$CATEGORY_NUM" \
        --model.init_args.dataset_cfgs.fill_memory.root "$NAME/images" \
        --model.init_args.dataset_cfgs.fill_memory.json_file "$REFERENCES.json" \
        --model.init_args.dataset_cfgs.fill_memory.memory_pkl "$REFERENCES.pkl" \
        --model.init_args.dataset_cfgs.fill_memory.memory_length "$SHOT" \
        --model.init_args.dataset_cfgs.fill_memory.cat_names "$CAT_NAMES" \
        --model.init_args.dataset_cfgs.test.root "$NAME/images" \
        --model.init_args.dataset_cfgs.test.json_file "$TARGETS" \
        --model.init_args.dataset_cfgs.test.cat_names "$CAT_NAMES" \
        "${@:2}"
}

# all_stages: from the reference set to AP tables and pictures.
all_stages() {
    local memory=demo/$NAME/memory
    step "Reference set" \
        "$PYTHON" no_time_to_train/dataset/coco_to_pkl.py "$REFERENCES.json" "$REFERENCES.pkl" "$SHOT"
    step "Stage 1, fill_memory: features of the references" \
        stage fill_memory --out_path "$memory.pth"
    step "Stage 2, postprocess_memory: class statistics" \
        stage postprocess_memory --ckpt_path "$memory.pth" --out_path "${memory}_postprocessed.pth"
    step "Stage 2.1, vis_memory: what the memory holds" \
        stage vis_memory --ckpt_path "${memory}_postprocessed.pth"
    step "Stage 3, test: find and segment in the targets" \
        stage test --ckpt_path "${memory}_postprocessed.pth" --export_result "demo/$NAME/results.json" \
        --model.init_args.model_cfg.test.online_vis True
}

use scenes targets.json 1 10 \
    dotted_star,ringed_star,dotted_heart,zigzag_heart,ringed_gear,zigzag_gear,dotted_crescent,zigzag_crescent,ringed_arrow,dotted_arrow
printf '\nMADE-UP SCENES: ten classes, one reference each\n'
cp scenes/annotations/references.json "$REFERENCES.json"
all_stages

# coins_top.png holds two annotated coins, so coco_to_pkl.py lists it twice; both times the first coin is the reference.
use photos custom_targets.json 2 2 motorcycle,coin
printf '\nPHOTOGRAPHS: a motorcycle and a coin as references\n'
cp photos/annotations/custom_references.json demo/photos/boxes.json
step "Boxes of the references to masks" \
    "$PYTHON" no_time_to_train/dataset/sam_bbox_to_segm_batch.py \
    --input_json demo/photos/boxes.json \
    --image_dir photos/images \
    --sam_checkpoint demo_models/sam2_hiera_demo.pt \
    --device cpu \
    --batch_size 8 \
    --visualize
mv demo/photos/boxes_with_segm.json "$REFERENCES.json"
all_stages

cat <<EOT

The demo ran in $SECONDS s. Look at
  results_analysis/demo_scenes/, results_analysis/demo_photos/  truth left, predictions right
  results_analysis/memory_vis/demo_{scenes,photos}/             a reference, its k-means and PCA
  demo/photos/boxes_with_SAM_segm/                              boxes of references and the masks made from them
  demo/{scenes,photos}/results.json                             predictions as COCO results
demo_models/README.md says what these small networks can do; README.md how to get the real ones.
EOT
