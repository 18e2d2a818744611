# SPDX-License-Identifier: Apache-2.0
"""npu-smi's texts of several releases, whole and torn: written after its printf formats."""

import re
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import npu_smi
from harness.npu_smi import Board, Chip, Common, Mapped, Memory, Power, Process, Temp, Usages

# npu-smi 1.9.3 knows no hugepages and no processes.
OLD = '''\
+------------------------------------------------------------------------------------+
| npu-smi 1.9.3                    Version: 21.0.rc1                                 |
+----------------------+---------------+---------------------------------------------+
| NPU   Name           | Health        | Power(W)   Temp(C)                          |
| Chip                 | Bus-Id        | AICore(%)  Memory-Usage(MB)  HBM-Usage(MB)  |
+======================+===============+=============================================+
| 4     910A           | OK            | 67.2       30                               |
| 0                    | 0000:C2:00.0  | 0          303  / 15171      0    / 32768   |
+======================+===============+=============================================+
| 5     910ProA        | Alarm         | 63.8       25                               |
| 0                    | 0000:82:00.0  | 97         2123 / 15171      30710/ 32768   |
+======================+===============+=============================================+
'''
NEW = '''\
+------------------------------------------------------------------------------------------------+
| npu-smi 23.0.5                   Version: 23.0.5                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B                | Warning       | 73.1        37                1123 / 1123          |
| 0                         | 0000:61:00.0  | 97          4565 / 15137      30710/ 32768         |
+===========================+===============+====================================================+
| 1     910B1               | OK            | 88.4        38                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3161 / 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 0       0                 | 12345         | python3                  | 30600                   |
| 0       0                 | 12346         | a|b                      | -                       |
| 0       0                 | 12347         |                          | 12                      |
+===========================+===============+====================================================+
| No running processes found in NPU 1                                                            |
+===========================+===============+====================================================+
'''
# An A3: two dies an NPU, of which the second tells no power; a physical number beside the chip's.
TWO_DIES = '''\
+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.rc3.7               Version: 24.1.rc3.7                                           |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 2     Ascend910           | OK            | 176.3       36                0    / 0             |
| 0     4                   | 0000:95:00.0  | 5           0    / 0          3411 / 65536         |
+------------------------------------------------------------------------------------------------+
| 2     Ascend910           | UNKNOWN       | -           35                0    / 0             |
| 1     5                   | 0000:97:00.0  | 0           0    / 0          3208 / 65536         |
+===========================+===============+====================================================+
'''
OLD_CHIPS = (Chip(4, 0, '910A', '0000:C2:00.0', 'OK', 67.2, 30, 0, 303, 15171, 0, 32768),
             Chip(5, 0, '910ProA', '0000:82:00.0', 'Alarm', 63.8, 25, 97, 2123, 15171, 30710,
                  32768))
NEW_CHIPS = (Chip(0, 0, '910B', '0000:61:00.0', 'Warning', 73.1, 37, 97, 4565, 15137, 30710,
                  32768),
             Chip(1, 0, '910B1', '0000:C1:00.0', 'OK', 88.4, 38, 0, None, 0, 3161, 65536))
DIES = (Chip(2, 0, 'Ascend910', '0000:95:00.0', 'OK', 176.3, 36, 5, None, 0, 3411, 65536),
        Chip(2, 1, 'Ascend910', '0000:97:00.0', 'UNKNOWN', None, 35, 0, None, 0, 3208, 65536))
NO_CARD = 'There is no NPU card on this server.\n'
NO_DRIVER = 'dcmi module initialize failed. ret is -8005\n'
BUSY = ('DrvMngGetConsoleLogLevel failed. (g_conLogLevel=3)\n'
        'dcmi model initialized failed, because the device is used. ret is -8020\n')
WARNING = ('[WARNING]The driver package may not be completely installed, ret is -8005, '
           'please check.\n')
UNSUPPORTED = 'This device does not support querying common.\n'


@pytest.mark.parametrize('info, found', [
    (OLD, OLD_CHIPS), (NEW, NEW_CHIPS), (TWO_DIES, DIES), (NEW + WARNING, NEW_CHIPS),
    ('', ()), (NO_CARD, ()), (NO_DRIVER, ()), (BUSY, ())])
def test_every_release_prints_a_chip_in_two_rows(info, found):
    assert npu_smi.chips(info) == found


