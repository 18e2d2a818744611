# SPDX-License-Identifier: Apache-2.0
"""What npu-smi's texts say (pure): whatever is missing, torn or unknown is None or empty, never 0.

Formats: npu_info_print.c of Ascend's driver, https://gitee.com/ascend (npucli), releases 1.9 to 25.
"""

import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

NUMBER = r'[0-9]{1,9}(?:\.[0-9]{1,9})?'
ABSENT = ('', '-', 'NA', 'N/A')
# A slash may touch its numbers: 41697/ 65536.
PAIR = re.compile(rf'({NUMBER}|-|N/?A)\s*/\s*({NUMBER}|-|N/?A)(?!\S)')

# https://www.hiascend.com/document, DCMI API, return codes.
CODES = {
    '-8001': 'there is no such NPU or chip: npu-smi info -m lists those that are here',
    '-8002': 'this user may not ask: be root, in a container too',
    '-8005': 'the driver does not answer: check that it is loaded, that this user may use it, and '
             'that a container has /dev/davinci_manager, /dev/devmm_svm and /dev/hisi_hdc',
    '-8008': 'the device is missing: check that the machine, or this container, has /dev/davinci0 '
             'and so on',
    '-8012': 'the device is not ready: wait until it has started, or reset it',
    '-8013': 'this cannot be asked in a container: ask on its host',
    '-8020': 'somebody else holds the device: end the other container or virtual machine that '
             'uses it',
    '-8255': 'this device cannot tell: nothing is to be done',
}
NO_CARD = 'There is no NPU card on this server.'

GENERATIONS = {0xD801: 'Ascend 910 (first generation, 910A)', 0xD802: 'second generation (910B)'}


class Chip(NamedTuple):
    """A pair of rows of `npu-smi info`.

    A total of 0 is as printed: there is no such memory, or it was not read; its use is None.
    """

    npu: int
    chip: int
    name: str
    bus_id: str
    health: str                          # OK, Warning, Alarm, Critical or UNKNOWN
    watts: Optional[float] = None        # an A3 tells it of an NPU's first chip only
    celsius: Optional[float] = None
    aicore_percent: Optional[float] = None
    memory_used_mib: Optional[float] = None
    memory_total_mib: Optional[float] = None
    hbm_used_mib: Optional[float] = None
    hbm_total_mib: Optional[float] = None


class Process(NamedTuple):
    """A row of the last table of `npu-smi info`; in a container a name may be empty."""

    npu: int
    chip: int
    pid: int             # the host's number
    name: str
    memory_mib: Optional[float]


class Mapped(NamedTuple):
    """A row of `npu-smi info -m`."""

    npu: int
    chip: int
    logic: Optional[int]     # ASCEND_DEVICE_ID; a board's controller (Mcu) has none
    name: str


class Board(NamedTuple):
    """What `npu-smi info -t board -i N` says; empty: unknown."""

    software: str = ''       # the driver's version
    firmware: str = ''
    bus_id: str = ''
    pci_vendor: str = ''
    pci_device: str = ''


class Usages(NamedTuple):
    """One chip of `-t usages`; sizes in MiB, shares in percent."""

    ddr_mib: Optional[float] = None
    ddr_percent: Optional[float] = None
    hbm_mib: Optional[float] = None
    hbm_percent: Optional[float] = None
    aicore_percent: Optional[float] = None
    aicpu_percent: Optional[float] = None
    ctrlcpu_percent: Optional[float] = None
    ddr_bandwidth_percent: Optional[float] = None
    hbm_bandwidth_percent: Optional[float] = None


class Common(NamedTuple):
    """One chip of `-t common`."""

    memory_percent: Optional[float] = None
    hbm_percent: Optional[float] = None
    aicore_percent: Optional[float] = None
    aicore_rated_mhz: Optional[float] = None
    aicore_mhz: Optional[float] = None       # at this moment
    aicores: Optional[float] = None
    celsius: Optional[float] = None
    watts: Optional[float] = None


class Temp(NamedTuple):
    """One chip of `-t temp`."""

    celsius: Optional[float] = None


class Power(NamedTuple):
    """One chip of `-t power`."""

    watts: Optional[float] = None


class Memory(NamedTuple):
    """One chip of `-t memory`."""

    ddr_mib: Optional[float] = None
    ddr_mhz: Optional[float] = None
    hbm_mib: Optional[float] = None
    hbm_mhz: Optional[float] = None
    hbm_celsius: Optional[float] = None


