# SPDX-License-Identifier: Apache-2.0
"""The page as text: whole, in both languages, from disk alone, and deaf to hostile text."""

import base64
import dataclasses
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from samples import FACTS, baseline, case, record, session

from harness.history import Entry
from harness.judge import summarize
from harness.records import Detail, Picture, Status
from harness.report import content, page
from harness.report.charts import Band, Chart, Line, Mark, Span

HOSTILE = '</script><img src=x onerror=alert(1)>\u2028&"\'`'
EARLIER = Entry('s1-performance-1', 's1', 'performance', 'images_per_s', 'images/s', 32.0, '',
                '0123456789ab', 1767322800.0, 61.5, 'abc')
CHART = Chart('steps-performance', 'Step time', 'step', 'step time, ms', 'Steady is good.',
              (Line('performance 1', (1, 2, 3), (500.1234567, None, 501.0), notes=('a', 'b', 'a')),
               Line('performance 2', (1, 2, 3), (510.0, math.inf, 511.0))),
              bands=(Band('expected', (1, 3), (499, 499), (512, 512)),),
              spans=(Span('warm-up', 1, 2),), marks=(Mark('change', 2),))


def chinese(text):
    """A stand-in for the catalogue: it knows some words only."""
    return {'Why': '原因', 'step': '步', 'Reset': '重置'}.get(text, text)


def said(of_baseline=None, **changes):
    """What a report of one passing run says, but for the changes."""
    judged = summarize(session(case(), baselines=[of_baseline or baseline()]), [record(32.0)])
    return dataclasses.replace(content.of(judged), **changes)


def html(of=None, charts=(), entries=(), png=b'', translate=chinese):
    return page.to_html(of or said(), charts, entries, png, translate)


