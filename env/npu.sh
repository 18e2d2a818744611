# shellcheck shell=bash
# Set what Ascend's software reads from the environment.  Sourced, never run.
#
#   source env/npu.sh
#
# Finds CANN where its own variables point, else under ASCEND_HOME (default: /usr/local/Ascend), in
# any of its layouts: cann, ascend-toolkit or nnae, fwkacllib.  What is set already stays as it is.

_npu_main() {
  if [[ -z "${RCAN_CANN:-}" ]]; then   # the second time, the paths are there
    RCAN_CANN="$(_npu_root)"
    [[ -z "${RCAN_CANN}" ]] || _npu_cann "${RCAN_CANN}"
  fi
  export RCAN_CANN
  export ASCEND_DEVICE_ID="${ASCEND_DEVICE_ID:-${DEVICE_ID:-0}}"   # DEVICE_ID: its older name
  export ASCEND_GLOBAL_LOG_LEVEL="${ASCEND_GLOBAL_LOG_LEVEL:-3}"   # 3: errors
  export JOB_ID="${JOB_ID:-10087}" RANK_ID="${RANK_ID:-0}" RANK_SIZE="${RANK_SIZE:-1}"
  echo "npu: device ${ASCEND_DEVICE_ID}, CANN: ${RCAN_CANN:-not found (ASCEND_HOME says where)}" >&2
}

# _npu_root: print the folder that CANN lies in, or nothing.
_npu_root() {
  local home="${ASCEND_HOME:-/usr/local/Ascend}" opp="${ASCEND_OPP_PATH:-}" root
  for root in "${ASCEND_HOME_PATH:-}" "${ASCEND_TOOLKIT_HOME:-}" "${opp%/opp*}" \
              "${home}"{/cann,/ascend-toolkit/latest,/nnae/latest,}; do
    if [[ -n "${root}" && -d "${root}/opp" ]]; then   # the operators: in every layout
      echo "${root%/}"
      return
    fi
  done
}

# _npu_cann ROOT: the variables of CANN in ROOT and of its TensorFlow plug-in beside it.
_npu_cann() {
  local root="$1" dir script='' driver="${ASCEND_HOME:-/usr/local/Ascend}/driver/lib64"
  for dir in "${root%/*}" "${root}"; do
    [[ ! -f "${dir}/set_env.sh" ]] || script="${dir}/set_env.sh"
  done
  if [[ -n "${script}" ]]; then _npu_source "${script}"; else _npu_by_hand "${root}"; fi
  _npu_prepend LD_LIBRARY_PATH "${driver}/driver" "${driver}/common" "${driver}"
  for dir in "${root}/tfplugin" "${root%/*}/tfplugin" "${root%/*/*}/tfplugin"; do
    [[ ! -f "${dir}/set_env.sh" ]] || _npu_source "${dir}/set_env.sh"
    _npu_prepend PYTHONPATH "${dir}/python/site-packages" "${dir}/latest/python/site-packages"
  done
  _npu_prepend PYTHONPATH "${TFPLUGIN_INSTALL_PATH:-}"   # CANN 8 and later: where pip put the wheel
}

# _npu_by_hand ROOT: what set_env.sh exports, for a CANN that has none.
_npu_by_hand() {
  local root="$1" kit="$1" tbe="$1/opp/built-in/op_impl/ai_core/tbe"
  if [[ -d "${root}/fwkacllib" && ! -d "${root}/lib64" ]]; then
    kit="${root}/fwkacllib"
  else
    export ASCEND_TOOLKIT_HOME="${ASCEND_TOOLKIT_HOME:-${root}}"
    export ASCEND_HOME_PATH="${ASCEND_HOME_PATH:-${root}}"
  fi
  export ASCEND_OPP_PATH="${ASCEND_OPP_PATH:-${root}/opp}"
  export ASCEND_AICPU_PATH="${ASCEND_AICPU_PATH:-${root}}"
  [[ ! -d "${root}/toolkit" ]] || export TOOLCHAIN_HOME="${TOOLCHAIN_HOME:-${root}/toolkit}"
  _npu_prepend PATH "${kit}"{/tools/ccec_compiler,/compiler/ccec_compiler,/ccec_compiler,}/bin
  _npu_prepend LD_LIBRARY_PATH "${tbe}/op_tiling/lib/linux/$(uname -m)" \
    "${kit}"/lib64{/plugin/nnengine,/plugin/opskernel,}
  _npu_prepend PYTHONPATH "${tbe}" "${kit}/python/site-packages"
}

# _npu_prepend VARIABLE DIR...: put each DIR that exists in front.
_npu_prepend() {
  local variable="$1" dir
  for dir in "${@:2}"; do
    [[ ! -d "${dir}" ]] || export "${variable}=${dir}${!variable:+:${!variable}}"
  done
}

# _npu_source FILE: source a script of the vendor's.  Such scripts read unset variables and let
# commands fail, so the caller's options wait meanwhile; and what the user had set comes back.
_npu_source() {
  local _npu_file="$1" _npu_options="$-" _npu_pipefail _npu_mine
  _npu_pipefail="$([[ -o pipefail ]] && echo -o || echo +o)"
  _npu_mine="$(export -p |
    sed -En 's/^declare -x ((ASCEND_[A-Z0-9_]*|TOOLCHAIN_HOME)=)/export \1/p')"
  set --   # or the script would take FILE for an argument of its own
  set +eu +o pipefail
  # shellcheck disable=SC1090
  source "${_npu_file}" >/dev/null 2>&1
  set +eu "${_npu_pipefail}" pipefail
  [[ "${_npu_options}" != *e* ]] || set -e
  [[ "${_npu_options}" != *u* ]] || set -u
  eval "${_npu_mine}"
}

_npu_main
unset -f _npu_main _npu_root _npu_cann _npu_by_hand _npu_prepend _npu_source