def failure(text: str) -> str:
    """What the tool says is wrong, what that means and what to do; empty where all is well.

    Its exit status says little, and its complaints are on standard output.
    """
    if chips(text):
        return ''
    for line in map(str.strip, text.splitlines()):
        code = re.search(r'\bret is (-[0-9]{1,9})', line)
        if code and not line.startswith('['):   # [WARNING]: beside what it has said
            meaning = CODES.get(code.group(1), 'its code is not known here: dmesg may say more')
            return f'npu-smi says "{line.rstrip(".")}": {meaning}'
        if NO_CARD in line:
            return (f'npu-smi says "{NO_CARD[:-1]}": check that the driver sees one '
                    '(lspci -d 19e5:), and that a container was given one')
        unsupported = re.match(r'This device does not support querying [^.]{1,80}', line)
        if unsupported:
            return f'npu-smi says "{unsupported.group(0)}": nothing is to be done'
    return ''


def version(text: str) -> str:
    """The tool's own: of `npu-smi -v`, or of the head of `npu-smi info`; empty: unknown."""
    found = re.search(r'npu-smi(?: +version *:)? +([vV]?[0-9][\w.+-]*)', text)
    return found.group(1) if found else ''


def chips(info: str) -> Tuple[Chip, ...]:
    """All chips of `npu-smi info`, of whatever release.

    | 0     910A          | OK            | 73.1        37                0    / 0             |
    | 0                   | 0000:61:00.0  | 97          920  / 13553      30710/ 32768         |
    """
    rows = [_cells(line) for line in info.splitlines() if line.strip()]
    return tuple(filter(None, map(_chip, rows, rows[1:])))


def processes(info: str) -> Tuple[Process, ...]:
    """The rows of the last table of `npu-smi info`; npu-smi 1.9 has no such table.

    | 0       0           | 12345         | python3                  | 23140                   |
    """
    found = []
    for line in info.splitlines():
        cells = _cells(line)
        place = re.fullmatch(r'([0-9]{1,9})\s+([0-9]{1,9})', cells[0]) if len(cells) > 3 else None
        if place and re.fullmatch('[0-9]{1,9}', cells[1]):
            found.append(Process(int(place.group(1)), int(place.group(2)), int(cells[1]),
                                 '|'.join(cells[2:-1]), known(cells[-1])))
    return tuple(found)


def mapping(info_m: str) -> Tuple[Mapped, ...]:
    """The rows of `npu-smi info -m`; newer releases may put a physical number before the name.

    0                              1                              -                 Mcu
    """
    number = '[0-9]{1,9}'
    physical = rf'(?:{number}|-)[ \t]+' if re.search(r'\bPhy[- ]?ID\b', info_m) else ''
    rows = re.findall(rf'^[ \t]*({number})[ \t]+({number})[ \t]+({number}|-)[ \t]+{physical}(.*)$',
                      info_m, re.M)
    return tuple(Mapped(int(npu), int(chip), None if logic == '-' else int(logic), name.strip())
                 for npu, chip, logic, name in rows)


def where(info_m: str, logic: int) -> Tuple[int, int]:
    """The NPU ID and the Chip ID of a logical device (ASCEND_DEVICE_ID).

    They differ where a container has only some NPUs, or an NPU two chips.  Where the tool does not
    say, a device is taken for the only chip of the NPU of its number.
    """
    return next(((m.npu, m.chip) for m in mapping(info_m) if m.logic == logic), (logic, 0))


def cards(info_l: str) -> Tuple[int, ...]:
    """The NPU IDs of `npu-smi info -l`."""
    return tuple(int(value) for rows in _blocks(info_l) for key, value in rows
                 if key == 'npu id' and re.fullmatch('[0-9]{1,9}', value))


def usages(text: str, chip: int = 0) -> Usages:
    """Of `-t usages`, which names a chip after its values."""
    return Usages(*_values(text, chip, (
        'DDR Capacity(MB)', 'DDR Usage Rate(%)', 'HBM Capacity(MB)', 'HBM Usage Rate(%)',
        'Aicore Usage Rate(%)', 'Aicpu Usage Rate(%)', 'Ctrlcpu Usage Rate(%)',
        'DDR Bandwidth Usage Rate(%)', 'HBM Bandwidth Usage Rate(%)')))


def common(text: str, chip: int = 0) -> Common:
    """Of `-t common`, which names a chip before its values."""
    return Common(*_values(text, chip, (
        'Memory Usage Rate(%)', 'HBM Usage Rate(%)', 'Aicore Usage Rate(%)', 'Aicore Freq(MHZ)',
        'Aicore curFreq(MHZ)', 'Aicore Count', 'Temperature(C)', 'NPU Real-time Power(W)'),
        names_first=True))


def temp(text: str, chip: int = 0) -> Temp:
    """Of `-t temp`, whose key is longer on servers."""
    server, other = _values(text, chip, ('NPU Temperature(C)', 'Temperature(C)'))
    return Temp(other if server is None else server)


def power(text: str, chip: int = 0) -> Power:
    """Of `-t power`."""
    return Power(*_values(text, chip, ('NPU Real-time Power(W)',)))


