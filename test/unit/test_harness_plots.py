# SPDX-License-Identifier: Apache-2.0
"""Charts -> SVG and PNG."""

import dataclasses
import io
import re
import subprocess
import sys
from xml.etree import ElementTree

import PIL.Image
import pytest

from harness.report import plots
from harness.report.charts import Band, Chart, Line, Mark, Span, window

STEPS = Chart(
    'steps-performance', 'Step time of performance', 'step', 'step time, ms', 'what there is',
    (Line('performance 1', tuple(range(1, 31)), (5000.0, 510.0) + (250.0, 252.0, 249.0, 251.0) * 7),
     Line('limit', (1.0, 30.0), (260.0, 260.0), 'dashed')),
    bands=(Band('baseline, 10 runs', (1.0, 30.0), (245.0, 245.0), (255.0, 255.0)),),
    spans=(Span('warm-up', 0, 2),))
DAYS = Chart(
    'history-performance', 'History of performance', 'day', 'throughput, images/s', '',
    (Line('match 0123', (1767322800.0, 1767409200.0), (32.0, 29.0), 'points'),),
    marks=(Mark('0123456789ab: -9.4 %', 1767409200.0),), x_is_time=True)


def texts(chart):
    """All words of the drawing, one after the other."""
    root = ElementTree.fromstring(plots.to_svg(chart))
    return [''.join(node.itertext()).strip() for node in root.iter()
            if node.tag.endswith('}text')]


def pixels(chart):
    return PIL.Image.open(io.BytesIO(plots.to_png(chart))).convert('RGB')


def of(*lines, **changes):
    return Chart('id', 'title', 'x', 'y', 'note', lines, **changes)


def line(*y, name='run', style='line'):
    return Line(name, tuple(map(float, range(len(y)))), y, style)


# --- what is drawn --------------------------------------------------------------------------------

def test_title_axes_and_every_name_stand_in_the_drawing():
    found = texts(STEPS)
    assert {'Step time of performance', 'step', 'step time, ms', 'performance 1', 'limit',
            'baseline, 10 runs', 'warm-up'} <= set(found)
    assert {'0123456789ab: -9.4 %', 'match 0123'} <= set(texts(DAYS))


@pytest.mark.parametrize('chart', [STEPS, DAYS], ids=['steps', 'days'])
def test_the_same_chart_is_the_same_bytes(chart):
    assert plots.to_svg(chart) == plots.to_svg(chart)
    assert plots.to_png(chart) == plots.to_png(chart)


@pytest.mark.parametrize('part', ['bands', 'spans'])
def test_band_and_warm_up_are_areas_that_can_be_seen(part):
    assert pixels(STEPS).tobytes() != pixels(dataclasses.replace(STEPS, **{part: ()})).tobytes()


def test_a_picture_is_small_enough_to_be_kept():
    assert len(plots.to_png(STEPS)) < 60000


def test_it_is_opaque_so_that_it_reads_on_a_dark_page():
    assert pixels(STEPS).getpixel((2, 2)) == (255, 255, 255)


def test_more_names_than_a_legend_holds_are_counted():
    found = texts(of(*(line(1.0, 2.0, name=f'run {i}') for i in range(20))))
    assert {'run 7', 'and 12 more'} <= set(found)
    assert 'run 8' not in found


def test_lines_without_a_name_are_grey_so_that_a_colour_is_one_line():
    svg = plots.to_svg(of(*(line(1.0, 2.0, name=f'run {i}') for i in range(20))))
    drawn = re.findall('<path d="M [^"]*" clip-path[^>]*stroke: (#[0-9a-f]*)', svg)
    colours = [colour for colour in drawn if colour != plots.PALE.lower()]
    assert colours.count(plots.UNNAMED.lower()) == 12
    assert len(set(colours)) == len(colours) - 11


def test_names_of_marks_do_not_meet_and_those_without_room_are_counted():
    marks = tuple(Mark(f'{i:012x}: -9.4 %', 1767322800.0 + 864.0 * i) for i in range(100))
    found = texts(dataclasses.replace(DAYS, marks=marks))
    named = [text for text in found if '-9.4 %' in text]
    assert 3 <= len(named) < 30
    assert f'marks without room for a name: {100 - len(named)}' in found
    assert marks[-1].name in named   # the newest, at the right edge


def test_names_of_marks_stand_above_the_data_and_end_within_the_axes():
    root = ElementTree.fromstring(plots.to_svg(DAYS))
    name, = [node for node in root.iter() if node.text == DAYS.marks[0].name]
    assert 'text-anchor: end' in name.get('style')
    _, highest, _ = sorted(float(node.get('y')) for node in root.iter() if node.tag.endswith('}use')
                           and plots.COLOURS[0].lower() in node.get('style', ''))
    assert float(name.get('y')) < highest - 5   # the first is of the legend


def test_a_long_history_is_dots_which_lines_between_them_would_cover():
    image = pixels(of(line(*[32.0, 33.0] * 150, style='points')))
    middle = image.crop((200, 370, 1200, 372)).getcolors()
    assert all(min(colour) > 200 for _, colour in middle)   # paper and grid


def test_two_limits_that_are_near_have_names_one_above_the_other():
    chart = of(line(1.0, 2.0), *(Line(name, (0.0, 1.0), (y, y), 'dashed')
                                 for name, y in (('upper', 1.501), ('lower', 1.5))))
    heights = {node.text: float(node.get('y')) for node in
               ElementTree.fromstring(plots.to_svg(chart)).iter() if node.tag.endswith('}text')}
    assert heights['lower'] - heights['upper'] > 8   # of SVG's y, which grows downwards


