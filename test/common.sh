# shellcheck shell=bash
# What ModelZoo's scripts share: flags, the run's folder, its log, its result file.  Sourced.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
NETWORK=RCAN_ID0268_for_TensorFlow

# main_1p SUFFIX DEFAULT_STEPS ARG...: measure on one device; SUFFIX is perf, or acc with PSNR.
main_1p() {
  local suffix="$1" max_step="$2"
  shift 2
  local preset='' data_path='' batch_size=16 scale=2 steps_a_call=1 resume='' modeldir='' model_dir
  local -a flags=() device_flags=()
  parse_args "$@"
  use_environment "$@"
  set_defaults
  local out="${ROOT}/test/output/${ASCEND_DEVICE_ID}" case_name="${NETWORK}"
  [[ "${preset}" == paper ]] || case_name+="_${preset}"
  [[ "${scale}" == 2 ]] || case_name+="_x${scale}"
  case_name+="_bs${batch_size}_1p_${suffix}"
  local log="${out}/train_${ASCEND_DEVICE_ID}.log"
  model_dir="${modeldir:-${out}/ckpt}"

  train
  [[ "${suffix}" != acc ]] || evaluate
  write_results
}

# parse_args ARG...: set the caller's preset, data_path, batch_size, scale, max_step, steps_a_call,
# resume and modeldir; collect in flags what goes to the training as it is, in device_flags what the
# evaluation needs as well.  Refuses what it does not know.
parse_args() {
  local arg
  for arg in "$@"; do
    case "${arg}" in
      --data_path=*)     data_path="${arg#*=}" ;;
      --preset=?*)       preset="${arg#*=}" ;;
      --batch=?* | --batch_size=?*) batch_size="${arg#*=}" ;;
      --max_step=?*)     max_step="${arg#*=}" ;;
      --scale=?*)        scale="${arg#*=}" ;;
      --modeldir=?*)     modeldir="$(absolute "${arg#*=}")" ;;
      --save_interval=?*) flags+=("--model_save_freq=${arg#*=}") ;;
      --resume=?*)       resume="${arg#*=}"; flags+=("${arg}") ;;
      --iterations_per_loop=?*) steps_a_call="${arg#*=}"; flags+=("${arg}") ;;
      --learning_rate=?* | --optimizer=?* | --lr_schedule=?* | --warmup_step=?* | \
        --accumulate=?* | --ema_decay=?* | --patch_size=?* | --seed=?* | --summary_path=?* | \
        --loss_scale=?* | --profiling=?* | --over_dump=?* | --data_dump_flag=?* | \
        --data_dump_step=?*) flags+=("${arg}") ;;
      --mix_compile_mode=?* | --op_compiler_cache_dir=?*) device_flags+=("${arg}") ;;
      --precision_mode=*) device_flags+=("${arg}") ;;   # empty: the device's own default
      -h | --help)       usage; exit 0 ;;
      *)                 die 2 "unknown or empty argument '${arg}': flags are --name=value, --help lists them" ;;
    esac
  done
}

# use_environment ARG...: choose the device; start again inside env/run.sh where python3 cannot train,
# or where a build of TensorFlow is asked for, which only env/run.sh knows.
use_environment() {
  if [[ -z "${RCAN_ENV:-}" ]] && { [[ -n "${RCAN_TENSORFLOW:-}" ]] ||
      ! python3 "${ROOT}/env/have.py" tensorflow numpy PIL >/dev/null 2>&1; }; then
    echo "${0##*/}: going on through env/run.sh, for ${RCAN_TENSORFLOW:-want of TensorFlow 1.15 here}" >&2
    exec bash "${ROOT}/env/run.sh" bash "$0" "$@"
  fi
  # shellcheck source=test/env.sh
  source "${ROOT}/test/env.sh"
  [[ "${ASCEND_DEVICE_ID}" =~ ^[0-9]+$ ]] ||
    die 2 "ASCEND_DEVICE_ID must be a number, not '${ASCEND_DEVICE_ID}'"
}

# set_defaults: on a CPU the small preset and the photographs; elsewhere data must be named.
set_defaults() {
  if [[ -z "${preset}" ]]; then
    if [[ "${RCAN_DEVICE_KIND}" == cpu ]]; then preset=smoke; else preset=paper; fi
  fi
  if [[ -z "${data_path}" && ( "${RCAN_DEVICE_KIND}" == cpu || "${preset}" == smoke ) ]]; then
    data_path="${ROOT}/test/photos"
  fi
  [[ -n "${data_path}" ]] || die 1 '[Error] para "data_path" must be config'
  data_path="$(absolute "${data_path}")"
  require_folder "${data_path}/DIV2K_train_HR"
  [[ "${suffix}" != acc ]] || require_folder "${data_path}/DIV2K_valid_HR"
  [[ -n "${max_step}" ]] || max_step="$(preset_steps)"
}

# watch_accuracy: set the caller's watching to the flags that measure the PSNR five times on the way,
# half a second each for the small network; for a large one it takes a flag of model/main.py.
watch_accuracy() {
  [[ "${suffix}" == acc && "${preset}" == smoke && "${max_step}" =~ ^[1-9][0-9]{0,8}$ ]] || return 0
  watching=(--test_with_train=True "--model_save_freq=$(( (max_step + 4) / 5 ))"
    --test_set=DIV2K_valid "--test_GT_path=${data_path}/DIV2K_valid_HR"
    "--test_LR_path=$(lr_folder valid)")
}

