#!/usr/bin/env bash
# Start a script of another model's folder, as ModelZoo's scripts want to be started: from test/, by
# its bare name, with the variables of the device exported.
#
#   bash harness/sandbox.sh KIND TEST_FOLDER SCRIPT ARGUMENT...

set -euo pipefail
# shellcheck source=/dev/null  # env/npu.sh, env/gpu.sh or env/cpu.sh
source "${BASH_SOURCE[0]%/*}/../env/$1.sh"
cd "$2"
shift 2
set +euo pipefail
exec bash "$@"