@pytest.mark.parametrize('chart', [of(), of(line(None, None)), dataclasses.replace(DAYS, lines=())],
                         ids=['no line', 'no value', 'no line over days'])
def test_a_chart_without_a_value_says_so(chart):
    assert 'nothing measured' in texts(chart)


@pytest.mark.parametrize('chart', [STEPS, DAYS], ids=['steps', 'days'])
def test_all_drawings_are_of_one_size_and_nothing_is_cut_off(chart):
    assert pixels(chart).size == (1280, 608)
    edge = [pixels(chart).crop(box).getcolors() for box in (
        (0, 0, 1280, 4), (0, 604, 1280, 608), (0, 0, 4, 608), (1276, 0, 1280, 608))]
    assert all(colours == [(4 * side, (255, 255, 255))] for colours, side in
               zip(edge, (1280, 1280, 608, 608)))


def test_a_drawing_names_fonts_that_others_have():
    assert "'DejaVu Sans', Verdana, sans-serif" in plots.to_svg(STEPS)


def test_of_pairs_the_legend_names_the_arms_once():
    pairs = of(*(dataclasses.replace(line(1.0, 2.0, name=f'performance {i} {arm}'),
                                     family=f'{arm} arm')
                 for i in range(9) for arm in ('old', 'new')))
    assert [text for text in texts(pairs) if 'arm' in text] == ['old arm', 'new arm']


def test_a_history_has_days_below_it_in_utc():
    assert any(re.match(r'\d{4}-Jan', text) for text in texts(DAYS))
    alone = dataclasses.replace(DAYS, lines=(Line('one', DAYS.lines[0].x[:1], (32.0,), 'points'),),
                                marks=())
    assert not any('2025' in text or '2027' in text for text in texts(alone))   # a day, no years


def test_a_gap_is_no_line():
    whole, gap = (pixels(of(line(1.0, 2.0, between, 2.0, 1.0))) for between in (2.0, None))
    assert whole.tobytes() != gap.tobytes()


def test_a_logarithmic_axis_has_plain_numbers():
    assert {'1', '10', '100'} <= set(texts(of(line(0.9, 10.0, 110.0), log_y=True)))


# --- what is shown of the y axis ------------------------------------------------------------------

def test_the_first_steps_do_not_flatten_the_others_and_are_told():
    shown = window(STEPS)
    assert 240 < shown.low < 245 and 260 < shown.high < 270
    assert shown.above == (5000.0, 510.0)
    assert '▲ 2 points above, to 5000' in texts(STEPS)


def test_a_step_far_from_the_rest_does_not_flatten_them_and_is_told():
    chart = of(line(*[250.0, 252.0, 249.0, 251.0] * 5, 9000.0))
    assert window(chart).high < 300
    assert '▲ 1 point above, to 9000' in texts(chart)


def test_of_a_history_every_run_is_shown():
    chart = of(line(*[32.0, 32.1] * 10, 5.0, style='points'))
    assert window(chart).low < 5 and not window(chart).below
    assert not any('point' in text for text in texts(chart))


def test_what_is_expected_is_always_shown():
    chart = of(line(32.0, 32.1), bands=(Band('baseline', (0.0, 1.0), (40.0, 40.0), (41.0, 41.0)),))
    assert window(chart).high > 41


@pytest.mark.parametrize('y', [(0.0, 0.0), (5.0,), (None, 3.0, None), (1e-9, 1e-9)])
def test_values_that_do_not_differ_have_room_around_them(y):
    shown = window(of(line(*y)))
    known = [value for value in y if value is not None]
    assert shown.low < min(known) and shown.high > max(known)


def test_where_all_is_warm_up_all_is_shown():
    chart = of(line(5000.0, 250.0), spans=(Span('warm-up', 0, 10),))
    assert window(chart).high > 5000


# --- names from elsewhere -------------------------------------------------------------------------

@pytest.mark.parametrize('name', [
    '<script>alert(1)</script>', 'a $x^2$ b', '$', r'\frac{', '_hidden', '中文', 'two\nlines',
    '&amp;'])
def test_a_name_from_elsewhere_is_only_a_name(name):
    found = texts(of(line(1.0, 2.0, name=name)))
    assert ' '.join(name.split()) in found


def test_a_long_name_is_cut():
    assert max(map(len, texts(of(line(1.0, 2.0, name='x' * 1000))))) == 80


# --- the library ----------------------------------------------------------------------------------

def test_no_other_command_waits_for_the_library_to_load():
    code = ('import sys, harness.run_all, harness.__main__\n'
            'print([m for m in sys.modules if m == "matplotlib"])')
    done = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE,
                          text=True, cwd=str(plots.ROOT))
    assert done.stdout == '[]\n'


def test_a_home_that_cannot_be_written_makes_no_noise(tmp_path):
    code = ('from harness.report import plots\n'
            'from harness.report.charts import Chart, Line\n'
            'plots.to_png(Chart("id", "t", "x", "y", "", (Line("a", (1.0,), (1.0,)),)))')
    done = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, cwd=str(plots.ROOT),
                          env={'HOME': '/proc/none', 'MPLCONFIGDIR': '/proc/none'})
    assert (done.returncode, done.stdout) == (0, '')
