# SPDX-License-Identifier: Apache-2.0
"""Rules of the README: its sections, its results, and no links to data."""

import re
from typing import Dict, Iterator, Tuple

from harness.compliance.rule import NotApplicable, Spot, Subject

# The template's section, and by what names it may go; a heading has one of them in it.
SECTIONS = {
    '基本信息 (basic information)': r'基本信息|basic information|model information',
    '概述 (overview)': r'概述|简介|overview|introduction|description',
    '训练环境准备 (environment)': r'环境准备|环境搭建|依赖|environment|requirements|install|setup',
    '快速上手 (quick start)': r'快速上手|快速开始|quick ?start|getting started|usage',
    '高级参考 (advanced reference)': r'高级参考|advanced|reference|script parameters',
    '迁移学习指导 (transfer learning)': r'迁移学习|transfer learning|fine[- ]?tuning|migration',
}
HEADING = re.compile(r'(?m)^\s*(?:#{1,6}\s*|<h\d[^>]*>)(.+)$')
NUMBERS = re.compile(r'\d')
MEASURED = re.compile(r'(?i)fps|images/s|img/s|ms/step|s/step|throughput|psnr|accuracy|\bacc\b|'
                      r'top-?1|\bmap\b|\bbleu\b|\bf1\b|loss|性能|精度|准确率')
URL = re.compile(r'https?://[^\s)>"\'`，。]+|obs://[^\s)>"\'`]+', re.I)
ARCHIVE = re.compile(r'\.(zip|rar|7z|tgz|tar|gz|bz2|xz|h5|hdf5|npz|npy|mat|tfrecords?|lmdb|csv)'
                     r'([?#].*)?$', re.I)
DRIVE = re.compile(r'drive\.google|pan\.baidu|dropbox\.com|1drv\.ms|onedrive|obs[.-]\w|obs://|'
                   r'/download', re.I)
DATA = re.compile(r'data ?set|\bdata\b|数据|imagenet|coco|cifar|mnist|voc20|div2k', re.I)
CHECKPOINT = re.compile(r'ckpt|checkpoint|pre-?train|weights?\b|权重|预训练|模型', re.I)
FETCH = re.compile(r'\b(wget|curl|gdown|obsutil|axel|aria2c)\b')


def sections(subject: Subject) -> Iterator[Spot]:
    """All six of the template, in one file: a README in another language may lack some."""
    missing = {path: [name for name, pattern in SECTIONS.items()
                      if not re.search(pattern, '\n'.join(HEADING.findall(text)), re.I)]
               for path, text in _readmes(subject).items()}
    path = min(missing, key=lambda p: (len(missing[p]), p))
    for name in missing[path]:
        yield Spot(f'no section {name}', path)


def data_links(subject: Subject) -> Iterator[Spot]:
    """No line of a README or a script leads straight to data; checkpoints may have links."""
    texts = {**_readmes(subject), **{path: text for path, text in subject.folder.texts.items()
                                     if path.endswith('.sh')}}
    for path, number, line in _lines(texts):
        for url in URL.findall(line):
            if not CHECKPOINT.search(line) and _is_data(line, url):
                yield Spot(f'{url} is a link to data', path, number)


def results_table(subject: Subject) -> Iterator[Spot]:
    """A table with numbers of speed or accuracy."""
    texts = _readmes(subject)
    if not any(_has_results(text) for text in texts.values()):
        yield Spot('no table of what was measured: accuracy, and speed', min(texts))


def _is_data(line: str, url: str) -> bool:
    if FETCH.search(line):
        return bool(ARCHIVE.search(url) or DATA.search(line))
    return bool(ARCHIVE.search(url) or DRIVE.search(url)) and bool(DATA.search(line))


def _has_results(text: str) -> bool:
    for table in re.findall(r'(?m)(?:^[ \t]*\|?.*\|.*\n?){3,}', text):
        rows = [row for row in table.splitlines() if not re.fullmatch(r'[\s|:-]*', row)]
        if MEASURED.search(table) and any(NUMBERS.search(row) for row in rows[1:]):
            return True
    return any(MEASURED.search(table) and NUMBERS.search(re.sub(r'<[^>]*>', '', table))
               for table in re.findall(r'(?is)<table.*?</table>', text))


def _readmes(subject: Subject) -> Dict[str, str]:
    texts = {path: subject.folder.texts.get(path, '')
             for path in subject.folder.matching(r'readme[^/]*')}
    if not any(texts.values()):
        raise NotApplicable('no README, or an empty one')
    return texts


def _lines(texts: Dict[str, str]) -> Iterator[Tuple[str, int, str]]:
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            yield path, number, line