@pytest.mark.parametrize('change', [
    lambda info: info.replace('\n', '\r\n'), lambda info: info.replace('\n', '\n\n'),
    lambda info: re.sub(' {2,}', ' ', info), lambda info: info.replace(' ', '    '),
    lambda info: info.replace(' / ', '/').replace('/ ', '/').replace('  /', '/'),
    lambda info: info.strip(), lambda info: '\n'.join(info.splitlines()[3:]),
    lambda info: re.sub(r'(?m)^\+[=-]*\+.*\n', '', info),
    lambda info: re.sub(r'(?m)(^\+=*\+.*\n)', '| NPU Name | Health | Power(W) |\n'
                        '| Chip | Bus-Id | AICore(%) |\n\\1', info)])
@pytest.mark.parametrize('info, found', [(OLD, OLD_CHIPS), (NEW, NEW_CHIPS), (TWO_DIES, DIES)])
def test_widths_slashes_line_ends_rules_and_headers_do_not_matter(info, found, change):
    assert npu_smi.chips(change(info)) == found


def first(info):
    return npu_smi.chips(info)[0]


@pytest.mark.parametrize('absent', ['-', 'NA', 'N/A', '-1'])
def test_what_is_not_known_is_none_and_never_zero(absent):
    chip = first(NEW.replace('73.1', absent).replace('97 ', absent + ' '))
    assert (chip.watts, chip.aicore_percent, chip.celsius) == (None, None, 37)
    assert first(NEW.replace('Warning', 'NA')).health == ''
    chip = first(NEW.replace('30710/ 32768', '- / N/A'))
    assert (chip.hbm_used_mib, chip.hbm_total_mib, chip.memory_used_mib) == (None, None, 4565)


def test_of_a_cell_with_too_few_values_none_is_taken_for_another():
    chip = first(NEW.replace('73.1 ', ' '))
    assert (chip.watts, chip.celsius) == (None, None)
    chip = first(NEW.replace('97 ', '   '))
    assert (chip.aicore_percent, chip.hbm_used_mib) == (None, 30710)


def test_a_chip_without_hbm_has_no_hbm_memory():
    chip = first(NEW.replace('30710/ 32768', ''))
    assert (chip.memory_used_mib, chip.hbm_used_mib, chip.hbm_total_mib) == (4565, None, None)


def test_a_row_whose_other_row_is_lost_is_no_chip():
    lines = NEW.splitlines()
    for lost in (6, 7):
        assert npu_smi.chips('\n'.join(lines[:lost] + lines[lost + 1:])) == NEW_CHIPS[1:]
    assert npu_smi.chips(NEW[:NEW.index('32768')]) == ()     # torn within a number


def test_a_chip_whose_name_is_a_number_is_no_row_of_numbers():
    text = ('| 0       310                   | OK              | 12.8       51    0    / 187  |\n'
            '| 0       0                     | NA              | 0          5745 / 7757       |\n')
    assert npu_smi.chips(text) == (Chip(0, 0, '310', '', 'OK', 12.8, 51, 0, 5745, 7757),)


@pytest.mark.parametrize('info, found', [
    (NEW, (Process(0, 0, 12345, 'python3', 30600), Process(0, 0, 12346, 'a|b', None),
           Process(0, 0, 12347, '', 12))),
    (NEW.replace('\n', '\r\n'), npu_smi.processes(NEW)),
    (NEW[:NEW.index('600  ')], ()), (OLD, ()), (TWO_DIES, ()), ('', ()), (NO_CARD, ()),
    ('| 2 1 | 99976 | python | 27977 |', (Process(2, 1, 99976, 'python', 27977),))])
def test_a_process_is_a_whole_row_of_four_cells(info, found):
    assert npu_smi.processes(info) == found


MAP = '''\
\tNPU ID                   Chip ID                  Chip Logic ID            Chip Name
\t1                        0                        0                        Ascend 910A
\t1                        1                        -                        Mcu
\t4                        0                        1                        Ascend 910A
\t4                        1                        -                        Mcu
'''
PHYSICAL = '''\
 NPU ID  Chip ID  Chip Logic ID  Chip Phy-ID  Chip Name
 3       0        0              6            Ascend910
 3       1        1              7            Ascend910
 3       2        -              -            Mcu
'''


def test_a_logical_device_has_its_own_number_of_npu_and_chip():
    assert npu_smi.mapping(MAP) == (
        Mapped(1, 0, 0, 'Ascend 910A'), Mapped(1, 1, None, 'Mcu'), Mapped(4, 0, 1, 'Ascend 910A'),
        Mapped(4, 1, None, 'Mcu'))
    assert npu_smi.mapping(PHYSICAL.replace('\n', '\r\n')) == (
        Mapped(3, 0, 0, 'Ascend910'), Mapped(3, 1, 1, 'Ascend910'), Mapped(3, 2, None, 'Mcu'))
    assert [npu_smi.where(MAP, logic) for logic in (0, 1)] == [(1, 0), (4, 0)]
    assert [npu_smi.where(PHYSICAL, logic) for logic in (0, 1)] == [(3, 0), (3, 1)]


