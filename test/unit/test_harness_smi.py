# SPDX-License-Identifier: Apache-2.0
"""What the device's own tool says of one device: npu-smi's texts, nvidia-smi's CSV."""

import pytest

from harness import npu_smi, smi
from harness.records import Device
from harness.smi import User

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
    (COMMON.format(now=600).replace(': 97', ': 0'), '')])     # nothing to do: it may rest
def test_an_npu_is_slowed_where_it_works_below_its_clock(common, said):
    assert smi.npu_slowed(npu_smi.common(common)) == said


def reading(common='', info='', place=(0, 0)):
    chip = next((c for c in npu_smi.chips(info) if (c.npu, c.chip) == place), None)
    return smi.npu_reading(npu_smi.common(common), chip)


@pytest.mark.parametrize('common, info, read', [
    (COMMON.format(now=900), '', smi.Reading(97, None, 41, 71.7)),
    (COMMON.format(now=900), HEAD, smi.Reading(97, 30710, 41, 71.7)),
    (COMMON.format(now=900).replace('97', '0'), HEAD, smi.Reading(0, 30710, 41, 71.7)),   # idle
    (COMMON.format(now=900).replace('97', '-1'), '', smi.Reading(None, None, 41, 71.7)),
    # What `-t common` leaves out is the table's; nobody's is what neither tells.
    (COMMON.format(now=900).replace('71.7', '-'), HEAD, smi.Reading(97, 30710, 41, 73.1)),
    ('', HEAD, smi.Reading(97, 30710, 37, 73.1)),
    ('', HEAD.replace('73.1', '-   '), smi.Reading(97, 30710, 37)),
    ('dcmi module initialize failed. ret is -8005\n', '', smi.Reading()), ('', '', smi.Reading())])
def test_an_npus_use_temperature_and_power_are_those_of_its_chip(common, info, read):
    assert reading(common, info) == read


@pytest.mark.parametrize('info, mib', [
    (HEAD, 30710), (HEAD.replace('30710/ 32768', '0    / 32768'), 0),
    (HEAD.replace('30710/ 32768', ''), 920),             # no HBM
    (HEAD.replace('30710/ 32768', '0    / 0'), None),    # it is not read
    (HEAD.replace('30710/ 32768', '- / -'), 920), ('', None)])
def test_an_npus_memory_is_hbm_or_ddr_where_it_has_none(info, mib):
    assert reading(info=info).memory_mib == mib


@pytest.mark.parametrize('apps, found', [
    ('12345, 8012, python3\n77, [N/A], /opt/a, b\n',
     {12345: User('python3', 8012), 77: User('/opt/a, b')}), ('', {}),
    ('No running processes found\n', {}), ('[N/A], [N/A], [N/A]\n', {}), ('12345, python3', {})])
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


GPU = {'nvidia-smi -i 1 --format=csv,noheader,nounits '
       '--query-compute-apps=pid,used_memory,process_name': '7, 512, x',
       'nvidia-smi -i 1 --format=csv,noheader,nounits --query-gpu='
       'utilization.gpu,memory.used,temperature.gpu,power.draw,'
       'clocks_throttle_reasons.hw_slowdown,clocks_throttle_reasons.hw_thermal_slowdown,'
       'clocks_throttle_reasons.sw_thermal_slowdown,'
       'clocks_throttle_reasons.hw_power_brake_slowdown':
       '97, 8012, 61, 213.40, Not Active, Active, Not Active, Not Active'}
MAP = '''\
NPU ID                         Chip ID                        Chip Logic ID       Chip Name
3                              0                              0                   Ascend910
3                              1                              1                   Ascend910
'''
NPU = {'npu-smi info': (HEAD + PROCESSES).replace('| 0     910A ', '| 3     910A ')
       .replace('| 0                 ', '| 1                 ')
       .replace('| 0       0 ', '| 3       1 ').replace('OK   ', 'Alarm'),
       'npu-smi info -m': MAP,
       'npu-smi info -t common -i 3': COMMON.format(now=600).replace(
           'Chip ID                        : 0', 'Chip ID : 1')}


@pytest.mark.parametrize('kind, answers, seen', [
    ('npu', NPU, smi.Look({12345: User('python3', 30710), 12346: User('msprof', 12)},
                          'its AI cores worked at 600 of 900 MHz',
                          smi.Reading(97, 30710, 41, 71.7), 'npu-smi calls its health Alarm')),
    ('gpu', GPU, smi.Look({7: User('x', 512)}, 'its clocks were held down (hw_thermal_slowdown)',
                          smi.Reading(97, 8012, 61, 213.4))),
    ('cpu', {}, smi.Look())])
def test_each_kind_asks_its_own_tool_about_the_one_device(kind, answers, seen):
    assert smi.look(Device(kind, 1), lambda argv: answers[' '.join(argv)]) == seen
    assert smi.look(Device(kind, 1), lambda argv: '') == smi.Look()


def asking(answers):
    """An ask() that notes what it was asked; what it has no answer for fails."""
    asked = []

    def ask(argv):
        asked.append(' '.join(argv))
        return answers.get(asked[-1], '')
    return ask, asked


def test_where_a_device_is_is_asked_once():
    ask, asked = asking(NPU)
    looks = [smi.look(Device('npu', 1), ask) for _ in range(3)]
    assert looks[0] == looks[1] == looks[2] != smi.Look()
    assert asked.count('npu-smi info -m') == 1
    assert smi.look(Device('npu', 0), ask).processes == {}   # the other chip of the same NPU


def test_an_answer_that_says_nothing_is_asked_for_again():
    answers = {**NPU, 'npu-smi info -m': ''}
    ask, asked = asking(answers)
    assert smi.look(Device('npu', 1), ask) == smi.Look(
        {99: User('other', 1)})                              # taken for chip 0 of NPU 1
    answers['npu-smi info -m'] = MAP
    assert smi.look(Device('npu', 1), ask).reading.memory_mib == 30710
    assert asked.count('npu-smi info -m') == 2


def test_a_tool_that_does_not_answer_is_not_asked_for_more():
    ask, asked = asking({})
    assert smi.look(Device('npu', 1), ask) == smi.Look()
    assert asked == ['npu-smi info']


@pytest.mark.parametrize('health, severity', [
    ('OK', 0), ('UNKNOWN', 0), ('Warning', 1), ('Alarm', 2), ('Critical', 3)])
def test_an_alarm_is_a_health_that_is_known_to_be_bad(health, severity):
    answers = {'npu-smi info': HEAD.replace('OK', health)}
    alarm = smi.look(Device('npu', 0), lambda argv: answers.get(' '.join(argv), '')).alarm
    assert alarm == (f'npu-smi calls its health {health}' if severity else '')
    assert smi.severity(alarm) == severity
