# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: what a reader does with it.  Screenshots go to .cache/screenshots."""

import base64
import dataclasses
import io
import json
import math
import os
import random
from pathlib import Path

import pytest
from PIL import Image
from samples import FACTS, PSNRS, baseline, case, record, session

from harness.history import Entry
from harness.judge import summarize
from harness.records import PSNR, SPEED, Detail, Picture, Status
from harness.report import content, page
from harness.report.charts import Band, Chart, Line, Mark, Span
from harness.report.chinese import to_chinese
from harness.report.curves import session_charts
from harness.report.trends import history_charts

webdriver = pytest.importorskip('selenium.webdriver')
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

PROGRAMS = ('/usr/bin/chromium', '/usr/bin/chromedriver')
pytestmark = pytest.mark.skipif(
    not all(map(os.path.exists, PROGRAMS)),
    reason=f'needs {" and ".join(PROGRAMS)}: apt-get install chromium chromium-driver')

SCREENSHOTS = Path(__file__).resolve().parents[2] / '.cache/screenshots'
HOSTILE = '</script><img src=x onerror=alert(1)>'
# Two rows of LR, bicubic, RCAN and HR, each a colour of its own.
COLOURS = [[(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)],
           [(10, 10, 10), (90, 90, 90), (150, 150, 150), (240, 240, 240)]]
LAYOUT = Picture(20, 4, (Detail('first.png', (24.1, 26.9, 28.44, None)),
                         Detail('second.png', (20.3, 22.76, 23.31, None))))
STEPS = tuple(range(1, 101))
CHART = Chart(
    'steps-performance', 'Step time', 'step', 'step time, ms', 'Steady is good.',
    (Line('one', STEPS, tuple(500 + i % 7 for i in range(100)),
          notes=tuple(f'commit {i}' for i in range(100))),
     Line('two', STEPS, (600.125,) * 100),
     Line('limit', (1, 100), (650, 650), 'dashed')),
    bands=(Band('expected', (1, 100), (510, 510), (520, 520)),),
    spans=(Span('warm-up', 1, 10),), marks=(Mark('a change', 50),))
TIMES = Chart('history-full', 'History', 'day', 'PSNR, dB', 'All runs.', (Line(
    'full', (1767322800.0, 1767409200.0), (31.5, 32.25), 'points'),), x_is_time=True)


# --- the pages ------------------------------------------------------------------------------------

def entries(count):
    """Runs of two cases in turn, one an hour, the last the newest."""
    draw = random.Random(1)
    return [Entry(f's{i}-{name}-1', f's{i}', name, metric, unit, draw.gauss(32, 0.1), '',
                  f'{i:012x}', 1767322800.0 + 3600 * i, 61.5 + i, match)
            for i in range(count) for name, metric, unit, match in
            [(('performance', 'images_per_s', 'images/s', 'aaaa'),
              ('full', 'psnr_db', 'dB', 'bbbb'))[i % 2]]]


def png():
    """A picture in LAYOUT, of one colour a square."""
    step = LAYOUT.side_px + LAYOUT.gap_px
    image = Image.new('RGB', (4 * step - LAYOUT.gap_px, 2 * step - LAYOUT.gap_px), 'white')
    for y, row in enumerate(COLOURS):
        for x, colour in enumerate(row):
            image.paste(colour, (x * step, y * step, x * step + 20, y * step + 20))
    out = io.BytesIO()
    image.save(out, 'PNG')
    return out.getvalue()


PHOTOS = Path(__file__).resolve().parents[1] / 'photos/DIV2K_valid_HR'
LOOK = Picture(192, 4, (Detail('0801.png', (23.02, 25.62, 26.41, None)),
                        Detail('0804.png', (28.35, 31.2, 32.08, None))))


def look_png():
    """A picture in LOOK, of photographs; between bicubic and the original stands in for RCAN."""
    sheet = Image.new('RGB', (4 * 196 - 4, 2 * 196 - 4), 'white')
    for y, detail in enumerate(LOOK.rows):
        with Image.open(str(PHOTOS / detail.image)) as photo:
            hr = photo.convert('RGB').crop((200, 120, 296, 216))
        small = hr.resize((48, 48), Image.BICUBIC)
        bicubic = small.resize(hr.size, Image.BICUBIC)
        for x, image in enumerate((small, bicubic, Image.blend(bicubic, hr, 0.4), hr)):
            sheet.paste(image.resize((192, 192), Image.NEAREST), (x * 196, y * 196))
    out = io.BytesIO()
    sheet.save(out, 'PNG')
    return out.getvalue()


