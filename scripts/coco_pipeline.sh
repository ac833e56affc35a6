# Sourced by few_shot_full_pipeline.sh and full_seg.sh: sample, fill, postprocess, test on COCO.

coco_paths=( # in place of the config's
    --model.init_args.dataset_cfgs.fill_memory.root "${DATASETS_ROOT:-}/coco/train2017"
    --model.init_args.dataset_cfgs.fill_memory.json_file
    "${DATASETS_ROOT:-}/coco/annotations/instances_train2017.json"
    --model.init_args.dataset_cfgs.test.root "${DATASETS_ROOT:-}/coco/val2017"
    --model.init_args.dataset_cfgs.test.json_file
    "${DATASETS_ROOT:-}/coco/annotations/instances_val2017.json"
)

# coco_pipeline CLASS_SPLIT RESULTS_DIR CONFIG SHOTS GPUS SEED [ARGUMENTS]
coco_pipeline() {
    local class_split=$1 results=$2 config=$3 shots=$4 seed=$6
    use_gpus "$5"
    shift 6
    local references=$results/few_shot_${shots}shot_seed${seed}.pkl
    mkdir -p "$results"
    [[ -z ${DATASETS_ROOT:-} ]] || set -- "${coco_paths[@]}" "$@"

    "$PYTHON" "$ROOT/no_time_to_train/dataset/few_shot_sampling.py" \
        --n-shot "$shots" \
        --out-path "$references" \
        --seed "$seed" \
        --dataset "$class_split"

    run_stage --config "$config" \
        --model.test_mode fill_memory \
        --out_path "$results/memory.ckpt" \
        --model.init_args.model_cfg.memory_bank_cfg.length "$shots" \
        --model.init_args.dataset_cfgs.fill_memory.memory_pkl "$references" \
        --model.init_args.dataset_cfgs.fill_memory.memory_length "$shots" \
        --model.init_args.dataset_cfgs.fill_memory.class_split "$class_split" \
        --trainer.logger.save_dir "$results/" \
        "${all_devices[@]}" "$@"

    run_stage --config "$config" \
        --model.test_mode postprocess_memory \
        --model.init_args.model_cfg.memory_bank_cfg.length "$shots" \
        --ckpt_path "$results/memory.ckpt" \
        --out_path "$results/memory_postprocessed.ckpt" \
        "${one_device[@]}" "$@"

    run_stage --config "$config" \
        --ckpt_path "$results/memory_postprocessed.ckpt" \
        --model.init_args.test_mode test \
        --model.init_args.model_cfg.memory_bank_cfg.length "$shots" \
        --model.init_args.model_cfg.dataset_name "$class_split" \
        --model.init_args.dataset_cfgs.test.class_split "$class_split" \
        --trainer.logger.save_dir "$results/" \
        "${all_devices[@]}" "$@"
}
