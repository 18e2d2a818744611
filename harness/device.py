# SPDX-License-Identifier: Apache-2.0
"""The table of device kinds, and the environment that a run gets."""

from typing import Dict, Mapping, NamedTuple, Tuple

from harness.errors import ConfigError
from harness.records import Device

# test/env.sh is the one place that looks what is there.
DETECT = ('bash', 'test/env.sh')


class Kind(NamedTuple):
    """What differs between kinds of devices, for the harness."""

    name: str
    visible: str                     # the variable that hides all devices but one
    passes: Tuple[str, ...]          # variables that its software reads; NAME_: all that begin so


KINDS = {k.name: k for k in (
    Kind('npu', 'ASCEND_DEVICE_ID', ('ASCEND_', 'JOB_ID', 'RANK_', 'HCCL_', 'TE_', 'GE_',
                                     'TOOLCHAIN_HOME', 'TFPLUGIN_INSTALL_PATH')),
    Kind('gpu', 'CUDA_VISIBLE_DEVICES', ('CUDA_', 'NVIDIA_')),
    Kind('cpu', 'ASCEND_DEVICE_ID', ()),
)}

# All else of the caller's environment stays out: a run must not depend on who starts it.
ALWAYS = ('PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'TMPDIR', 'LANG', 'LC_', 'TZ', 'VIRTUAL_ENV',
          'LD_LIBRARY_PATH', 'PYTHONPATH', 'PYENV_', 'OPENBLAS_', 'RCAN_', 'SSL_CERT_', 'PIP_',
          'UV_', 'XDG_CACHE_HOME', 'http_proxy', 'https_proxy', 'no_proxy')


def device(kind: str, index: int) -> Device:
    """A device by kind and number; raises ConfigError for a kind that nobody knows."""
    if kind not in KINDS:
        raise ConfigError(f'unknown kind of device {kind!r}: one of {", ".join(KINDS)}')
    return Device(kind, index)


def environment(chosen: Device, caller: Mapping[str, str], threads: int) -> Dict[str, str]:
    """The variables of a run: an allow-list of the caller's, then what we control."""
    kind = KINDS[chosen.kind]
    kept = {name: value for name, value in caller.items()
            if any(name == known or known.endswith('_') and name.startswith(known)
                   for known in ALWAYS + kind.passes)}
    return {**kept,
            'ASCEND_DEVICE_ID': str(chosen.index), kind.visible: str(chosen.index),
            'RCAN_DEVICE_KIND': chosen.kind, 'OMP_NUM_THREADS': str(threads)}
