# SPDX-License-Identifier: Apache-2.0
"""The programs that stand first in PATH while scripts are tried out, as bash."""

import os
from typing import Dict

PYTHONS = ('python', 'python3', 'python3.7', 'python3.7.5')
ABSENT = ('npu-smi', 'nvidia-smi')     # on no machine is there anything to train on
INERT = ('pip', 'pip3', 'pip3.7', 'wget', 'curl', 'apt', 'apt-get', 'yum', 'conda', 'git', 'sudo',
         'obsutil', 'docker', 'ssh', 'scp', 'reboot', 'shutdown', 'ps', 'pgrep', 'kill', 'pkill',
         'killall')
CHANGE_ALL = ('rm', 'rmdir', 'mv', 'chmod', 'chown', 'mkdir', 'touch', 'tee', 'truncate')
CHANGE_LAST = ('cp', 'ln', 'install')

# Short code, and what only asks (its output is thrown away), are no training.
PYTHON = r"""#!/usr/bin/env bash
case "${1:-}" in
  -c | -V | --version) exec "{real}" "$@" ;;
  -m) case "${2:-}" in pip | venv) exit 0 ;; esac ;;
esac
[[ ! /dev/stdout -ef /dev/null ]] || exit 0
{ printf '%s\037' "$@"; echo; } >>"{notes}/calls"
env >>"{notes}/environment"
"""

CRASH = r"""cat >&2 <<'LOG'
Traceback (most recent call last):
  File "main.py", line 1, in <module>
RuntimeError: this Python always crashes
LOG
exit 1
"""

# RCAN's log in ModelZoo's form and in ours; the last step is slow, its loss high.
SUCCEED = r"""echo ':::MLLOG {"key": "init_stop"}'
for step in 1 2 3 4 5 6 7 8 9 10 11 12; do
  seconds=0.5000 loss=4.2500
  (( step < 12 )) || seconds=9.0000 loss=94.0000
  printf '%s\n' "${step} training step completed" "Loss : ${loss}" "Elpased time : ${seconds}"
done
cat <<'LOG'
Final images/sec : 32.0000
Final step milliseconds : 500.0000
Final Loss : 94.0000
Final PSNR : 32.5000
Final gain over bicubic dB : 1.0000
Final checkpoint : model-12
LOG
"""

# realpath shows where a path leads, .. and links and all.
GUARD = r"""#!/usr/bin/env bash
words=("$@")
case {which} in
  last) words=("${@: -1}") ;;
  in_place) case " $* " in *' -i'* | *' --in-place'*) words=("${@: -1}") ;; *) words=() ;; esac ;;
esac
for word in ${words[@]+"${words[@]}"}; do
  case "${word}" in -* | /dev/null | /dev/std*) continue ;; esac
  case "$(realpath -m -- "${word}")" in
    "{place}"/*) ;;
    *) echo "{name} ${word}" >>"{notes}/refused"; exit 1 ;;
  esac
done
PATH="${PATH//"{place}/bin":/}" exec {name} "$@"
"""


def programs(place: str, python: str, real: str) -> Dict[str, str]:
    """Their texts by name; python: crash or succeed; real: the one for short code.

    place is the folder that may be changed; it holds bin and notes.
    """
    train = PYTHON + {'crash': CRASH, 'succeed': SUCCEED}[python]
    guards = {**dict.fromkeys(CHANGE_ALL, 'all'), **dict.fromkeys(CHANGE_LAST, 'last'),
              'sed': 'in_place'}
    texts = {**dict.fromkeys(PYTHONS, train),
             **dict.fromkeys(ABSENT, '#!/usr/bin/env bash\nexit 1\n'),
             **dict.fromkeys(INERT, '#!/usr/bin/env bash\nexit 0\n'),
             **{name: GUARD.replace('{which}', which) for name, which in guards.items()}}
    values = {'real': real, 'notes': os.path.join(place, 'notes'), 'place': place}
    return {name: _filled(text, {**values, 'name': name}) for name, text in texts.items()}


def _filled(text: str, values: Dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f'{{{name}}}', value)
    return text
