#!/usr/bin/env bash
# Make this project's Python environment, once, and run COMMAND in it.
#
#   bash env/run.sh COMMAND [ARGUMENT...]
#
# Where the machine has a Python 3.7 with TensorFlow 1.15 and npu_bridge (as Ascend's images have),
# .venv adds to it only what it lacks; elsewhere .venv holds all of env/requirements.lock, on a
# CPython 3.7 from PATH, pyenv or conda, or one that conda or uv brings.  Every package of the lock
# is checked against its hash, and nothing outside this folder changes.
#
# RCAN_TENSORFLOW=intel-tensorflow, set for every call, makes .venv with TensorFlow 1.15.2 as Intel
# built it (oneDNN), which trains 1.5 to 2 times as fast on a CPU, knows neither GPU nor NPU, and is
# for Linux on x86_64.  Unset, empty or `tensorflow`: 1.15.0.  To change it makes .venv anew.
#
# Exit status: COMMAND's own; 2 if this machine cannot have what is asked for, or COMMAND is
# missing; 3 if the environment could not be made.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
readonly ROOT VENV="${ROOT}/.venv" HAVE="${ROOT}/env/have.py"
readonly PYTHON="${VENV}/bin/python" STAMP="${VENV}/made-from"
readonly UV='0.5.31'   # of the versions since, many know no Python 3.7
LOCKS=("${ROOT}/env/requirements.lock")

main() {
  case "${1:-}" in
    '')          usage >&2; exit 2 ;;
    -h | --help) usage; exit 0 ;;
  esac
  unset PYTHONHOME   # it names the library of one Python, and breaks all others
  choose_tensorflow
  is_made || make
  enter "$@"
}

# usage: print this script's header.
usage() {
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
}

# say LINE...: tell the user on stderr.
say() {
  printf 'env: %s\n' "$@" >&2
}

# die STATUS LINE...: tell the user, and end with STATUS.
die() {
  say "${@:2}"
  exit "$1"
}

# choose_tensorflow: the build that RCAN_TENSORFLOW names has a lock of its own.
choose_tensorflow() {
  case "${RCAN_TENSORFLOW:-tensorflow}" in
    tensorflow) ;;
    intel-tensorflow)
      [[ "$(uname -sm)" == 'Linux x86_64' ]] ||
        die 2 "RCAN_TENSORFLOW=intel-tensorflow needs Linux x86_64, not $(uname -sm): unset it"
      LOCKS+=("${ROOT}/env/intel-tensorflow.lock") ;;
    *) die 2 "RCAN_TENSORFLOW is '${RCAN_TENSORFLOW}': unset it, or make it intel-tensorflow" ;;
  esac
}

