# SPDX-License-Identifier: Apache-2.0
"""What the device's own tool says: npu-smi by its printf formats, nvidia-smi's CSV."""

import pytest

from harness import smi
from harness.records import Device

HEAD = '''\
+------------------------------------------------------------------------------------------+
| npu-smi 23.0.5                   Version: 23.0.5                                         |
+---------------------------+---------------+----------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)     Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)  |
+===========================+===============+==============================================+
| 0     910A                | OK            | 73.1        37          0    / 0             |
| 0                         | 0000:61:00.0  | 97          920  / 13553 30710/ 32768        |
+===========================+===============+==============================================+
'''
PROCESSES = '''\
| NPU     Chip              | Process id    | Process name    | Process memory(MB)   |
+===========================+===============+======================================+
| 0       0                 | 12345         | python3         | 30710                |
| 0       0                 | 12346         | msprof          | 12                   |
+===========================+===============+======================================+
| 1       0                 | 99            | other           | 1                    |
+===========================+===============+======================================+
[WARNING]The driver package may not be completely installed
'''
NONE = '''\
| NPU     Chip              | Process id    | Process name    | Process memory(MB)   |
+===========================+===============+======================================+
| No running processes found in NPU 0                                              |
+===========================+===============+======================================+
'''


@pytest.mark.parametrize('info, npu, found', [
    (HEAD + PROCESSES, 0, {12345: 'python3', 12346: 'msprof'}),
    (HEAD + PROCESSES, 1, {99: 'other'}),
    (HEAD + PROCESSES, 2, {}), (HEAD + NONE, 0, {}), (HEAD, 0, {}), ('', 0, {}),
    ('There is no NPU card on this server.\n', 0, {}),
    ('dcmi model initialized failed, because the device is used. ret is -8020\n', 0, {}),
    (HEAD + PROCESSES[:len(PROCESSES) // 3], 0, {})])
def test_the_processes_on_an_npu_are_its_rows_of_the_last_table(info, npu, found):
    assert smi.npu_processes(info, npu) == found


COMMON = '''\tNPU ID                         : 0
\tChip ID                        : 0
\tAicore Usage Rate(%)           : 97
\tAicore Freq(MHZ)               : 900
\tAicore curFreq(MHZ)            : {now}
\tTemperature(C)                 : 41

\tChip Name                      : mcu
\tAicore curFreq(MHZ)            : 1
'''


@pytest.mark.parametrize('common, said', [
    (COMMON.format(now=900), ''), (COMMON.format(now=-1), ''), (COMMON.format(now='-'), ''),
    ('', ''),
    ('This device does not support querying common.\n', ''),
    (COMMON.format(now=600), 'its AI cores worked at 600 of 900 MHz'),
    (COMMON.format(now=600).replace(': 97', ': 0'), ''),     # nothing to do: it may rest
    (COMMON.format(now=600).replace('\t', ''), 'its AI cores worked at 600 of 900 MHz')])
def test_an_npu_is_slowed_where_it_works_below_its_clock(common, said):
    assert smi.npu_slowed(common) == said


@pytest.mark.parametrize('apps, found', [
    ('12345, python3\n77, /opt/a, b\n', {12345: 'python3', 77: '/opt/a, b'}), ('', {}),
    ('No running processes found\n', {}), ('[N/A], [N/A]\n', {})])
def test_the_processes_on_a_gpu_are_its_lines(apps, found):
    assert smi.gpu_processes(apps) == found


@pytest.mark.parametrize('reasons, said', [
    ('Not Active, Not Active, Not Active, Not Active', ''), ('', ''), ('[N/A]', ''),
    ('Field "clocks_throttle_reasons.x" is not a valid field to query.', ''),
    ('Active, Not Active, Active, Not Active',
     'its clocks were held down (hw_slowdown, sw_thermal_slowdown)')])
def test_a_gpu_is_slowed_for_the_reasons_that_are_active(reasons, said):
    assert smi.gpu_slowed(reasons) == said


@pytest.mark.parametrize('kind, answers, seen', [
    ('npu', {'npu-smi info': HEAD + PROCESSES,
             'npu-smi info -t common -i 1': COMMON.format(now=600)},
     smi.Look({99: 'other'}, 'its AI cores worked at 600 of 900 MHz')),
    ('gpu', {'nvidia-smi -i 1 --format=csv,noheader --query-compute-apps=pid,process_name': '7, x',
             'nvidia-smi -i 1 --format=csv,noheader --query-gpu='
             'clocks_throttle_reasons.hw_slowdown,clocks_throttle_reasons.hw_thermal_slowdown,'
             'clocks_throttle_reasons.sw_thermal_slowdown,'
             'clocks_throttle_reasons.hw_power_brake_slowdown':
             'Not Active, Active, Not Active, Not Active'},
     smi.Look({7: 'x'}, 'its clocks were held down (hw_thermal_slowdown)')),
    ('cpu', {}, smi.Look())])
def test_each_kind_asks_its_own_tool_about_the_one_device(kind, answers, seen):
    assert smi.look(Device(kind, 1), lambda argv: answers[' '.join(argv)]) == seen
    assert smi.look(Device(kind, 1), lambda argv: '') == smi.Look()
