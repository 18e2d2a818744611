# SPDX-License-Identifier: Apache-2.0
"""What a report says -> summary.md: the answer first, the details folded below."""

import os
import re
from typing import Callable, List, Optional, Sequence

from harness.records import Summary
from harness.report import content
from harness.report.charts import Chart
from harness.report.content import (
    COLUMNS,
    REPORTED,
    SIGNS,
    Advice,
    Failure,
    Reason,
    RunPicture,
    Table,
)

CODE = re.compile(r'(`[^`]*`)')
CONTROL = re.compile(r'[\x00-\x08\x0b-\x1f\x7f-\x9f]')   # all but tab and line feed


def to_markdown(summary: Summary, charts: Sequence[Chart] = (),
                translate: Callable[[str], str] = str) -> str:
    """The whole report, in the order in which it is read.

    charts: those that are drawn in plots/.  translate: every sentence, heading and cell.
    """
    said, write = content.of(summary), _Writer(translate)
    sections = [
        f'# {SIGNS[said.status]} {write.text(said.title)}',
        write.text(said.sentence),
        write.table(said.gates),
        write.why(said.reasons),
        write.what_to_do(said.advice),
        *map(write.failure, said.failures),
        write.plots([chart for chart in charts if not chart.detail]),
        write.picture(said.picture),
        write.reported(said.reported),
        write.folded('All metrics', [write.table(said.metrics), *map(write.text, said.remarks)]),
        write.folded('More plots',
                     [write.plot(chart) for chart in charts if chart.detail]),
        write.folded('Environment', [write.table(said.environment)]),
        write.folded('How far to trust this', [write.bullets(said.trust)]),
    ]
    return '\n\n'.join(filter(None, sections)) + '\n'


def closing_lines(summary: Summary, reports: str) -> List[str]:
    """What the terminal says at the end: a line a case, then where to read on."""
    return [*(f'{v.status.value:12} {v.case}: {v.reason}' for v in summary.verdicts),
            *report_lines(reports)]


def report_lines(reports: str) -> List[str]:
    """Where to read on."""
    return [f'{name}: {os.path.relpath(os.path.join(reports, file))}'
            for name, file in (('report', 'summary.md'), ('page', 'index.html'))]


def readable(text: str) -> str:
    r"""Without control characters, which a terminal would obey: they are written as \x1b."""
    return CONTROL.sub(lambda found: f'\\x{ord(found.group()):02x}', text)


class _Writer:
    """The parts of a report as Markdown, in one language."""

    def __init__(self, translate: Callable[[str], str]):
        self.translate = translate

    def text(self, text: str) -> str:
        """On one line, where no block, no HTML tag, no link and no picture can begin in it."""
        line = readable(' '.join(self.translate(text).split())).replace('<', '&lt;')
        return ''.join(part if part.startswith('`') else part.replace('[', '\\[')
                       for part in CODE.split(line))

    def heading(self, text: str) -> str:
        return f'## {self.text(text)}'

    def bullets(self, lines: Sequence[str]) -> str:
        return '\n'.join(f'- {self.text(line)}' for line in lines)

    def table(self, table: Table) -> str:
        rows = [table.head, ['---'] * len(table.head), *table.rows]
        return '\n'.join('| ' + ' | '.join(map(self._cell, row)) + ' |' for row in rows)

    def _cell(self, text: str) -> str:
        return self.text(text).replace('\\', '\\\\').replace('|', '\\|')

    def folded(self, title: str, parts: Sequence[str]) -> str:
        body = '\n\n'.join(parts)
        return (f'<details><summary>{self.text(title)}</summary>\n\n{body}\n\n</details>'
                if body else '')

    def why(self, reasons: Sequence[Reason]) -> str:
        return '\n\n'.join([self.heading('Why'), '\n'.join(
            f'- **{r.case}** {self.text(r.status.value)}: {self.text(r.text)}'
            for r in reasons)])

    def what_to_do(self, advice: Sequence[Advice]) -> str:
        lines = '\n'.join(f'- **{a.case}**: {self.text(a.text)}' for a in advice)
        return '\n\n'.join([self.heading('What to do'), lines or self.text('Nothing.')])

    def reported(self, table: Optional[Table]) -> str:
        return '\n\n'.join([self.heading(REPORTED), self.table(table)]) if table else ''

    def failure(self, failure: Failure) -> str:
        lines = '\n'.join(map(readable, failure.last_lines)).replace('```', "'''")
        fenced = [f'```text\n{lines}\n```'] if failure.last_lines else []
        return '\n\n'.join(filter(None, [self.heading(failure.title),
                                         self.folded(failure.of_output, fenced)]))

    def plots(self, charts: Sequence[Chart]) -> str:
        return '\n\n'.join([self.heading('Plots'), *map(self.plot, charts)]) if charts else ''

    def plot(self, chart: Chart) -> str:
        """The picture that is shown everywhere, and behind it the one that is sharp at any size."""
        title = self._link_text(chart.title)
        return (f'[![{title}](plots/{chart.id}.png)](plots/{chart.id}.svg)\n\n'
                f'{self.text(chart.note)}')

    def _link_text(self, text: str) -> str:
        return self.text(text.replace('[', '(').replace(']', ')'))

    def picture(self, picture: Optional[RunPicture]) -> str:
        if not picture:
            return ''
        parts = [self.heading('What it looks like'),
                 self.text('From left to right: low resolution, bicubic, RCAN, the original '
                           f'({picture.case}, run {picture.index}).'),
                 f'![LR, bicubic, RCAN, HR]({picture.path})']
        if picture.layout:
            parts.append(self.table(_psnr_table(picture.layout.rows)))
        return '\n\n'.join(parts)


def _psnr_table(rows) -> Table:
    """PSNR of each detail that the picture shows, row by row."""
    return Table(('PSNR of the detail', *COLUMNS[:-1]), tuple(
        (row.image, *('-' if psnr is None else f'{psnr:.2f} dB' for psnr in row.psnr_db[:-1]))
        for row in rows))
