#!/usr/bin/env bash
# Usage: bash scripts/demo.sh
# Every stage of the method on the photographs in photos/, on a CPU, with tiny networks and made-up weights: shows that
# the machinery works here and where it puts things. Sets up .venv first; PYTHON names another interpreter than python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/venv.sh
ensure_venv

DATASET_NAME=demo
DATASET_PATH=demo/photos
CAT_NAMES=motorcycle,coin
CATEGORY_NUM=2
SHOT=2 # coins_top.png holds two annotated coins, so coco_to_pkl.py lists it twice
MEMORY=demo/memory
PYTHON=$VENV_PYTHON

# step TITLE COMMAND...: runs the command and says how long it took.
step() {
    local title=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$title"
    "$@"
    echo "== done in $((SECONDS - start)) s"
}

run_stage() {
    "$PYTHON" run_lightening.py test \
        --config no_time_to_train/pl_configs/matching_cdfsod_template.yaml \
        --config configs/demo.yaml \
        --model.init_args.model_cfg.dataset_name $DATASET_NAME \
        --model.init_args.model_cfg.memory_bank_cfg.length $SHOT \
        --model.init_args.model_cfg.memory_bank_cfg.category_num $CATEGORY_NUM \
        --model.init_args.dataset_cfgs.fill_memory.root $DATASET_PATH/images \
        --model.init_args.dataset_cfgs.fill_memory.json_file $DATASET_PATH/annotations/custom_references_with_segm.json \
        --model.init_args.dataset_cfgs.fill_memory.memory_pkl $DATASET_PATH/annotations/custom_references_with_segm.pkl \
        --model.init_args.dataset_cfgs.fill_memory.memory_length $SHOT \
        --model.init_args.dataset_cfgs.fill_memory.cat_names $CAT_NAMES \
        --model.init_args.dataset_cfgs.test.root $DATASET_PATH/images \
        --model.init_args.dataset_cfgs.test.json_file $DATASET_PATH/annotations/custom_targets.json \
        --model.init_args.dataset_cfgs.test.cat_names $CAT_NAMES \
        "$@"
}

mkdir -p $DATASET_PATH/annotations
cp -r photos/images $DATASET_PATH/
cp photos/annotations/custom_{references,targets}.json $DATASET_PATH/annotations/

step "Made-up weights for tiny networks, in the official formats" \
    "$PYTHON" scripts/make_demo_checkpoints.py
step "Boxes of the references to masks" \
    "$PYTHON" no_time_to_train/dataset/sam_bbox_to_segm_batch.py \
    --input_json $DATASET_PATH/annotations/custom_references.json \
    --image_dir $DATASET_PATH/images \
    --sam_checkpoint checkpoints/demo/sam2_hiera_demo.pt \
    --device cpu \
    --batch_size 8 \
    --visualize
step "Reference set" \
    "$PYTHON" no_time_to_train/dataset/coco_to_pkl.py \
    $DATASET_PATH/annotations/custom_references_with_segm.json \
    $DATASET_PATH/annotations/custom_references_with_segm.pkl \
    $SHOT
step "Stage 1, fill_memory: features of the references" \
    run_stage --model.test_mode fill_memory --out_path $MEMORY.pth
step "Stage 2, postprocess_memory: class statistics" \
    run_stage --model.test_mode postprocess_memory --ckpt_path $MEMORY.pth --out_path ${MEMORY}_postprocessed.pth
step "Stage 2.1, vis_memory: what the memory holds" \
    run_stage --model.test_mode vis_memory --ckpt_path ${MEMORY}_postprocessed.pth
step "Stage 3, test: find and segment in the targets" \
    run_stage --model.test_mode test --ckpt_path ${MEMORY}_postprocessed.pth --export_result demo/results.json \
    --model.init_args.model_cfg.test.online_vis True --model.init_args.model_cfg.test.vis_thr 0.1

cat <<EOT

The demo ran in $SECONDS s. It left
  demo/photos/annotations/custom_references_with_SAM_segm/  the references with their masks
  results_analysis/memory_vis/$DATASET_NAME/                         reference, k-means and PCA of its features
  results_analysis/$DATASET_NAME/                                    ground truth left, predictions right
  demo/results.json                                         the predictions as COCO results
The weights are made up, so the masks and scores mean nothing; README.md says how to get the real ones.
EOT
