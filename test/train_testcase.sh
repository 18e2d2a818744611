#!/usr/bin/env bash
# ModelZoo's gate: does it train, is it accurate, was its speed measured?  At most 10 minutes.
#
#   bash test/train_testcase.sh [--name=value ...]
#
# Trains the small preset on the photographs (flags: bash test/train_full_1p.sh --help).  The last
# line is 'Run testcase success!' (exit status 0) or 'Run testcase failed!' (1).

set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
log="${here}/output/${ASCEND_DEVICE_ID:-0}/train_${ASCEND_DEVICE_ID:-0}.log"

# passes ARG...: a speed was measured, and the network is better than bicubic.
passes() {
  timeout 600 bash "${here}/train_full_1p.sh" --preset=smoke "$@" || return 1
  grep -qx 'Final images/sec : [0-9.]*' "${log}" &&
    grep -qx 'Final gain over bicubic dB : [0-9.]*' "${log}"
}

if [[ "${1:-}" == -h || "${1:-}" == --help ]]; then
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
elif passes "$@"; then
  echo 'Run testcase success!'
else
  echo 'Run testcase failed!'
  exit 1
fi
