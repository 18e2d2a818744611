#!/usr/bin/env bash
# Measure the training speed of RCAN x2 on one device.
#
#   bash test/train_performance_1p.sh --data_path=DIR [--name=value ...]
#
# Takes the flags of train_full_1p.sh (bash test/train_full_1p.sh --help) and trains 102 steps,
# ModelZoo's number, unless --max_step=N says otherwise.  It measures no PSNR.
#
# Results: test/output/<device>/.  Exit status: the training's own where it fails.

set -euo pipefail
# shellcheck source=test/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

main_1p perf 102 "$@"