def said(**changes):
    judged = summarize(session(case(), baselines=[baseline()]), [record(28.0)])
    return dataclasses.replace(content.of(judged), picture=content.RunPicture(
        'full', 1, 'runs/x/comparison.png', LAYOUT), **changes)


def html(charts=(CHART, TIMES), count=3, translate=to_chinese, **changes):
    return page.to_html(said(**changes), charts, entries(count), png(), translate)


def regression():
    """A page as it comes out of a session: five runs of each case, three hundred before."""
    draw = random.Random(2)

    def run(metric, value, index):
        made = record(value, metric, index)
        measured = dataclasses.replace(
            made.measurement, steps=200, first_counted_step=24,
            step_seconds=(0.9, *(16 / 28 * draw.gauss(1, 0.01) for _ in range(199))),
            losses=tuple(4.5 + 50 * math.exp(-i / 9) + draw.gauss(0, 0.2) for i in range(200)),
            picture=LOOK)
        return dataclasses.replace(made, measurement=measured, outcome=dataclasses.replace(
            made.outcome, picture_path='comparison.png'))

    old = dataclasses.replace(baseline(), environment={**FACTS, 'tensorflow': '1.15.5'})
    judged = summarize(
        session(case(), case(PSNR), baselines=[old, baseline(PSNRS, PSNR)]),
        [run(metric, draw.gauss(mean, 0.02), i) for i in range(1, 6)
         for metric, mean in ((SPEED, 28), (PSNR, 32))])
    past = entries(300)
    charts = (*session_charts(judged), *history_charts(past, {('full', 'bbbb'): baseline(
        PSNRS, PSNR)}))
    return page.to_html(content.of(judged), charts, past, look_png(), to_chinese)


# --- the browser ----------------------------------------------------------------------------------