# train: run the training in the foreground, so that its exit status is ours.
train() {
  local status=0
  local -a watching=()
  watch_accuracy
  run_model --mode=train ${watching[@]+"${watching[@]}"} \
    "--train_GT_path=${data_path}/DIV2K_train_HR" \
    "--train_LR_path=$(lr_folder train)" \
    "--max_step=${max_step}" "--log_freq=${steps_a_call}" "--model_path=${model_dir}" "--dump_path=${out}" \
    ${flags[@]+"${flags[@]}"} | keep_log || status=$?
  (( status == 0 )) || die "${status}" "the training failed with status ${status}; its output is above$(
    [[ ! -e "${out}/failed_start.log" ]] || echo " and in ${out}/failed_start.log; earlier results are untouched")"
}

# evaluate: measure the checkpoint that the training has just written; on an NPU, which compiles for
# every size of image, in tiles.
evaluate() {
  local status=0 checkpoint tiles=False
  [[ "${RCAN_DEVICE_KIND}" != npu ]] || tiles=True
  checkpoint="$(value 'Final checkpoint')"
  run_model --mode=test \
    "--pre_trained_model=${model_dir}/${checkpoint}" \
    "--test_GT_path=${data_path}/DIV2K_valid_HR" \
    "--test_LR_path=$(lr_folder valid)" \
    --test_set=DIV2K_valid "--chop_forward=${tiles}" "--result_path=${out}/result" |
    tee -a "${log}" || status=$?
  (( status == 0 )) || die "${status}" "the evaluation failed with status ${status}; see ${log}"
}

# run_model FLAG...: the flags that training and evaluation share, then these.
run_model() {
  python3 -u "${ROOT}/model/main.py" "--preset=${preset}" "--batch_size=${batch_size}" "--scale=${scale}" \
    "--device_kind=${RCAN_DEVICE_KIND}" "--cache_path=${ROOT}/.cache" \
    ${device_flags[@]+"${device_flags[@]}"} "$@" 2>&1
}

# keep_log: copy standard input to standard output and, once the run has begun well, to the log.
# Until the training is ready for its first step, the folder keeps the last run's results.
keep_log() {
  local line start=''
  while IFS= read -r line; do
    printf '%s\n' "${line}"
    start+="${line}"$'\n'
    if [[ "${line}" == :::MLLOG*'"key": "init_stop"'* ]]; then
      clear_run
      printf '%s' "${start}" >"${log}"
      exec tee -a "${log}"
    fi
  done
  mkdir -p "${out}"
  printf '%s' "${start}" >"${out}/failed_start.log"
}

# clear_run: remove from the run's folder what an earlier run has made, and nothing else; the
# checkpoints stay where this one goes on from them.
clear_run() {
  mkdir -p "${out}"
  [[ "${resume}" =~ ^[Tt][Rr][Uu][Ee]$ ]] || rm -rf "${out}/ckpt"
  rm -rf "${out}/result"
  rm -f "${log}" "${out}/failed_start.log" "${out}/${NETWORK}"*_1p_{perf,acc}.log \
    "${out}"/{,train_}"${NETWORK}"*_1p_{perf,acc}_loss.txt
  mkdir -p "${model_dir}"
}

# write_results: ModelZoo's result file, loss files and last lines.
write_results() {
  local fps step_ms loss accuracy=None
  fps="$(value 'Final images/sec')"
  step_ms="$(value 'Final step milliseconds')"
  loss="$(value 'Final Loss')"
  [[ "${suffix}" != acc ]] || accuracy="$(value 'Final PSNR')"
  sed -n 's/^Loss : //p' "${log}" >"${out}/train_${case_name}_loss.txt"
  cp "${out}/train_${case_name}_loss.txt" "${out}/${case_name}_loss.txt"   # RCAN's old name for it
  cat >"${out}/${case_name}.log" <<RESULT
Network = ${NETWORK}
RankSize = 1
BatchSize = ${batch_size}
DeviceType = $(uname -m)
CaseName = ${case_name}
ActualFPS = ${fps}
TrainAccuracy = ${accuracy}
TrainingTime = ${step_ms}
ActualLoss = ${loss}
E2ETrainingTime = ${SECONDS}
RESULT
  cat <<RESULT
------------------ Final result ------------------
Final Performance images/sec : ${fps}
Final Train Accuracy : ${accuracy}
E2E Training Duration sec : ${SECONDS}
Results : ${out}/${case_name}.log
RESULT
}

# value NAME: the value of the training's last line 'NAME : value'; its absence is an error.
value() {
  local found
  found="$(sed -n "s|^$1 : ||p" "${log}" | tail -n 1)"
  [[ -n "${found}" ]] || die 1 "no '$1 : ' in ${log}: the run did not finish"
  printf '%s' "${found}"
}

# lr_folder SPLIT: DIV2K's LR images of a split; nothing where they are to be made from the HR images.
lr_folder() {
  local folder="${data_path}/DIV2K_$1_LR_bicubic/X${scale}"
  [[ ! -d "${folder}" ]] || printf '%s' "${folder}"
}

# preset_steps: how many steps the preset trains; config.py knows.
preset_steps() {
  (cd "${ROOT}" && python3 -c 'import sys
from model.config import PRESETS
print(PRESETS.get(sys.argv[1], {"max_step": 1})["max_step"])' "${preset}")
}

# require_folder PATH: ModelZoo's data sets have a fixed layout.
require_folder() {
  [[ -d "$1" ]] || die 1 "[Error] no folder $1: --data_path must hold DIV2K_train_HR and, to measure PSNR, DIV2K_valid_HR"
}

# absolute PATH: the same path from any folder, which need not exist.
absolute() {
  case "$1" in /*) printf '%s' "$1" ;; *) printf '%s' "${PWD}/$1" ;; esac
}

# die STATUS MESSAGE: say what is wrong and end the script.
die() {
  printf '%s: %s\n' "${0##*/}" "$2" >&2
  exit "$1"
}

# usage: print the calling script's own header comment.
usage() {
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
}