def memory(text: str, chip: int = 0) -> Memory:
    """Of `-t memory`."""
    return Memory(*_values(text, chip, (
        'DDR Capacity(MB)', 'DDR Clock Speed(MHz)', 'HBM Capacity(MB)', 'HBM Clock Speed(MHz)',
        'HBM Temperature(C)')))


def board(text: str) -> Board:
    """Of `-t board`; of what is said twice, the first."""
    said: Dict[str, str] = {}
    for key, value in (row for rows in _blocks(text) for row in rows):
        said.setdefault(key, '' if value in ABSENT else value)
    return Board(*(said.get(key, '') for key in (
        'software version', 'firmware version', 'pcie bus info', 'pci vendor id',
        'pci device id')))


def generation(pci_device: str) -> str:
    """Of a PCI device ID; empty: neither.  Names mislead: 910B was one of the first generation."""
    number = re.fullmatch(r'\s*(?:0[xX])?([0-9a-fA-F]{4})\s*', pci_device)
    return GENERATIONS.get(int(number.group(1), 16), '') if number else ''


def known(value: str) -> Optional[float]:
    """A number as the tools print it; None for -, N/A, -1 and whatever else."""
    return float(value) if re.fullmatch(NUMBER, value.strip()) else None


def _cells(line: str) -> List[str]:
    """Of a whole row of a table; nothing for a torn one, a rule and any other line."""
    line = line.strip()
    whole = len(line) > 1 and line[0] == line[-1] == '|'
    return [cell.strip() for cell in line[1:-1].split('|')] if whole else []


def _chip(row: Sequence[str], below: Sequence[str]) -> Optional[Chip]:
    """Of two rows, one below the other; None where they are not an NPU's and its chip's."""
    if len(row) != 3 or len(below) != 3:
        return None
    npu = re.fullmatch(r'([0-9]{1,9})\s+(\S.*)', row[0])
    # Only a chip has a bus id, where an NPU has its health; newer rows have a second number.
    chip = re.fullmatch(r'([0-9]{1,9})(\s+[0-9]+)?', below[0])
    if not npu or not chip or ':' in row[1] or not (':' in below[1] or below[1] in ABSENT):
        return None
    (watts, celsius), _ = _numbers(row[2], 2)
    (aicore,), pairs = _numbers(below[2], 1)
    ddr, hbm = (*pairs, (None, None), (None, None))[:2]
    return Chip(int(npu.group(1)), int(chip.group(1)), npu.group(2),
                '' if below[1] in ABSENT else below[1], '' if row[1] in ABSENT else row[1],
                watts, celsius, aicore, *ddr, *hbm)


def _numbers(cell: str, count: int) -> Tuple[List[Optional[float]], List[Tuple]]:
    """The values of a cell that stand alone, `count` of them, and the pairs `used / total`.

    Where it has fewer values than it should, nobody knows which: none is taken.
    """
    alone = PAIR.sub(' ', cell).split()
    pairs = [tuple(map(known, pair)) for pair in PAIR.findall(cell)]
    return ([known(value) for value in alone[:count]] if len(alone) >= count else [None] * count,
            [(used if total else None, total) for used, total in pairs])


Row = Tuple[str, str]


def _blocks(text: str) -> List[List[Row]]:
    """Rows `key : value` between blank lines; keys in lower case, without a blank before (."""
    blocks: List[List[Row]] = [[]]
    for line in text.replace('\r', '').splitlines():
        key, colon, value = line.partition(':')
        if not line.strip():
            blocks.append([])
        elif colon:
            blocks[-1].append((re.sub(r'\s+\(', '(', key.strip()).lower(), value.strip()))
    return blocks


def _values(text: str, chip: int, names: Sequence[str],
            names_first: bool = False) -> List[Optional[float]]:
    """Values of one chip.  Others on its board, and the controller, have them by the same names."""
    parts = [part for rows in _blocks(text) for part in _parts(rows, names_first)]
    owners = [_owner(part) for part in parts]
    wanted = str(chip)
    if not any(owners):   # of the only chip: some releases do not number it then
        return _pick([row for part in parts for row in part] if chip == 0 else [], names)
    return _pick(parts[owners.index(wanted)] if wanted in owners else [], names)


def _pick(rows: Sequence[Row], names: Sequence[str]) -> List[Optional[float]]:
    first = dict(reversed(rows))
    return [known(first.get(name.lower(), '')) for name in names]


def _parts(rows: List[Row], names_first: bool) -> List[List[Row]]:
    """A block cut where its next chip begins; one with a single name is of that one."""
    marks = [i for i, row in enumerate(rows) if _owner([row])]
    cuts = [i if names_first else i + 1 for i in marks] if len(marks) > 1 else []
    return [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)])]


def _owner(rows: Sequence[Row]) -> str:
    """The number of the chip that rows are of, `mcu` for the controller; empty: no name."""
    for key, value in rows:
        if key == 'chip id' and value:
            return value
        if key == 'chip name' and value.lower() == 'mcu':
            return 'mcu'
    return ''
