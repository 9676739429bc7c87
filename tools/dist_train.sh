#!/usr/bin/env bash
# Train with several processes, one a GPU (gloo on CPUs without one):
#     bash tools/dist_train.sh CONFIG N [options of tools/train.py]
set -euo pipefail
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$TOOLS/dist_common.sh"

USAGE='bash tools/dist_train.sh CONFIG N [options of tools/train.py]'
[ $# -ge 2 ] || usage_error "found $# arguments, expected CONFIG and the number of processes; usage: $USAGE"
CONFIG=$1 COUNT=$2
shift 2
check_count "$COUNT" "$USAGE"
launch "$COUNT" "$TOOLS/train.py" "$CONFIG" "$@"
