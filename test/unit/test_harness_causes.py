# SPDX-License-Identifier: Apache-2.0
"""What the output of a failed run means.

The logs in fixtures/ were recorded from real runs.  CANN's lines are as TF Adapter's
geop_npu.cc prints them, with the messages of CANN 5 to 8 as people have reported them.
"""

import pytest
from samples import FIXTURES

from harness.causes import CAUSES, diagnose


def recorded(name):
    return (FIXTURES / name).read_text(encoding='utf-8')


def failed_step(*lines):
    """A step that failed on an NPU, as the adapter tells it, and the end of the script."""
    return '\n'.join([
        '40 training step completed', 'Loss : 4.8211', 'Elpased time : 0.1234',
        '2022-04-02 11:09:31.819786: W tensorflow/core/framework/op_kernel.cc:1651] OP_REQUIRES '
        'failed at geop_npu.cc:800 : Internal: GeOp1_0GEOP::::DoRunAsync Failed',
        'Error Message is : ', *lines,
        'main.py: a step failed: GeOp1_0GEOP::::DoRunAsync Failed',
        'train_full_1p.sh: the training failed with status 1; its output is above'])


UNSUPPORTED = ('EZ3003: [PID: 348] 2025-02-25-14:07:19.774.362 No supported Ops kernel and engine '
               'are found for [conv2d_1], optype [ConvBnFilterHost].')
COMPILE = ('E40021: Failed to compile Op [conv_SF]. (oppath: [Compile opp/built-in/op_impl/ai_core/'
           'tbe/impl/conv2d.py failed with errormsg/stack: File "conv2d.py", line 536')
MEMORY = 'EL0004: Failed to allocate memory requested by GE module.'
INNER = 'EE9999: Inner Error!'

DEVICE_BUSY = 'dcmi model initialized failed, because the device is used. ret is -8020'
DISK_FULL = 'OSError: [Errno 28] No space left on device'
KILLED = 'train_full_1p.sh: the training failed with status 137; its output is above'


@pytest.mark.parametrize('output, meaning', [
    (recorded('out_of_memory.log'), 'the memory ran out'),
    (recorded('killed.log'), 'something killed it'),
    (recorded('diverged.log'), 'the training diverged'),
    ('3 training step completed\nLoss : nan\nElpased time : 0.117060', 'the training diverged'),
    ("ModuleNotFoundError: No module named 'npu_bridge'", 'npu_bridge is missing'),
    ('main.py: --device_kind npu, but npu_bridge cannot load its library (libge_runner.so: cannot '
     'open)', 'a library of CANN or of the driver is not'),
    ('main.py: an image cannot be used, mend or remove it: a.png: damaged', 'data set is missing'),
    ('main.py: HR: no image in this folder (.png .jpg)', 'the data set is missing'),
    ('[Error] para "data_path" must be config', 'the data set is missing'),
    (DISK_FULL, 'the disk is full'), (DEVICE_BUSY, 'the device is busy'),
    ('aclrtSetDevice failed, ret is -8020', 'the device is busy'),
    ('asked to be on the npu, but none of its operations was in the graph', 'on the CPU instead'),
    (failed_step(COMPILE), 'the graph did not compile'),
    (failed_step(UNSUPPORTED), 'the graph did not compile'),
    ('[ERROR] TEFUSION(3536,python):2023-07-14-20:35:57.663.954 [fusion_op.cc:858]3774 '
     'ReportBuildErrMessage Compile op[Slice] failed, oppath[slice.py], optype[Slice]',
     'the graph did not compile'),
    ('[ERROR] FE(3536,python): "[SubGraphOpt][Compile][CompOpOnly] CompileOp failed."',
     'the graph did not compile'),
    ('[graph_manager.cc:919]39944 GenerateModel: ErrorNo: 1343266819(Graph manager build graph '
     'failed.)', 'the graph did not compile'),
    ('numpy.core._exceptions.MemoryError: Unable to allocate 9.00 GiB', 'the memory ran out'),
    ("terminate called after throwing an instance of 'std::bad_alloc'", 'the memory ran out'),
    ('bash: fork: Cannot allocate memory', 'the memory ran out'),
    ('failed to alloc 4294967296 bytes: CUDA_ERROR_OUT_OF_MEMORY: out of memory',
     'the memory ran out'),
    (failed_step(MEMORY), 'the memory ran out'),
    (failed_step('[PID: 1119] 2026-10-10-01:49:39 Resource_Error_Insufficient_Host_Memory(EL0018): '
                 'Failed to allocate 134217728 bytes host memory'), 'the memory ran out'),
    (failed_step(INNER, '        ctx is NULL![FUNC:HostMalloc]'), 'CANN met an inner error'),
    ('F tf_adapter/kernels/geop_npu.cc:669] GeOp33_0GEOP::::DoRunAsync Failed\n'
     'Fatal Python error: Aborted', 'CANN met an inner error'),
    ('[2024-04-24 06:30:56.081654: F ge_plugin.cc:338] [GePlugin] Initialize ge failed, ret : '
     'failed\nError Message is:\nEI0003: value [0] for parameter [rankTablePath] is invalid.',
     'CANN could not start on the device'),
    ('F ge_plugin.cc:301] [GePlugin] Tdt host init failed, tdt error code : 1\nFatal Python error: '
     'Aborted', 'CANN could not start on the device'),
    ('[GePlugin] can not find Environment variable : JOB_ID', ''),
    ('Fatal Python error: Aborted', 'it aborted (SIGABRT)'),
    (KILLED.replace('137', '134'), 'it aborted (SIGABRT)'),
    (KILLED.replace('137', '139'), 'it crashed in native code (SIGSEGV)'),
    (recorded('good.log'), ''),
    ('start compile Ascend C operator RmsNorm\ncompile Ascend C operator: RmsNorm success!', ''),
    ('The model has been compiled on the Ascend AI processor, current graph id is:1', ''),
    ('commit e19999f, data 0e40021b', ''), ('', '')])
