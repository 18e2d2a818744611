# SPDX-License-Identifier: Apache-2.0
"""What a training log proves of an NPU, and what only looks like it.

The lines are as TF Adapter prints them, in logs that people have published.
"""

import pytest

from harness.npu_proof import LONGEST, npu_evidence

COMPILED = ('The model has been compiled on the Ascend AI processor, current graph id is:1')


@pytest.mark.parametrize('line, evidence', [
    ('2022-04-02 11:09:29.819786: I tf_adapter/kernels/geop_npu.cc:712] ' + COMPILED, COMPILED),
    ('  0%|          | 0/192 [00:00<?, ?it/s]2022-06-16 22:11:40.757045: I tf_adapter/kernels/'
     f'geop_npu.cc:817] {COMPILED[:-1]} 11', f'{COMPILED[:-1]} 11'),
    ('[2020-11-27 11:26:53.638664: F tf_adapter/kernels/geop_npu.cc:669] '
     'GeOp33_0GEOP::::DoRunAsync Failed', 'GeOp33_0GEOP::::DoRunAsync Failed'),
    ('[GEOP] RunGraphAsync callback, status:0, kernel_name:GeOp1_0[ 8123us]', 'GeOp1_0[ 8123us]'),
    ('[INFO] GE(9,python):2021-05-31 [flow_ctrl_pass.cc:188]9 InsertStreamSwitchOp: Insert op '
     'success, name:FlowCtrl_StreamSwitch, type:StreamSwitch.',
     'Insert op success, name:FlowCtrl_StreamSwitch, type:StreamSwitch.')])
def test_what_a_graph_on_an_npu_prints_is_evidence(line, evidence):
    assert npu_evidence(['step 1', line, 'step 2']) == evidence


@pytest.mark.parametrize('line', [
    'custom_op.name = "NpuOptimizer"', 'from npu_bridge.npu_init import *',
    'rewrite_options { custom_optimizers { name: "NpuOptimizer" } }',
    '+ grep "The model has been compiled on the Ascend AI processor" train_0.log',
    'LOG(INFO) << "The model has been compiled on the Ascend AI processor, current graph id is: " '
    '<< graph_id;',
    'GELOGI("Insert op success, name:%s, type:%s.", node_name.c_str());',
    "Can't register an optimizer by name: NpuOptimizer", 'node.op == "GeOp"',
    'W ge_plugin.cc:123] [GePlugin] can not find Environment variable : JOB_ID',
    'ASCEND_DEVICE_ID=0', ''])
def test_a_config_or_a_script_that_is_echoed_is_none(line):
    assert npu_evidence([line] * 3) == ''


def test_it_reads_no_further_than_the_evidence_and_keeps_little():
    def lines():
        yield f'GeOp1_0{"." * 5000}'
        raise AssertionError('read on')
    assert len(npu_evidence(lines())) == LONGEST