class Browser:
    """Chromium with a page open."""

    def __init__(self, driver, folder):
        self.driver, self.path = driver, folder / 'index.html'

    def open(self, text):
        """Show a page for the first time, on a light desktop that reads English."""
        self.path.write_text(text, encoding='utf-8')
        self.look(1280, 900)
        self.speak('en-US')
        self.driver.get(self.path.as_uri())
        self.run('localStorage.clear()')
        for log in ('browser', 'performance'):
            self.driver.get_log(log)
        self.driver.refresh()

    def look(self, width, height, dark=False):
        """Make the window this large, in CSS pixels, and the system light or dark."""
        self.cdp('Emulation.setDeviceMetricsOverride', width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 600)
        self.cdp('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'},
            {'name': 'prefers-reduced-motion', 'value': 'reduce'}])

    def speak(self, language):
        """What the browser is set to, for the pages that are opened next."""
        self.cdp('Emulation.setUserAgentOverride', acceptLanguage=language,
                 userAgent=self.run('return navigator.userAgent'))

    def cdp(self, command, **arguments):
        return self.driver.execute_cdp_cmd(command, arguments)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        """The first such element, in the middle of the window."""
        found = self.driver.find_element('css selector', selector)
        self.run('arguments[0].scrollIntoView({block: "center"})', found)
        return found

    def texts(self, selector):
        return [e.text for e in self.driver.find_elements('css selector', selector)]

    def until(self, script):
        """Wait until a script returns something true, and return that."""
        return WebDriverWait(self.driver, 20).until(lambda _: self.run(f'return {script}'))

    def keys(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def chart(self, id='steps-performance'):
        """Bring a chart into view, and wait until it is drawn."""
        self.find(f'#{id} .plot')
        self.until(f'document.querySelector("#{id} canvas") && drawn.every(p => p.status)')
        return self.find(f'#{id} .u-over')

    def point(self, x, y):
        """Where a point of the first chart is, from the middle of its plot."""
        return self.run('''
            const plot = drawn[0], {clientWidth, clientHeight} = plot.over;
            return [Math.round(plot.valToPos(arguments[0], 'x') - clientWidth / 2),
                    Math.round(plot.valToPos(arguments[1], 'y') - clientHeight / 2)]''', x, y)

    def x_range(self):
        return self.run('const {min, max} = drawn[0].scales.x; return [min, max]')

    def pixel(self, share):
        """The colour of the comparison, at this share of its width."""
        return tuple(self.run('''
            const canvas = document.querySelector('.wipe canvas');
            return [...canvas.getContext('2d').getImageData(
                arguments[0] * canvas.width, 9, 1, 1).data].slice(0, 3)''', share))

    def complaints(self):
        return [entry['message'] for entry in self.driver.get_log('browser')]

    def requests(self):
        """The addresses of all that was asked for."""
        messages = [json.loads(entry['message'])['message']
                    for entry in self.driver.get_log('performance')]
        return [m['params']['request']['url'] for m in messages
                if m['method'] == 'Network.requestWillBeSent']

    def screenshot(self, name):
        """Keep the whole page as a picture, and return that."""
        height = self.run('return document.documentElement.scrollHeight')
        taken = base64.b64decode(self.cdp(
            'Page.captureScreenshot', format='png', captureBeyondViewport=True)['data'])
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (SCREENSHOTS / f'{name}.png').write_bytes(taken)
        image = Image.open(io.BytesIO(taken))
        assert image.height == height
        return image.convert('RGB')


@pytest.fixture(scope='module')
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAMS[0]
    for flag in ('headless=new', 'no-sandbox', 'disable-gpu', 'disable-quic', 'no-first-run',
                 'disable-background-networking', 'disable-component-update', 'disable-sync',
                 f'user-data-dir={tmp_path_factory.mktemp("profile")}'):
        options.add_argument(f'--{flag}')
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    with open(os.devnull, 'wb') as log:   # one of our own: what it opens itself stays open
        service = webdriver.chrome.service.Service(PROGRAMS[1], log_output=log)
        with webdriver.Chrome(service=service, options=options) as driver:
            yield driver


@pytest.fixture
def browser(chromium, tmp_path):
    browser = Browser(chromium, tmp_path)
    browser.open(html())
    return browser


# --- tables ---------------------------------------------------------------------------------------

VALUES = content.Table(('run', 'value'), (
    ('a', '9.5 ± 0.1 ms'), ('b', '-'), ('c', '10.2 ± 0.1 ms'), ('d', '-3.0 ms'), ('e', '')))


def test_a_table_is_sorted_by_its_numbers_and_what_is_missing_comes_last(browser):
    browser.open(html(metrics=VALUES))
    head = '#metrics th:nth-child(2)'
    browser.find(f'{head} button').click()
    assert browser.texts('#metrics td:first-child') == ['d', 'a', 'c', 'b', 'e']
    assert browser.find(head).get_attribute('aria-sort') == 'ascending'
    browser.keys(Keys.ENTER)   # it is a button
    assert browser.texts('#metrics td:first-child') == ['c', 'a', 'd', 'b', 'e']
    assert browser.find(head).get_attribute('aria-sort') == 'descending'
    browser.find('#metrics th:nth-child(1) button').click()
    assert browser.texts('#metrics td:first-child') == list('abcde')
    assert browser.find(head).get_attribute('aria-sort') is None


def test_names_with_numbers_are_sorted_as_people_count(browser):
    runs = content.Table(('run',), tuple((f'full {i}',) for i in (2, 10, 1)))
    browser.open(html(metrics=runs))
    browser.find('#metrics th button').click()
    assert browser.texts('#metrics td') == ['full 1', 'full 2', 'full 10']


def test_all_runs_can_be_sorted_filtered_and_shown_to_the_last(browser):
    browser.open(html(count=450))
    assert browser.texts('#runs tr:nth-child(-n+3) td:last-child') == [
        's449-full-1', 's448-performance-1', 's447-full-1']
    assert browser.texts('.filter output') == ['200', '450']
    browser.find('#more').click()
    browser.find('#more').click()
    assert browser.texts('.filter output') == ['450', '450']
    assert not browser.find('#more').is_displayed()
    Select(browser.find('#case')).select_by_visible_text('performance')
    assert browser.texts('.filter output') == ['225', '225']
    browser.find('#runs th:nth-child(7) button').click()   # wall time: 61.5 s, 63.5 s, ...
    assert browser.texts('#runs tr:nth-child(-n+2) td:last-child') == [
        's0-performance-1', 's2-performance-1']


# --- charts ---------------------------------------------------------------------------------------

def hover(browser, x, y):
    over = browser.chart()
    left, top = browser.point(x, y)
    ActionChains(browser.driver).move_to_element(over).move_to_element_with_offset(
        over, left, top).perform()
    browser.until('!document.querySelector(".tip").hidden')
    return browser.texts('.tip > *')


def test_hovering_tells_the_nearest_point_exactly_with_its_note(browser):
    assert hover(browser, 60, 503) == ['one', 'step: 60', 'step time, ms: 503', 'commit 59']
    assert hover(browser, 60, 603) == ['two', 'step: 60', 'step time, ms: 600.125']


def test_a_point_in_time_is_told_in_utc(browser):
    browser.chart('history-full')
    browser.find('#history-full .plot').send_keys(Keys.ARROW_RIGHT)
    assert browser.texts('#history-full .tip span')[0] == 'day: 2026-01-02 03:00 UTC'


def test_a_first_step_twenty_times_as_long_does_not_flatten_the_others(browser):
    slow = dataclasses.replace(CHART, bands=(), marks=(), lines=(
        dataclasses.replace(CHART.lines[0], y=(10000.0, *CHART.lines[0].y[1:])),))
    browser.open(html(charts=(slow,)))
    browser.chart()
    (_, low), (_, high) = browser.point(60, 506), browser.point(60, 500)
    assert high - low > 50   # pixels, of some 200
    browser.find('[data-do=in]').click()
    browser.find('[data-do=reset]').click()
    assert browser.point(60, 500)[1] == high


def test_dragging_zooms_in_and_a_double_click_shows_all_again(browser):
    over = browser.chart()
    assert browser.x_range() == [1, 100]
    left, _ = browser.point(20, 500)
    right, _ = browser.point(40, 500)
    ActionChains(browser.driver).move_to_element_with_offset(over, left, 0).click_and_hold(
    ).move_by_offset(right - left, 0).release().perform()
    assert browser.x_range() == pytest.approx([20, 40], abs=0.5)
    ActionChains(browser.driver).double_click(over).perform()
    browser.until('drawn[0].scales.x.max === 100')
    assert browser.x_range() == [1, 100]


def test_a_chart_is_zoomed_and_reset_by_buttons_and_by_keys(browser):
    browser.chart()
    browser.find('[data-do="in"]').click()
    low, high = browser.x_range()
    assert 1 < low < 50.5 < high < 100
    browser.find('[data-do="reset"]').click()
    assert browser.x_range() == [1, 100]
    browser.find('.plot').send_keys('++')
    assert browser.x_range()[0] > low
    browser.keys('-')
    assert browser.x_range() == pytest.approx([low, high])
    browser.keys('0')
    assert browser.x_range() == [1, 100]


def test_the_arrow_keys_go_from_point_to_point_and_from_line_to_line(browser):
    browser.chart()
    browser.find('.plot').send_keys(Keys.ARROW_RIGHT)
    assert browser.texts('.tip > *') == ['one', 'step: 1', 'step time, ms: 500', 'commit 0']
    browser.keys(Keys.ARROW_RIGHT)
    assert browser.texts('.tip > *') == ['one', 'step: 2', 'step time, ms: 501', 'commit 1']
    browser.keys(Keys.ARROW_DOWN)
    assert browser.texts('.tip > *') == ['two', 'step: 2', 'step time, ms: 600.125']
    browser.keys(Keys.ARROW_UP, Keys.ARROW_LEFT)
    assert browser.texts('.tip > *')[:2] == ['one', 'step: 1']
    browser.keys(Keys.ESCAPE)
    assert not browser.find('.tip').is_displayed()


def test_a_run_is_hidden_and_shown_in_the_legend(browser):
    assert hover(browser, 60, 600)[0] == 'two'
    button = browser.find('.legend button:nth-child(2)')
    assert (button.text, button.get_attribute('aria-pressed')) == ('two', 'true')
    button.click()
    assert button.get_attribute('aria-pressed') == 'false'
    assert hover(browser, 60, 600)[0] == 'one'
    browser.find('.legend button:nth-child(2)').send_keys(Keys.ENTER)
    assert hover(browser, 60, 600)[0] == 'two'


def drawing(browser):
    """What the first chart looks like."""
    browser.chart()
    return browser.run('return document.querySelector("canvas").toDataURL()')


def test_bands_spans_and_marks_are_drawn(browser):
    def drawn(**without):
        browser.open(html(charts=[dataclasses.replace(CHART, **without)]))
        return drawing(browser)
    whole = drawn()
    assert drawn() == whole
    pictures = {drawn(bands=()), drawn(spans=()), drawn(marks=())}
    assert len(pictures) == 3 and whole not in pictures
    browser.open(html())
    browser.chart()
    assert browser.texts('.legend button') == ['one', 'two', 'limit', 'expected']


def test_a_chart_changes_with_the_language_and_with_dark_mode(browser):
    def changed(change):
        before = drawing(browser)
        change()
        browser.until(f'document.querySelector("canvas").toDataURL() !== {json.dumps(before)}')
        after = drawing(browser)
        browser.driver.refresh()
        assert drawing(browser) == after   # as if it had been so from the beginning
    changed(browser.find('.language [lang="zh-CN"]').click)
    changed(lambda: browser.look(1280, 900, dark=True))


# --- the picture ----------------------------------------------------------------------------------

def shown(browser):
    """The colours on both sides of the border, and what is written below."""
    browser.find('.wipe')
    return browser.pixel(0.02), browser.pixel(0.98), browser.texts('.shown output')


def test_at_first_bicubic_stands_beside_rcan(browser):
    browser.until('document.querySelector(".shown output").textContent')
    assert shown(browser) == (*COLOURS[0][1:3], ['bicubic 26.90 dB', 'RCAN 28.44 dB'])
    assert (browser.pixel(0.45), browser.pixel(0.55)) == tuple(COLOURS[0][1:3])


def test_another_image_and_other_columns_are_chosen(browser):
    Select(browser.find('.compare select')).select_by_visible_text('second.png')
    browser.find('.left label:nth-of-type(1)').click()
    browser.find('.right label:nth-of-type(4)').click()
    assert shown(browser) == (COLOURS[1][0], COLOURS[1][3], ['LR 20.30 dB', 'HR'])
    browser.keys(Keys.ARROW_LEFT)   # they are radio buttons
    assert shown(browser)[2] == ['LR 20.30 dB', 'RCAN 23.31 dB']


def test_the_border_moves_by_keyboard(browser):
    browser.find('.slider input').send_keys(Keys.HOME)
    assert browser.pixel(0.02) == browser.pixel(0.98) == COLOURS[0][2]
    browser.keys(*[Keys.ARROW_RIGHT] * 20)
    assert (browser.pixel(0.15), browser.pixel(0.25)) == tuple(COLOURS[0][1:3])
    browser.keys(Keys.END)
    assert browser.pixel(0.02) == browser.pixel(0.98) == COLOURS[0][1]


def test_the_border_follows_the_pointer(browser):
    wipe = browser.find('.wipe')
    quarter = wipe.size['width'] // 4
    ActionChains(browser.driver).move_to_element(wipe).click_and_hold().move_by_offset(
        quarter, 5).release().move_by_offset(-quarter, 0).perform()
    assert (browser.pixel(0.7), browser.pixel(0.8)) == tuple(COLOURS[0][1:3])
    assert browser.find('.slider input').get_attribute('value') == '75'


# --- language -------------------------------------------------------------------------------------

def test_the_language_is_switched_and_remembered(browser):
    assert browser.texts('#why h2') == ['Why']
    browser.find('.language [lang="zh-CN"]').click()
    for _ in range(2):
        assert browser.find('html').get_attribute('lang') == 'zh-CN'
        assert browser.texts('#why h2') == ['原因']
        assert browser.driver.title == to_chinese('REGRESSION: RCAN on cpu 0')
        assert browser.texts('.language [aria-pressed="true"]') == ['中文']
        browser.driver.refresh()
    browser.find('.language [lang="en"]').click()
    browser.driver.refresh()
    assert browser.texts('#why h2') == ['Why']


def test_the_browsers_language_is_spoken_at_first(browser):
    browser.speak('zh-CN')
    browser.driver.refresh()
    assert browser.texts('#why h2') == ['原因']
    browser.speak('fr')
    browser.driver.refresh()
    assert browser.texts('#why h2') == ['Why']


# --- for everybody --------------------------------------------------------------------------------

def test_the_keyboard_skips_to_the_report_and_always_sees_where_it_is(browser):
    browser.keys(Keys.TAB)
    skip = browser.driver.switch_to.active_element
    assert skip.get_attribute('href').endswith('#main') and skip.rect['x'] >= 0
    browser.keys(Keys.TAB)
    outline = browser.driver.switch_to.active_element.value_of_css_property('outline-style')
    assert outline == 'solid'


def test_a_command_is_copied(browser):
    browser.cdp('Browser.grantPermissions', permissions=['clipboardReadWrite'])
    browser.find('.copy').click()
    browser.until('document.querySelector(".copy [role=status]").hidden === false')
    copied = browser.run('return navigator.clipboard.readText()')
    assert copied == browser.find('.advice .command').text
    assert copied.startswith('python harness/run_all.py')


def test_without_scripts_all_is_there_to_be_read(browser):
    browser.cdp('Emulation.setScriptExecutionDisabled', value=True)
    browser.driver.refresh()
    text = browser.find('main').text
    picture = browser.find('#steps-performance a').get_attribute('href')
    browser.cdp('Emulation.setScriptExecutionDisabled', value=False)
    for words in (*(row[5] for row in said().gates.rows), said().reasons[0].text,
                  said().trust[-1], 'tensorflow', 'The interactive chart needs JavaScript.'):
        assert words in text
    assert '原因' not in text and 'Zoom in' not in text and 'Show more' not in text
    assert picture == (browser.path.parent / 'plots/steps-performance.png').as_uri()


def test_hostile_text_stays_text(browser):
    table = content.Table((HOSTILE,), ((HOSTILE,),))
    chart = dataclasses.replace(
        CHART, title=HOSTILE, lines=(Line(HOSTILE, (1, 2), (3, 4), notes=(HOSTILE,) * 2),),
        bands=(Band(HOSTILE, (1, 2), (3, 4), (4, 5)),), marks=(Mark(HOSTILE, 1),))
    bad = [dataclasses.replace(e, run=HOSTILE, case=HOSTILE, fault=HOSTILE) for e in entries(1)]
    browser.open(page.to_html(said(
        title=HOSTILE, sentence=HOSTILE, gates=table, metrics=table, environment=table,
        reasons=(content.Reason(HOSTILE, Status.PASS, HOSTILE),), remarks=(HOSTILE,),
        advice=(content.Advice(HOSTILE, f'`{HOSTILE}`'),), trust=(HOSTILE,),
        failures=(content.Failure(HOSTILE, HOSTILE, (HOSTILE,)),),
        runs=(content.RunFiles(HOSTILE, (HOSTILE,)),)), [chart], bad, png(),
        lambda text: f'{text} 中文'))
    browser.chart()
    browser.find('.plot').send_keys(Keys.ARROW_RIGHT)
    assert browser.texts('.tip > *')[-1] == HOSTILE
    assert browser.texts('#runs td:last-child') == [HOSTILE]
    browser.find('.language [lang="zh-CN"]').click()
    assert browser.driver.title == f'{HOSTILE} 中文'
    assert browser.run('return [...document.images].map(i => i.src.slice(0, 5))') == ['data:']
    assert browser.run('return document.scripts.length') == 4
    assert browser.complaints() == []


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser):
    browser.chart()
    browser.chart('history-full')
    asked = [url for url in browser.requests() if not url.startswith('data:')]
    assert set(asked) == {browser.path.as_uri()}
    assert browser.complaints() == []


@pytest.mark.parametrize('name,width,dark,language', [
    ('light', 1280, False, 'en'), ('dark', 1280, True, 'en'), ('phone', 360, False, 'en'),
    ('chinese', 1280, False, 'zh-CN')])
def test_the_page_looks_right(browser, name, width, dark, language):
    browser.open(regression())
    browser.look(width, 900, dark)
    browser.find(f'.language [lang="{language}"]').click()
    browser.look(width, browser.run('return document.documentElement.scrollHeight'), dark)
    browser.until('drawn.length >= 4 && drawn.every(p => p.status)')
    browser.run('scrollTo(0, 0)')
    paper = browser.screenshot(name).getpixel((2, 2))
    assert paper == ((17, 20, 24) if dark else (255, 255, 255))
    assert browser.run('return document.documentElement.scrollWidth') == width
    assert browser.complaints() == []
