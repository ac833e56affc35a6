# Sourced by the pipelines: arguments, devices, and the stages that several of them share.
#
# PYTHON names the interpreter (default python), DATASETS_ROOT the folder of the data sets (default ./data).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-python}
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" # the pipelines run the code they lie next to

# require_arguments COUNT "$@": with fewer, prints the comment at the top of the script and stops.
require_arguments() {
    (($# > $1)) && return
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

stop() {
    echo "$1" >&2
    exit 2
}

run_stage() {
    "$PYTHON" "$ROOT/run_lightening.py" test "$@"
}

# use_gpus GPUS: trainer flags for that many GPUs, or for `cpu`.
use_gpus() {
    all_devices=(--trainer.devices "$1")
    one_device=(--trainer.devices 1)
    [[ $1 != cpu ]] || use_cpu
}

# use_devices DEVICES: trainer flags for these GPU numbers (0,1), or for `cpu`. In brackets, since Lightning takes a
# bare 1 as "one GPU" and not as "GPU number 1".
use_devices() {
    all_devices=(--trainer.devices "[$1]")
    one_device=(--trainer.devices "[${1%%,*}]")
    torch_device=cuda:${1%%,*}
    [[ $1 != cpu ]] || use_cpu
}

use_cpu() {
    all_devices=(--trainer.accelerator cpu --trainer.devices 1)
    one_device=("${all_devices[@]}")
    torch_device=cpu
}

# cdfsod_benchmark DATASET CAT_NAMES [ARGUMENTS]: one CD-FSOD data set at every number of SHOTS.
cdfsod_benchmark() {
    local dataset=$1 cat_names=$2 shot names
    shift 2
    IFS=, read -ra names <<<"$cat_names"
    for shot in ${SHOTS:-1 5 10}; do
        bash "$ROOT/scripts/matching_cdfsod_pipeline.sh" \
            "$dataset" "$shot" "${DEVICES:-0}" "$cat_names" "${#names[@]}" "$@"
    done
}