@pytest.mark.parametrize('text', ['', NO_DRIVER, MAP])
def test_where_the_tool_does_not_say_a_device_is_the_npu_of_its_number(text):
    assert npu_smi.where(text, 7) == (7, 0)


def test_the_cards_are_the_npu_ids_that_are_listed():
    listed = '\tTotal Count                    : 2\n' + ''.join(
        f'\n\tNPU ID                         : {npu}\n\tProduct Name                   : NA\n'
        '\tSerial Number                  : 033\n\tChip Count                     : 1\n'
        for npu in (0, 8))
    assert npu_smi.cards(listed) == npu_smi.cards(listed.replace('\n\n', '\n')) == (0, 8)
    assert npu_smi.cards(NO_CARD) == npu_smi.cards('NPU ID : -') == ()


USAGES = '''\
\tNPU ID                         : 0
\tChip Count                     : 1

\tDDR Capacity(MB)               : 13553
\tDDR Usage Rate(%)              : 6
\tDDR Hugepages Total(page)      : 0
\tHBM Capacity(MB)               : 31129
\tHBM Usage Rate(%)              : 71
\tAicore Usage Rate(%)           : 97
\tAicpu Usage Rate(%)            : 1
\tCtrlcpu Usage Rate(%)          : 2
\tDDR Bandwidth Usage Rate(%)    : 3
\tHBM Bandwidth Usage Rate(%)    : 4
\tChip ID                        : 0
'''
SECOND = '\n\tAicore Usage Rate(%)           : 8\n\tChip ID                        : 1\n'
COMMON = '''\
\tNPU ID                         : 0
\tChip Count                     : 1

\tChip ID                        : 0
\tMemory Usage Rate(%)           : 6
\tHBM Usage Rate(%)              : 71
\tAicore Usage Rate(%)           : 97
\tAicore Freq(MHZ)               : 1000
\tAicore curFreq(MHZ)            : 900
\tAicore Count                   : 30
\tTemperature(C)                 : 41
\tNPU Real-time Power(W)         : 71.7
'''
OTHER = '\n\tChip ID                        : 1\n\tTemperature(C)                 : 55\n'
CONTROLLER = '''
\tChip Name                      : mcu
\tTemperature(C)                 : 99
\tNPU Real-time Power(W)         : 45.2
'''
TEMP = '''\
\tNPU ID                         : 0

\tNPU Temperature (C)            : 41
\tChip ID                        : 0

\tT_LM75A  (C)                   : 29
\tTemperature (C)                : 30
\tChip Name                      : MCU
'''
POWER = '\tNPU ID : 0\n\n\tNPU Real-time Power(W)         : 71.7\n\tChip ID : 0\n'
MEMORY = '''\
\tNPU ID                         : 0
\tChip Count                     : 1

\tDDR Capacity(MB)               : 13553
\tDDR Clock Speed(MHz)           : 2400
\tHBM Capacity(MB)               : 31129
\tHBM Clock Speed(MHz)           : 1000
\tHBM Temperature(C)             : 37
\tChip ID                        : 0
'''
ALL_COMMON = Common(6, 71, 97, 1000, 900, 30, 41, 71.7)


def without(text, key):
    return re.sub(rf'(?m)^\t{re.escape(key)} .*\n', '', text)


@pytest.mark.parametrize('change', [
    str, lambda text: text.replace('\n', '\r\n'), lambda text: text.replace('\n', '\r\r\n'),
    lambda text: text.replace('\n\n', '\n'),
    lambda text: text.replace('\t', ''), lambda text: re.sub(' +: ', ': ', text),
    lambda text: text + WARNING])
def test_a_chip_is_named_before_or_after_its_values(change):
    assert npu_smi.usages(change(USAGES + SECOND)) == Usages(13553, 6, 31129, 71, 97, 1, 2, 3, 4)
    assert npu_smi.usages(change(USAGES + SECOND), 1) == Usages(aicore_percent=8)
    assert npu_smi.usages(change(USAGES + SECOND), 2) == Usages()
    assert npu_smi.common(change(COMMON + OTHER + CONTROLLER)) == ALL_COMMON
    assert npu_smi.common(change(COMMON + OTHER + CONTROLLER), 1) == Common(celsius=55)
    assert npu_smi.common(change(COMMON), 1) == Common()
    assert npu_smi.temp(change(TEMP)) == Temp(41)
    assert npu_smi.power(change(POWER + CONTROLLER)) == Power(71.7)
    assert npu_smi.memory(change(MEMORY)) == Memory(13553, 2400, 31129, 1000, 37)


