# shellcheck shell=bash
# Hide every GPU and use the cores this process may use.  Sourced, never run.

export CUDA_VISIBLE_DEVICES=''
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)}"
