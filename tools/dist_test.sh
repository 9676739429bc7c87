#!/usr/bin/env bash
# Test with several processes, one a GPU (gloo on CPUs without one); the numbers are those of one process:
#     bash tools/dist_test.sh CONFIG CHECKPOINT N [options of tools/test.py]
set -euo pipefail
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$TOOLS/dist_common.sh"

USAGE='bash tools/dist_test.sh CONFIG CHECKPOINT N [options of tools/test.py]'
[ $# -ge 3 ] || usage_error "found $# arguments, expected CONFIG, CHECKPOINT and the number of processes; usage: $USAGE"
CONFIG=$1 CHECKPOINT=$2 COUNT=$3
shift 3
check_count "$COUNT" "$USAGE"
launch "$COUNT" "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" "$@"