def test_what_a_chip_does_not_tell_is_not_taken_from_another_or_the_controller():
    common = without(without(COMMON, 'Temperature(C)'), 'NPU Real-time Power(W)')
    for text in (common + OTHER + CONTROLLER, common + OTHER.lstrip() + CONTROLLER.lstrip()):
        assert npu_smi.common(text) == ALL_COMMON._replace(celsius=None, watts=None)
    usages = without(USAGES, 'Aicore Usage Rate(%)') + SECOND
    for text in (usages, usages.replace('\n\n', '\n')):
        assert npu_smi.usages(text).aicore_percent is None
    assert npu_smi.temp(without(TEMP, 'NPU Temperature (C)')) == Temp()
    assert npu_smi.power(without(POWER, 'NPU Real-time Power(W)') + CONTROLLER) == Power()


def test_a_single_chip_may_be_named_on_the_other_side_or_not_at_all():
    rows = USAGES.splitlines(True)
    assert npu_smi.usages(''.join([rows[-1], *rows[3:-1]])) == npu_smi.usages(USAGES) != Usages()
    unnamed = without(COMMON, 'Chip ID')
    assert npu_smi.common(unnamed) == ALL_COMMON
    assert npu_smi.common(unnamed, 1) == Common()


@pytest.mark.parametrize('name', ['mcu', 'Mcu', 'MCU'])
def test_a_controller_alone_tells_nothing_of_a_chip(name):
    assert npu_smi.common(CONTROLLER.replace('mcu', name)) == Common()


def test_of_what_is_said_twice_the_first_counts():
    twice = COMMON + '\tTemperature(C)                 : 99\n'
    assert npu_smi.common(twice).celsius == 41


@pytest.mark.parametrize('value', ['-', 'NA', 'N/A', '-1', '', '4 1', '41 C'])
def test_a_value_that_is_no_number_is_unknown(value):
    text = COMMON.replace(': 41\n', f': {value}\n')
    assert npu_smi.common(text) == ALL_COMMON._replace(celsius=None)


@pytest.mark.parametrize('text', ['', NO_CARD, NO_DRIVER, BUSY, UNSUPPORTED])
def test_an_error_has_no_values(text):
    assert npu_smi.common(text) == Common()
    assert npu_smi.usages(text) == Usages()
    assert npu_smi.temp(text) == Temp()
    assert npu_smi.power(text) == Power()
    assert npu_smi.memory(text) == Memory()
    assert npu_smi.board(text) == Board()


def test_a_rated_power_is_not_the_real_one():
    text = COMMON.replace('NPU Real-time Power(W)', 'Rated Power Dissipation(W)')
    assert npu_smi.common(text).watts is None


BOARD = '''\
\tNPU ID                         : 0
\tProduct Name                   : NA
\tSoftware Version               : 23.0.5
\tFirmware Version               : 7.1.0.7.220
\tCompatibility                  : OK
\tPCIe Bus Info                  : 0000:61:00.0
\tPCI Vendor ID                  : 0x19E5
\tPCI Device ID                  : 0xD801
\tChip Count                     : 1
'''


def test_a_board_tells_its_versions_and_its_pci_numbers():
    known = Board('23.0.5', '7.1.0.7.220', '0000:61:00.0', '0x19E5', '0xD801')
    assert npu_smi.board(BOARD) == npu_smi.board(BOARD.replace('\n', '\r\n')) == known
    assert npu_smi.board(BOARD.replace('23.0.5', 'NA')) == known._replace(software='')
    assert npu_smi.board(without(BOARD, 'PCI Device ID')) == known._replace(pci_device='')


@pytest.mark.parametrize('pci_device, said', [
    *[(number, 'Ascend 910 (first generation, 910A)')
      for number in ('0xD801', '0xd801', 'd801', 'D801\n')],
    *[(number, 'second generation (910B)') for number in ('0xD802', 'd802')],
    ('0xD500', ''), ('', ''), ('910B', ''), ('unknown', ''), ('0xD8010', '')])
def test_a_generation_is_known_by_its_pci_number(pci_device, said):
    assert npu_smi.generation(pci_device) == said