class Elements(HTMLParser):
    """All tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.found, self.raw, self.words = [], [], ''
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag in ('script', 'style'):
            self.raw.append((tag, dict(attrs), ''))

    def handle_data(self, text):
        if self.cdata_elem:
            tag, attrs, before = self.raw[-1]
            self.raw[-1] = (tag, attrs, before + text)
        else:
            self.words += text

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


def part(name):
    return (Path(page.PARTS) / name).read_text(encoding='utf-8')


def data(text, id):
    """The JSON that the page gives to its scripts."""
    return next(json.loads(body) for _, attrs, body in Elements(text).raw if attrs.get('id') == id)


def test_the_answer_comes_first_and_the_details_last():
    text = html(charts=[CHART], entries=[EARLIER], png=b'png')
    assert re.findall(r'<section id="([\w-]+)"', text) == [
        'why', 'what-to-do', 'plots', 'picture', 'history', 'metrics', 'environment', 'trust',
        'files']
    assert text.index('<h1') < text.index('class="sentence"') < text.index('class="sortable"') < (
        text.index('id="why"'))


@pytest.mark.parametrize('status', list(Status))
def test_the_title_has_the_verdict_as_a_word_and_as_a_sign(status):
    text = html(said(status=status, title=f'{status.value}: RCAN on cpu 0'))
    assert re.search(f'<h1 id="title" class="verdict {status.value}">{status.value}: RCAN', text)
    assert f'.{status.value} {{ --sign: "' in text


def test_every_text_is_there_in_both_languages_and_once_where_they_agree():
    text = html(charts=[CHART])
    assert '<span lang="en">Why</span><span lang="zh-CN">原因</span>' in text
    assert '<p class="x-label"><span lang="en">step</span><span lang="zh-CN">步</span></p>' in text
    assert '<h3 id="steps-performance-title">Step time</h3>' in text


def test_the_names_in_a_chart_are_given_in_both_languages():
    named = dataclasses.replace(CHART, lines=(Line('step', (1,), (2.0,)), Line('x', (1,), (2.0,))))
    lines = data(html(charts=[named]), 'chart-data')['steps-performance']['lines']
    assert [line['name'] for line in lines] == [['step', '步'], 'x']


def test_a_chart_gives_its_points_in_columns_with_sensible_digits():
    chart = data(html(charts=[CHART]), 'chart-data')['steps-performance']
    assert chart['axes'] == [[1, 2, 3], [1, 3]]   # each kept once
    assert [(line['x'], line['y']) for line in chart['lines']] == [
        (0, [500.123, None, 501]), (0, [510, None, 511])]
    assert [chart['notes'][i] for i in chart['lines'][0]['notes']] == ['a', 'b', 'a']
    assert chart['bands'] == [{'name': 'expected', 'x': 1, 'low': [499, 499], 'high': [512, 512]}]
    assert (chart['spans'], chart['marks']) == ([['warm-up', 1, 2]], [['change', 2]])


def test_charts_stand_where_they_belong():
    charts = [dataclasses.replace(CHART, id='history-full'), CHART,
              dataclasses.replace(CHART, id='cpu-full', detail=True)]
    text = html(charts=charts)
    at = {name: text.index(f'id="{name}"') for name in (
        'plots', 'steps-performance', 'history', 'history-full', 'metrics', 'cpu-full')}
    assert sorted(at, key=at.get) == list(at)


def test_without_scripts_a_chart_leads_to_its_picture():
    assert './plots/steps-performance.png' in [
        attrs['href'] for attrs in Elements(html(charts=[CHART])).all('a')]


def test_all_runs_are_given_in_columns_the_newest_first():
    later = dataclasses.replace(EARLIER, run='s2-performance-1', started_unix_s=1767322900.4,
                                value=None, fault='exit status 1')
    runs = data(html(entries=[EARLIER, later]), 'run-data')
    assert runs['started'] == [1767322900, 1767322800]
    assert runs['value'] == [None, 32]
    words = {name: [column['of'][i] for i in column['at']] for name, column in
             runs['words'].items()}
    assert words['run'] == ['s2-performance-1', 's1-performance-1']
    assert words['fault'] == ['exit status 1', '']
    assert runs['words']['case'] == {'at': [0, 0], 'of': ['performance']}


def test_the_history_alone_is_a_page_too():
    text = page.to_html(None, [dataclasses.replace(CHART, id='history-x')], [EARLIER], b'', chinese)
    assert '>History of all runs</h1>' in text
    assert 'id="runs"' in text and 'id="history-x"' in text and 'id="why"' not in text


def test_a_page_of_nothing_says_so():
    assert 'No run yet.' in page.to_html(None, (), (), b'', chinese)


def test_a_command_is_marked_and_a_lone_backtick_is_none():
    advice = (content.Advice('full', 'Run `a --b` again, it`s easy.'),)
    assert 'Run <code class="command">a --b</code> again, it`s easy.' in html(said(advice=advice))


def test_nothing_to_do_is_said():
    assert '<p>Nothing.</p>' in html(said(advice=()))


def test_a_failure_shows_its_last_lines_folded():
    failed = content.Failure('full, run 1: exit status 1', 's-full-1', ('one', '<two>'))
    text = html(said(failures=(failed,)))
    assert re.search('<details><summary>The last 2 lines of its output</summary>\n'
                     '<pre tabindex="0">\none\n&lt;two&gt;</pre></details>', text)


def test_a_fact_that_differs_is_marked_by_more_than_its_colour():
    elsewhere = {**FACTS, 'tensorflow': '1.15.5'}
    text = html(said(dataclasses.replace(baseline(), environment=elsewhere)))
    row, = re.findall(r'<tr class="differs">\n(.*?)</tr>', text, re.S)
    assert re.findall(r'<td>(.*)</td>', row) == ['tensorflow', '1.15.0', '1.15.5', 'differs']


def test_the_picture_is_there_once_with_its_layout():
    layout = Picture(192, 4, (Detail('0013.png', (24.1, 26.9, 28.44, None)),))
    of = said(picture=content.RunPicture('full', 1, 'runs/x/comparison.png', layout))
    text = html(of, png=b'\x89PNG')
    assert text.count(base64.b64encode(b'\x89PNG').decode()) == 1
    assert 'data-side="192" data-gap="4"' in text
    assert 'data-psnr="24.10 dB|26.90 dB|28.44 dB|"' in text


def test_without_a_picture_there_is_no_section_for_it():
    assert not Elements(html()).all('img')
    assert 'id="picture"' not in html()


def test_a_picture_of_unknown_layout_is_shown_as_it_is():
    of = said(picture=content.RunPicture('full', 1, 'runs/x/comparison.png', None))
    found = Elements(html(of, png=b'png'))
    assert found.all('img') and not found.all('canvas')


def test_logs_are_linked_from_the_reports_folder_and_never_elsewhere():
    files = ('runs/a b/output.log', 'javascript:alert(1)', '//host/x')
    of = said(runs=(content.RunFiles('full 1', files),))
    assert [attrs['href'] for attrs in Elements(html(of)).all('a')][-3:] == [
        './runs/a%20b/output.log', './javascript%3Aalert%281%29', './//host/x']


# --- from disk alone ------------------------------------------------------------------------------

def whole():
    layout = Picture(192, 4, (Detail('0013.png', (24.1, 26.9, 28.44, None)),))
    of = said(picture=content.RunPicture('full', 1, 'runs/x/comparison.png', layout))
    return html(of, [CHART], [EARLIER], b'png')


def test_the_page_loads_nothing():
    for tag, attrs in Elements(whole()).found:
        for name in ('src', 'href', 'srcset', 'action', 'data', 'poster'):
            assert re.match(r'$|#|\./|data:', attrs.get(name, '')), (tag, attrs)
    assert not re.search(r'@import|url\(', part('page.css'))


def test_only_the_pages_own_scripts_and_styles_may_run():
    found = Elements(whole())
    policy = found.all('meta')[1]['content']
    assert policy.startswith("default-src 'none'; ")
    own = [body for tag, attrs, body in found.raw if attrs.get('type') != 'application/json']
    assert len(own) == 4
    assert sorted(re.findall("'sha256-(.*?)'", policy)) == sorted(
        base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in own)
    assert 'unsafe' not in policy and 'http' not in policy
    for tag, attrs in found.found:
        assert not [name for name in attrs if name.startswith('on') or name == 'style'], tag


def test_what_was_taken_over_is_as_it_was_published_and_has_its_licence():
    taken = part('uPlot.iife.min.js')
    assert hashlib.sha256(taken.encode()).hexdigest() == SHA256
    assert 'The MIT License (MIT)' in html()
    assert 'uPlot 1.6.32' in html()


SHA256 = '19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f'


# --- hostile text ---------------------------------------------------------------------------------

def test_text_from_elsewhere_never_becomes_markup():
    table = content.Table((HOSTILE,) * 2, ((HOSTILE,) * 2,))
    of = said(
        title=HOSTILE, sentence=HOSTILE, gates=table, metrics=table, environment=table,
        reasons=(content.Reason(HOSTILE, Status.PASS, HOSTILE),),
        advice=(content.Advice(HOSTILE, f'`{HOSTILE}` {HOSTILE}'),),
        failures=(content.Failure(HOSTILE, HOSTILE, (HOSTILE,)),), remarks=(HOSTILE,),
        trust=(HOSTILE,), runs=(content.RunFiles(HOSTILE, (HOSTILE,)),),
        picture=content.RunPicture(HOSTILE, 1, HOSTILE, Picture(
            192, 4, (Detail(HOSTILE, (1.0, 2.0, 3.0, None)),))))
    chart = Chart(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE,
                  (Line(HOSTILE, (1,), (2,), notes=(HOSTILE,)),),
                  (Band(HOSTILE, (1,), (1,), (2,)),), (Span(HOSTILE, 1, 2),), (Mark(HOSTILE, 1),))
    entry = dataclasses.replace(EARLIER, run=HOSTILE, session=HOSTILE, case=HOSTILE, unit=HOSTILE,
                                fault=HOSTILE, commit=HOSTILE, match=HOSTILE)
    text = html(of, [chart], [entry], b'png', translate=lambda text: text + HOSTILE)
    found = Elements(text)
    assert [attrs['src'][:5] for attrs in found.all('img')] == ['data:']
    assert len(found.all('script')) == 4
    assert not [attrs for _, attrs in found.found if 'onerror' in attrs]
    assert HOSTILE in found.words
    assert list(data(text, 'chart-data')) == [HOSTILE]
    assert data(text, 'run-data')['words']['run']['of'] == [HOSTILE]
    for _, attrs, body in found.raw:
        if attrs.get('type') == 'application/json':
            assert HOSTILE in json.dumps(json.loads(body), ensure_ascii=False).replace('\\"', '"')
            assert not re.search('[<>&\u2028]', body)


# --- colours and size -----------------------------------------------------------------------------

def modes():
    """The colours of light and dark mode, by name."""
    light, dark = (dict(re.findall(r'--([\w-]+): (#[0-9a-f]{6});', block)) for block in re.findall(
        r':root \{(.*?)\}', part('page.css'), re.S))
    return {'light': light, 'dark': dark}


def luminance(colour):
    """As WCAG 2 defines it."""
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one, other):
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize('mode', ['light', 'dark'])
def test_every_text_and_line_stands_out_enough(mode):
    colours = modes()[mode]
    for ground in ('paper', 'tint', 'bad-tint', 'unsure-tint'):
        for text in ('ink', 'muted', 'link', 'good', 'bad', 'unsure', 'news'):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    lines = [name for name in colours if name.startswith('hue-')] + ['border', 'mark']
    assert len(lines) == 8
    for line in lines:
        assert contrast(colours[line], colours['paper']) >= 3, line


def test_a_page_of_a_thousand_runs_is_below_three_megabytes():
    x = tuple(range(1000))
    charts = [dataclasses.replace(CHART, id=f'steps-{c}', lines=tuple(
        Line(f'performance {i}', x, tuple(500 + math.sin(c * i * k + k) for k in x))
        for i in range(20))) for c in range(10)]
    entries = [dataclasses.replace(
        EARLIER, run=f'20260102T0304{i:04}Z-npu0-performance-1', commit=f'{i * 7919:012x}',
        started_unix_s=1767322800.0 + 3600.7 * i, value=32 + math.sin(i)) for i in range(1000)]
    text = html(charts=charts, entries=entries, png=bytes(340000))
    assert 2e6 < len(text.encode()) < 3e6
