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
\tNPU Real-time Power(W)         : 71.7

\tChip Name                      : mcu
\tAicore curFreq(MHZ)            : 1
\tTemperature(C)                 : 99
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


def reading(common='', info='', npu=0):
    return smi.npu_reading(info, common, npu)


@pytest.mark.parametrize('common, read', [
    (COMMON.format(now=900), smi.Reading(97, None, 41, 71.7)),
    (COMMON.format(now=900).replace('\t', ''), smi.Reading(97, None, 41, 71.7)),
    (COMMON.format(now=900).replace('97', '0'), smi.Reading(0, None, 41, 71.7)),   # it is idle
    (COMMON.format(now=900).replace('71.7', '-'), smi.Reading(97, None, 41)),
    (COMMON.format(now=900).replace('97', '-1'), smi.Reading(None, None, 41, 71.7)),
    # What one chip does not tell is not taken from another.
    (COMMON.format(now=900).replace('\tTemperature(C)                 : 41\n', ''),
     smi.Reading(97, None, None, 71.7)),
    (COMMON.format(now=900).replace('\tAicore Usage Rate(%)           : 97\n', '')
     + COMMON.format(now=900), smi.Reading(None, None, 41, 71.7)),
    (COMMON.format(now=900).replace('NPU Real-time Power(W)', 'Rated Power Dissipation(W)'),
     smi.Reading(97, None, 41)),
    (COMMON.format(now=900) + '[WARNING]The driver package may not be completely installed\n',
     smi.Reading(97, None, 41, 71.7)),
    ('This device does not support querying common.\n', smi.Reading()),
    ('dcmi module initialize failed. ret is -8005\n', smi.Reading()), ('', smi.Reading())])
def test_an_npus_use_temperature_and_power_are_those_of_its_first_chip(common, read):
    assert reading(common) == read


# npu-smi 1.9.3, which knows no hugepages and no processes; an A3's second die has no power.
OLD = '''\
| npu-smi 1.9.3                    Version: 21.0.rc1                                 |
+----------------------+---------------+---------------------------------------------+
| NPU   Name           | Health        | Power(W)   Temp(C)                          |
| Chip                 | Bus-Id        | AICore(%)  Memory-Usage(MB)  HBM-Usage(MB)  |
+======================+===============+=============================================+
| 4     910A           | OK            | 67.2       30                               |
| 0                    | 0000:C2:00.0  | 0          303  / 15171      0    / 32768   |
+======================+===============+=============================================+
| 5     910A           | OK            | -          25                               |
| 0                    | 0000:82:00.0  | 0          2123 / 15171      41697/ 65536   |
+======================+===============+=============================================+
'''


@pytest.mark.parametrize('info, npu, mib', [
    (HEAD + PROCESSES, 0, 30710), (HEAD, 0, 30710), (HEAD, 1, None), (OLD, 4, 0), (OLD, 5, 41697),
    (OLD, 0, None),                                                 # a chip's number, no NPU's
    (OLD.replace('41697/ 65536', ''), 5, 2123),                     # no HBM
    (OLD.replace('41697/ 65536', '0    / 0'), 5, None),             # it is not read
    (OLD.replace('2123 / 15171      41697/ 65536', '-'), 5, None),
    (OLD[:-160], 5, None),                                          # torn
    (OLD.replace('| 0                    | 0000:C2', '').replace('25 ', '25  7 / 7'), 4, None),
    ('There is no NPU card on this server.\n', 0, None), ('', 0, None)])
def test_an_npus_memory_is_the_last_pair_of_its_row(info, npu, mib):
    assert reading(info=info, npu=npu).memory_mib == mib


@pytest.mark.parametrize('apps, found', [
    ('12345, python3\n77, /opt/a, b\n', {12345: 'python3', 77: '/opt/a, b'}), ('', {}),
    ('No running processes found\n', {}), ('[N/A], [N/A]\n', {})])
def test_the_processes_on_a_gpu_are_its_lines(apps, found):
    assert smi.gpu_processes(apps) == found


@pytest.mark.parametrize('values, said', [
    ('0, 3, 35, 9.50, Not Active, Not Active, Not Active, Not Active', ''), ('', ''),
    ('[N/A]', ''), ('Field "clocks_throttle_reasons.x" is not a valid field to query.', ''),
    ('97, 8012, 61, 213.40, Active, Not Active, Active, Not Active',
     'its clocks were held down (hw_slowdown, sw_thermal_slowdown)')])
def test_a_gpu_is_slowed_for_the_reasons_that_are_active(values, said):
    assert smi.gpu_slowed(values) == said


@pytest.mark.parametrize('values, read', [
    ('97, 8012, 61, 213.40, Not Active, Active', smi.Reading(97, 8012, 61, 213.4)),
    ('0, 3, 35, [N/A], Not Active', smi.Reading(0, 3, 35)),
    ('[Not Supported], 3, [Unknown Error], 9.50', smi.Reading(None, 3, None, 9.5)),
    ('ERR!', smi.Reading()), ('No devices were found', smi.Reading()), ('', smi.Reading())])
def test_a_gpus_reading_is_what_it_tells(values, read):
    assert smi.gpu_reading(values) == read


@pytest.mark.parametrize('kind, answers, seen', [
    ('npu', {'npu-smi info': HEAD.replace('| 0     910A ', '| 1     910A ') + PROCESSES,
             'npu-smi info -t common -i 1': COMMON.format(now=600)},
     smi.Look({99: 'other'}, 'its AI cores worked at 600 of 900 MHz',
              smi.Reading(97, 30710, 41, 71.7))),
    ('gpu', {'nvidia-smi -i 1 --format=csv,noheader --query-compute-apps=pid,process_name': '7, x',
             'nvidia-smi -i 1 --format=csv,noheader,nounits --query-gpu='
             'utilization.gpu,memory.used,temperature.gpu,power.draw,'
             'clocks_throttle_reasons.hw_slowdown,clocks_throttle_reasons.hw_thermal_slowdown,'
             'clocks_throttle_reasons.sw_thermal_slowdown,'
             'clocks_throttle_reasons.hw_power_brake_slowdown':
             '97, 8012, 61, 213.40, Not Active, Active, Not Active, Not Active'},
     smi.Look({7: 'x'}, 'its clocks were held down (hw_thermal_slowdown)',
              smi.Reading(97, 8012, 61, 213.4))),
    ('cpu', {}, smi.Look())])
def test_each_kind_asks_its_own_tool_about_the_one_device(kind, answers, seen):
    assert smi.look(Device(kind, 1), lambda argv: answers[' '.join(argv)]) == seen
    assert smi.look(Device(kind, 1), lambda argv: '') == smi.Look()
