# shellcheck shell=bash
# Choose the kind of device and set its environment; source it by hand or let the scripts do it.
#
#   source test/env.sh      export RCAN_DEVICE_KIND (npu, gpu or cpu) and what that kind needs
#   bash test/env.sh        print the kind
#
# What is set already stays: RCAN_DEVICE_KIND to force a kind, ASCEND_DEVICE_ID to choose a device.

_rcan_env="$(cd "$(dirname "${BASH_SOURCE[0]}")/../env" && pwd)"

# _rcan_device_kind: print npu where an Ascend device and npu_bridge answer, else gpu, else cpu.
_rcan_device_kind() {
  if compgen -G "${RCAN_DEV:-/dev}/davinci[0-9]*" >/dev/null; then
    if _rcan_has_npu_bridge; then
      echo npu
      return
    fi
    echo 'env.sh: an Ascend device is here, but python3 finds no npu_bridge: going on without it.' \
      "Install CANN's TF Adapter, or say where CANN is with ASCEND_HOME" >&2
  fi
  if nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then echo gpu; else echo cpu; fi
}

# _rcan_has_npu_bridge: look for it the way the training will, after CANN's own variables.
_rcan_has_npu_bridge() (
  # shellcheck source=env/npu.sh
  source "${_rcan_env}/npu.sh" 2>/dev/null
  python3 -c 'import importlib.util, sys
sys.exit(importlib.util.find_spec("npu_bridge") is None)'
)

export RCAN_DEVICE_KIND="${RCAN_DEVICE_KIND:-$(_rcan_device_kind)}"
case "${RCAN_DEVICE_KIND}" in
  npu | gpu | cpu)
    # shellcheck disable=SC1090  # one of the three in env/
    source "${_rcan_env}/${RCAN_DEVICE_KIND}.sh" ;;
  *)
    echo "env.sh: RCAN_DEVICE_KIND must be npu, gpu or cpu, not '${RCAN_DEVICE_KIND}'" >&2
    # shellcheck disable=SC2317  # exit is for when it was not sourced
    return 2 2>/dev/null || exit 2 ;;
esac
# shellcheck disable=SC2031  # what the look for npu_bridge sets is meant to be lost
export ASCEND_DEVICE_ID="${ASCEND_DEVICE_ID:-0}"   # last: env/npu.sh knows an older name for it
if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  echo "${RCAN_DEVICE_KIND}"
fi