# is_stock: tensorflow is the one of requirements.lock.
is_stock() {
  (( ${#LOCKS[@]} == 1 ))
}

# --- is it there? -------------------------------------------------------------------------------

# is_made: the environment is complete, and made from what is here now.
is_made() {
  [[ -x "${PYTHON}" ]] && recipe | cmp -s - "${STAMP}"
}

# recipe: all that .venv depends on.  Its scripts name the folder; CANN may come later.
recipe() {
  printf '%s\n' "${ROOT}" "$(uname -sm)"
  ! is_ascend || echo 'with CANN'
  cksum <"${PYTHON}"
  cat "${LOCKS[@]}"
}

# --- make it ------------------------------------------------------------------------------------

# make: build .venv on the best Python here, unless another call does so first.
make() {
  local base
  trap '(( $? != 1 )) || exit 3' EXIT   # whatever fails: to CI, 1 is a slower model
  take_lock
  if is_made; then
    :
  elif base="$(machine_python)"; then
    is_stock ||
      die 2 "RCAN_TENSORFLOW=intel-tensorflow would hide the NPU's TensorFlow of ${base}: unset it"
    source_npu
    build "${base}" --system-site-packages
  elif is_arm; then
    die 2 "no TensorFlow 1.15 for $(uname -sm): PyPI has none, so it must come with the machine." \
      'On an Ascend server, use an image of Ascend with TensorFlow 1.15 (env/Dockerfile starts' \
      'from one), or put its Python 3.7 first in PATH; else use an x86_64 machine.'
  else
    base="$(any_python_37)" || die 2 'no CPython 3.7 here, and TensorFlow 1.15 runs on no other.' \
      'Bring one in any of these ways, then repeat the command:' \
      '  pyenv install 3.7                  (it need not be on PATH)' \
      '  conda on PATH                      (is asked for one; needs its channels)' \
      '  uv on PATH, or a Python with pip   (are asked for one; need PyPI and GitHub)' \
      '  docker build -f env/Dockerfile .   (an image with everything)'
    ! is_ascend || say 'no Python here has both TensorFlow 1.15 and npu_bridge: no NPU without them'
    # Packages on PYTHONPATH belong to another Python: pip must not take them for ours.
    (unset PYTHONPATH; build "${base}")
  fi
  exec 9>&-
}

# take_lock: hold .venv.lock until file 9 closes.  The kernel lets go of it however we end, but
# not before a pip that outlived a killed set-up, and still writes to .venv, has ended too.
take_lock() {
  exec 9>"${ROOT}/.venv.lock"
  hold -n || { say 'waiting for another set-up of this folder'; hold; }
}

# hold [-n]: lock file 9, or with -n fail where that would wait.  macOS has no flock(1).
hold() {
  local python lock='import fcntl as f, sys; f.flock(9, f.LOCK_EX | f.LOCK_NB * len(sys.argv[1:]))'
  if type -P flock >/dev/null; then
    flock "$@" 9
  elif python="$(first_python -c 'import fcntl')"; then
    "${python}" -c "${lock}" "$@" 2>/dev/null
  fi
}

# build PYTHON [OPTION...]: .venv on PYTHON, with all of the lock that it does not see.
build() {
  local answer conflicts
  say "making .venv on $1"
  rm -rf "${VENV}"
  "$1" -m venv "${@:2}" "${VENV}" >&2 || die 3 "$1 cannot make a venv (its words are above)."
  lacking >"${VENV}/lacking.txt"
  if [[ -s "${VENV}/lacking.txt" ]]; then
    say "installing $(grep -c == "${VENV}/lacking.txt") packages (the first time: minutes)"
    entries of pip setuptools wheel >"${VENV}/tools.txt"
    pip_install "${VENV}/tools.txt"
    pip_install "${VENV}/lacking.txt"
  fi
  ! on_machines_own || conflicts="$("${PYTHON}" -m pip check 2>&1)" ||
    say 'what the machine brings stays as it is, though pip says:' "${conflicts}"
  answer="$("${PYTHON}" "${HAVE}")" ||
    die 3 "${answer}, with all of env/requirements.lock: does it lag behind requirements.txt?"
  recipe >"${STAMP}.part"
  mv "${STAMP}.part" "${STAMP}"   # last: an interrupted set-up leaves none
  say 'ready'
}

# lacking: print the locks' entries that .venv's Python does not see.
lacking() {
  local seen
  seen="$("${PYTHON}" -m pip list --disable-pip-version-check --format=freeze |
    awk -F '[=@ ]' '{ gsub(/[_.]/, "-", $1); printf "%s ", tolower($1) }')"
  # Ascend's TensorFlow may go by another name; one from PyPI would hide it.
  ! on_machines_own || seen+='tensorflow tensorflow-estimator tensorboard'
  is_stock || seen+=' tensorflow'   # the other build has the same files
  entries but pip setuptools wheel "${seen}"
}

# entries of|but NAME...: print the locks' entries of these packages, or of all others.
entries() {
  awk -v names=" ${*:2} " -v which="$1" -v machine="\"$(uname -m)\"" '
    /^[a-z0-9]/ {
      split($1, name, "==")
      wanted = (index(names, " " name[1] " ") > 0) == (which == "of")
      if (/platform_machine/ && !index($0, machine)) wanted = 0
    }
    /^[a-z0-9]|^ *--hash/ && wanted' "${LOCKS[@]}"
}

# pip_install FILE: install what FILE lists, into .venv whatever pip's own settings say.
pip_install() {
  PIP_USER=0 env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT "${PYTHON}" -m pip install -qq \
    --disable-pip-version-check --no-deps --require-hashes -r "$1" >&2 ||
    die 3 'pip could not install what env/requirements.lock lists (its own words are above).' \
      'Mostly it is the network or a full disk (2 GB are needed). Where PyPI is out of reach,' \
      'name a mirror: PIP_INDEX_URL=https://.../simple. Repeating the command starts afresh.' \
      'If hashes do not match, the mirror serves changed files: use another.'
}

# --- find a Python ------------------------------------------------------------------------------

# machine_python: print the machine's own Python with Ascend's TensorFlow.
machine_python() (   # a subshell: where there is no such Python, CANN's variables are not wanted
  source_npu 2>/dev/null
  first_python "${HAVE}" tensorflow npu_bridge ||
    { is_arm && first_python "${HAVE}" tensorflow; }   # on ARM, any TensorFlow 1.15 is a find
)

# any_python_37: print a CPython 3.7 that can make a venv, even if conda or uv must bring it.
any_python_37() {
  local -a wanted=("${HAVE}" venv ensurepip)
  first_python "${wanted[@]}" ||
    { conda_brings_python && first_python "${wanted[@]}"; } ||
    { uv_brings_python && first_python "${wanted[@]}"; }
}

# first_python ARGUMENT...: print the first Python here that succeeds with these arguments.
first_python() {
  local python
  while IFS= read -r python; do
    if [[ "${python}" != "${VENV}"/* ]] && "${python}" "$@" >/dev/null 2>&1 </dev/null; then
      echo "${python}"
      return
    fi
  done < <(candidates)
  return 1
}

# candidates: print where a Python may be.  pyenv's shims are on PATH even where they cannot run.
candidates() {
  type -aP python3.7 python3 python || true
  printf '%s\n' "${ROOT}"/.conda/env/bin/python "${ROOT}"/.uv/python/*/bin/python3.7 \
    "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.7*/bin/python
  ! type -P conda >/dev/null || conda env list | sed -n 's|^[^#/]*\(/.*\)|\1/bin/python|p'
}

conda_brings_python() {
  type -P conda >/dev/null || return
  say 'no CPython 3.7 here: conda brings one into .conda'
  rm -rf "${ROOT}/.conda"
  CONDA_PKGS_DIRS="${ROOT}/.conda/pkgs" CONDA_REGISTER_ENVS=false \
    conda create --quiet --yes --prefix "${ROOT}/.conda/env" python=3.7 >&2
}

uv_brings_python() {
  local python
  local -a uv=("${ROOT}/.uv/tool/bin/uv")
  export UV_PYTHON_INSTALL_DIR="${ROOT}/.uv/python" UV_PYTHON_BIN_DIR="${ROOT}/.uv/bin"
  export UV_CACHE_DIR="${ROOT}/.uv/cache"
  say 'no CPython 3.7 here: uv brings one into .uv'
  if type -P uv >/dev/null; then
    uv=(uv tool run "uv@${UV}")
  elif python="$(first_python -m pip --version)"; then
    "${python}" -m pip install -qq --target "${ROOT}/.uv/tool" --upgrade "uv==${UV}" >&2 || return
  else
    return 1
  fi
  "${uv[@]}" python install 3.7 >&2
}

is_ascend() {
  [[ -d "${ASCEND_HOME:-/usr/local/Ascend}" ]]
}

is_arm() {
  case "$(uname -m)" in
    aarch64 | arm64) ;;
    *) return 1 ;;
  esac
}

# --- use it -------------------------------------------------------------------------------------

# enter COMMAND...: become COMMAND, inside the environment.
enter() {
  ! on_machines_own || source_npu
  export VIRTUAL_ENV="${VENV}" PATH="${VENV}/bin:${PATH}" RCAN_ENV=1
  exec -- "$@"
}

# on_machines_own: .venv stands on the machine's own TensorFlow.
on_machines_own() {
  grep -q '^include-system-site-packages = true' "${VENV}/pyvenv.cfg"
}

source_npu() {
  # shellcheck source=env/npu.sh
  source "${ROOT}/env/npu.sh"
}

main "$@"
