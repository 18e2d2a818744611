# shellcheck shell=bash
# Hide every GPU and use the cores this process may use.  Sourced, never run.

export CUDA_VISIBLE_DEVICES=''
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)}"

# glibc's malloc gives each thread an arena of its own and returns large blocks to the kernel at
# every free.  Which thread gets which arena is chance: processes of the same training differed in
# speed by 10 % for their whole life, and by 1 % with one arena that keeps what it has.  Other C
# libraries ignore these.  32 MiB is the most that glibc accepts as a threshold.
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-1}"
export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-33554432}"
export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-8589934592}"
