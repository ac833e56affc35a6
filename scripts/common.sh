# Sourced by the scripts of the benchmarks, each of which is one call of `reproduce`.
#
# PYTHON names the interpreter (default python), DATASETS_ROOT the folder of the data sets (default ./data).

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHON=${PYTHON:-python}
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" # the scripts run the code they lie next to

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

# reproduce BENCHMARK ARGUMENTS: in place of the shell, so that signals reach it. With --dry-run anywhere among the arguments
# the commands are printed and none is run.
reproduce() {
    local word rest=()
    for word in "${@:2}"; do
        [[ $word == --dry-run ]] && rest=(--dry-run ${rest[@]+"${rest[@]}"}) || rest+=("$word")
    done
    exec "$PYTHON" "$ROOT/run_lightening.py" reproduce "$1" "${rest[@]}"
}

# gpu_numbers DEVICES: numbers of GPUs such as 0,1 in brackets, as without them 1 means "one GPU"; or cpu.
gpu_numbers() {
    [[ $1 == cpu ]] && echo cpu || echo "[$1]"
}
