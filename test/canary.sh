#!/usr/bin/env bash
# Time a fixed workload on one device, independent of the model: did the machine change?
#
#   bash test/canary.sh
#
# Prints `Canary seconds : `, the median of its repeats.

set -euo pipefail
# shellcheck source=test/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

use_environment "$@"
exec python3 -u "${ROOT}/test/canary.py"
