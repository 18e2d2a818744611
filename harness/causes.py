# SPDX-License-Identifier: Apache-2.0
"""What the output of a failed run means, and what to do (pure)."""

import re
from typing import Optional

# The first that fits counts: what may be the reason of another stands before it.  A full disk or
# too little memory makes a compilation fail, and CANN reports every failure as one of a step.
# No meaning holds '; ', which parts the sentences of a fault.
CAUSES = (
    (r'No module named .*npu_bridge|no Python package npu_bridge',
     'npu_bridge is missing: install CANN\'s TF Adapter and source its set_env.sh'),
    (r'npu_bridge cannot load its library',
     'npu_bridge is here, but a library of CANN or of the driver is not: its line says which, and '
     'what to do'),
    (r'ret is -8020|device is used|device is busy|resource busy',
     'the device is busy: npu-smi info shows who uses it'),
    (r'No space left on device', 'the disk is full: free some space'),
    # EL0004 and EL0018 are CANN's codes, of the device's and of the host's memory.
    (r'ResourceExhausted|OOM when allocating|MemoryError|std::bad_alloc|Cannot allocate memory|'
     r'\bout of memory\b|\bEL00(04|18)\b',
     'the memory ran out: lower --batch_size, or free the device'),
    (r'the loss is (nan|-?inf)|^Loss : (nan|-?inf)$',
     'the training diverged: lower the learning rate, or check the loss scale'),
    (r'\[Error\] (para|no folder)|no folder of images|no image in this folder|'
     r'images? cannot be used',
     'the data set is missing or incomplete: see --data_path'),
    (r'none of its operations was in the graph',
     'the training ran on the CPU instead of the device: check its driver and, for an NPU, that '
     'npu_bridge loads without a message'),
    # E40021: Failed to compile Op [x].  EZ3003: No supported Ops kernel and engine are found for x
    (r'\b(E40021|E40024|EZ3002|EZ3003)\b|Failed to compile (Op|graph)\b|'
     r'Compile ?op ?(\[[^\]\n]*\] ?)?failed|build graph failed',
     'the graph did not compile for the device: the line with a code like E40021 or EZ3003 names '
     'the operator, and check that CANN and its operator packages are of one version, for this '
     'chip'),
    # F ge_plugin.cc:338] [GePlugin] Initialize ge failed, ret : failed
    (r'\[GePlugin\] (Tdt host init|Open TsdClient|Initialize \w+) failed',
     'CANN could not start on the device: the lines after this say why, such as a fault that '
     'npu-smi info shows too, a wrong ASCEND_DEVICE_ID or a bad RANK_TABLE_FILE'),
    # GeOp1_0GEOP::::DoRunAsync Failed, then the code of an inner error: E19999, EE9999, EZ9999
    (r'GEOP:+DoRunAsync Failed|\bE[1-9A-Z]9999\b',
     'CANN met an inner error, on the device or while compiling: the lines after its code say '
     'where, its own log in ~/ascend/log says more'),
    (r'\bkilled\b|status 137\b', 'something killed it, often the kernel for want of memory: '
     'dmesg shows it'),
    # The adapter has no exceptions there: LOG(FATAL) waits 3 s, says why, and aborts.
    (r'status 134\b|^Fatal Python error: Aborted',
     'it aborted (SIGABRT): on an NPU CANN does so at the first step for a fault of the device, a '
     'wrong ASCEND_DEVICE_ID or a bad RANK_TABLE_FILE, and npu-smi info and CANN\'s own log say '
     'which'),
    (r'status 139\b|^Fatal Python error: Segmentation fault',
     'it crashed in native code (SIGSEGV): on an NPU check first that CANN, its TF Adapter and the '
     'driver are of versions that belong together, and that TensorFlow is the build that the '
     'adapter is made for (1.15, the old C++ ABI)'),
)


def diagnose(output: str, returncode: Optional[int] = None) -> str:
    """What the output of a failed run means, where we know it; else nothing.

    returncode: of the script, as bash gives it (134) or as subprocess does (-6); None: unknown.
    """
    if returncode:
        output += f'\nexit status {128 - returncode if returncode < 0 else returncode}'
    return next((meaning for pattern, meaning in CAUSES
                 if re.search(pattern, output, re.M | re.I)), '')
