# Sourced by dist_train.sh and dist_test.sh: what torchrun needs to know. Set by the environment: NNODES, NODE_RANK,
# MASTER_ADDR, PORT, PYTHON.

PYTHON=${PYTHON:-python}
NNODES=${NNODES:-1}
NODE_RANK=${NODE_RANK:-0}
MASTER_ADDR=${MASTER_ADDR:-127.0.0.1}

usage_error() {
    echo "error: $1" >&2
    exit 2
}

check_count() {
    [[ "$1" =~ ^[1-9][0-9]*$ ]] || usage_error "found '$1' as the number of processes, expected 1, 2, ...; usage: $2"
}

# Several nodes must agree on a port; on one node torchrun takes a free one, which no other run takes first.
if [ "$NNODES" = 1 ] && [ -z "${PORT:-}" ]; then
    MEETING=(--standalone)
else
    MEETING=(--master_addr="$MASTER_ADDR" --master_port="${PORT:-29500}")
fi

# launch N SCRIPT ARGS...: the cores are shared out among the processes, unless the user says otherwise.
launch() {
    local count=$1 script=$2
    shift 2
    local cores
    cores=$($PYTHON -c 'import os; print(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())')
    local threads=$((cores / count))
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}
    export PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}"
    exec $PYTHON "$TOOLS/dist_run.py" \
        --nnodes="$NNODES" --node_rank="$NODE_RANK" "${MEETING[@]}" \
        --nproc_per_node="$count" "$script" "$@" --launcher pytorch
}
