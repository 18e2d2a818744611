# shellcheck shell=bash
# Show TensorFlow the one GPU that ModelZoo's ASCEND_DEVICE_ID names.  Sourced, never run.

# Set but empty is a choice too (no GPU), hence - and not :-
export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES-${ASCEND_DEVICE_ID:-0}}"