def test_the_output_of_a_failure_is_explained_where_we_know_it(output, meaning):
    assert meaning in diagnose(output)
    assert bool(diagnose(output)) == bool(meaning)


@pytest.mark.parametrize('lines, reason', [
    ([DISK_FULL, failed_step(COMPILE)], 'the disk is full'),
    ([failed_step(COMPILE), DISK_FULL], 'the disk is full'),       # whichever is printed first
    ([failed_step(INNER, COMPILE, MEMORY), KILLED], 'the memory ran out'),
    ([failed_step(INNER, COMPILE), KILLED], 'the graph did not compile'),
    ([DEVICE_BUSY, failed_step(INNER, MEMORY)], 'the device is busy'),
    ([failed_step(INNER), KILLED], 'CANN met an inner error'),
    ([recorded('out_of_memory.log'), KILLED], 'the memory ran out'),
    ([failed_step(INNER), KILLED.replace('137', '134')], 'CANN met an inner error'),
    ([recorded('diverged.log'), failed_step(INNER)], 'the training diverged')])
def test_of_several_signs_the_one_that_explains_the_others_counts(lines, reason):
    assert reason in diagnose('\n'.join(lines))


@pytest.mark.parametrize('returncode, reason', [
    (134, 'it aborted (SIGABRT)'), (-6, 'it aborted (SIGABRT)'),
    (139, 'it crashed in native code (SIGSEGV)'), (-11, 'it crashed in native code (SIGSEGV)'),
    (137, 'something killed it'), (-9, 'something killed it'),
    (1, ''), (0, ''), (None, ''), (34, ''), (-15, '')])
def test_a_status_alone_is_explained_as_bash_gives_it_and_as_python_does(returncode, reason):
    found = diagnose('40 training step completed\n', returncode)
    assert reason in found and bool(reason) == bool(found)


def test_what_the_output_says_goes_before_the_status():
    assert 'the memory ran out' in diagnose("after throwing 'std::bad_alloc'", 134)
    assert 'the disk is full' in diagnose(DISK_FULL, -11)


def test_every_cause_says_what_it_means_and_what_to_do_in_words_of_its_own():
    meanings = [meaning for _, meaning in CAUSES]
    assert len(set(meanings)) == len(meanings)
    assert all(': ' in meaning for meaning in meanings)
    assert not any('; ' in meaning for meaning in meanings)   # there a fault is taken apart