@pytest.mark.parametrize('text, said', [
    ('npu-smi version: 23.0.5', '23.0.5'), ('npu-smi version : 24.1.rc3.7\r\n', '24.1.rc3.7'),
    (OLD, '1.9.3'), (NEW, '23.0.5'), ('', ''), (NO_DRIVER, ''), ('npu-smi: command not found', '')])
def test_a_version_is_the_tools_own(text, said):
    assert npu_smi.version(text) == said


@pytest.mark.parametrize('text, said', [
    (NO_DRIVER, 'npu-smi says "dcmi module initialize failed. ret is -8005": the driver does not '
                'answer: '),
    (BUSY, 'npu-smi says "dcmi model initialized failed, because the device is used. ret is '
           '-8020": somebody else holds the device: end the other container'),
    ('Failed to query. ret is -8002.\r\n',
     'npu-smi says "Failed to query. ret is -8002": this user may not ask: be root'),
    ('x ret is -9999', 'npu-smi says "x ret is -9999": its code is not known here'),
    (NO_CARD, 'npu-smi says "There is no NPU card on this server": check that the driver sees '),
    ('\tNPU ID : 0\n' + UNSUPPORTED,
     'npu-smi says "This device does not support querying common": nothing is to be done')])
def test_a_complaint_is_named_with_what_it_means(text, said):
    found = npu_smi.failure(text)
    assert found.startswith(said)
    assert '\n' not in found


@pytest.mark.parametrize('text', ['', OLD, NEW, TWO_DIES, COMMON, USAGES, MAP, BOARD,
                                  'npu-smi version: 23.0.5'])
def test_a_warning_beside_what_was_said_is_no_complaint(text):
    assert npu_smi.failure(text) == npu_smi.failure(text + '\n' + WARNING) == ''


def test_a_table_of_chips_is_well_where_one_of_their_values_could_not_be_read():
    assert npu_smi.failure('get hbm failed, ret is -8255\n' + NEW) == ''


# --- whatever comes -------------------------------------------------------------------------------

SAMPLES = (OLD, NEW, TWO_DIES, MAP, PHYSICAL, USAGES + SECOND, COMMON + OTHER + CONTROLLER, TEMP,
           POWER, MEMORY, BOARD, NO_CARD, NO_DRIVER, BUSY, UNSUPPORTED, WARNING)
PARSERS = (npu_smi.chips, npu_smi.processes, npu_smi.mapping, npu_smi.cards, npu_smi.board,
           npu_smi.failure, npu_smi.version, npu_smi.generation)
OF_A_CHIP = (npu_smi.usages, npu_smi.common, npu_smi.temp, npu_smi.power, npu_smi.memory)


def numbers(parsed) -> typing.Iterator[float]:
    if isinstance(parsed, tuple):
        for part in parsed:
            yield from numbers(part)
    elif isinstance(parsed, (int, float)):
        yield parsed


def check(text):
    """Nothing raises, and no number is there that the text has not."""
    there = {float(number) for number in re.findall(r'[0-9]+(?:\.[0-9]+)?', text)}
    parsed = [parse(text) for parse in PARSERS] + [
        parse(text, chip) for parse in OF_A_CHIP for chip in (0, 1)]
    assert set(numbers(tuple(parsed))) <= there
    npu_smi.where(text, 0)


@st.composite
def mutated(draw):
    """A sample, or two, with pieces cut out, put in elsewhere, doubled or replaced."""
    text = draw(st.sampled_from(SAMPLES)) + draw(st.sampled_from(('', *SAMPLES)))
    for _ in range(draw(st.integers(1, 6))):
        a = draw(st.integers(0, len(text)))
        b = draw(st.integers(a, min(len(text), a + 200)))
        put = draw(st.sampled_from(['', '\n', '\r\n', '-', 'N/A', '|', ' / ', ':', '0', '²', '٣',
                                    'Chip ID : 1\n', 'Chip Name : mcu\n', text[a:b] * 2]))
        text = text[:a] + put + text[b:]
    return text


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_a_torn_or_mixed_text_gives_no_number_of_its_own(text):
    check(text)


@settings(max_examples=400, deadline=None)
@given(st.text() | st.text(alphabet='|:-/ \n\r\t019.NAChip IDNPU'))
def test_no_text_at_all_raises(text):
    check(text)


@pytest.mark.parametrize('text', SAMPLES, ids=range(len(SAMPLES)))
def test_a_text_may_end_anywhere(text):
    for end in range(0, len(text), 7):
        check(text[:end])
