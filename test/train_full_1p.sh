#!/usr/bin/env bash
# Train RCAN on one device, measure its PSNR, report speed and accuracy.
#
#   bash test/train_full_1p.sh --data_path=DIR [--name=value ...]
#
#   --data_path=DIR        DIV2K_train_HR, DIV2K_valid_HR and, if they are there, their
#                          DIV2K_*_LR_bicubic/X2; on a CPU the default is test/photos
#   --preset=NAME          paper (default on an NPU and a GPU) or smoke (default on a CPU)
#   --batch_size=16        patches a step; --batch is the same
#   --scale=2              how many times larger: 2, 3, 4 or 8 (LR images in DIV2K_*/X<scale>)
#   --max_step=N           steps to train; default: the preset's
#   --learning_rate=R      default: the preset's
#   --seed=0               of the initial weights and the patches
#   --modeldir=DIR         where checkpoints go; default: ckpt/ in the results' folder
#   --save_interval=N      steps between two checkpoints
#   --resume=True          go on from the newest checkpoint there, if there is one
#   --optimizer=lamb, --lr_schedule=cosine, --warmup_step=N, --accumulate=N, --ema_decay=R,
#   --patch_size=48, --summary_path=DIR
#                          beyond the paper's recipe (README, "Beyond the paper")
#   --precision_mode=MODE, --loss_scale=N|dynamic
#                          on an NPU; on a GPU allow_mix_precision is TensorFlow's own
#   --iterations_per_loop=N, --mix_compile_mode=True, --op_compiler_cache_dir=DIR, --profiling=True,
#   --over_dump=True, --data_dump_flag=True, --data_dump_step=0|5|10-20
#                          what only an NPU can do; refused elsewhere
#
# The device is number $ASCEND_DEVICE_ID (default 0) of the kind that is there; RCAN_DEVICE_KIND=cpu
# forces one.  Results: test/output/<device>/.  Exit status: the training's own where it fails.

set -euo pipefail
# shellcheck source=test/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

main_1p acc '' "$@"
