// SPDX-License-Identifier: Apache-2.0
// What the page does beyond being read: it switches the language, sorts, zooms and compares.
'use strict';

const root = document.documentElement;
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const byId = id => document.getElementById(id);
const data = id => JSON.parse(byId(id).textContent);

// --- language: chosen in the head, before anything is painted ------------------------------------

const LANGUAGES = ['en', 'zh-CN'];
const REMEMBERED = 'report-language';

root.classList.add('js');
root.lang = LANGUAGES.includes(remembered()) ? remembered()
  : navigator.language.startsWith('zh') ? 'zh-CN' : 'en';

function remembered() {
  try { return localStorage.getItem(REMEMBERED); } catch { return null; }   // it may be forbidden
}

function remember(language) {
  try { localStorage.setItem(REMEMBERED, language); } catch { /* then only this once */ }
}

function speak(language) {
  root.lang = language;
  // Where no element fits, in titles and options, both languages are attributes.
  for (const e of all('[data-zh]')) e.textContent = language === 'en' ? e.dataset.en : e.dataset.zh;
  for (const b of all('.language button')) b.setAttribute('aria-pressed', b.lang === language);
  drawAgain();
}

// A text from the data is a string, or a pair where the languages differ.
const inWords = text => typeof text === 'string' ? text : text[LANGUAGES.indexOf(root.lang)];

function nodes(text) {
  if (typeof text === 'string') return [document.createTextNode(text)];
  return text.map((words, i) => Object.assign(element('span', words), {lang: LANGUAGES[i]}));
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

// --- tables --------------------------------------------------------------------------------------

const collator = new Intl.Collator(undefined, {numeric: true});
const NUMBER = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?(?=$|[\s%])/i;
const MISSING = ['', '-', null];

// Put a button into each head; sort(column, sign) is called with 1, and with -1 where it falls.
function makeSortable(table, sort) {
  const heads = all('thead th', table);
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = element('button', ...head.childNodes);
    button.type = 'button';
    head.append(button);
    button.addEventListener('click', () => {
      const falls = head.getAttribute('aria-sort') === 'ascending';
      for (const other of heads) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', falls ? 'descending' : 'ascending');
      sort(column, falls ? -1 : 1);
    });
  });
}

function sortRows(table, column, sign) {
  const body = table.tBodies[0];
  const keyed = [...body.rows].map(row => [shownText(row.cells[column]), row]);
  const order = comparison(keyed.map(([key]) => key), sign);
  body.append(...keyed.sort(([a], [b]) => order(a, b)).map(([, row]) => row));
}

function shownText(cell) {
  return (cell.querySelector(`[lang="${root.lang}"]`) || cell).textContent.trim();
}

// How to order these keys: as numbers where all are, whatever their units; the missing come last.
function comparison(keys, sign) {
  const there = keys.filter(key => !MISSING.includes(key));
  const numbers = there.every(key => typeof key === 'number' || NUMBER.test(key));
  const compare = numbers ? (a, b) => parseFloat(a) - parseFloat(b) : collator.compare;
  return (a, b) => MISSING.includes(a) - MISSING.includes(b)
    || (MISSING.includes(a) ? 0 : sign * compare(a, b));
}

// --- the table of all runs: from columns, for there may be ten thousand --------------------------

const AT_ONCE = 200;

function showRuns(table, runs) {
  const word = name => i => runs.words[name].of[runs.words[name].at[i]];
  const measured = i => runs.value[i] === null ? '-' : `${runs.value[i]} ${word('unit')(i)}`;
  const cells = [i => utc(runs.started[i]), word('case'), word('metric'), measured, word('fault'),
                 word('commit'), i => `${runs.wall[i]} s`, i => word('match')(i).slice(0, 12),
                 word('run')];
  const keys = cells.map(cell => i => inWords(cell(i)));
  keys[0] = i => runs.started[i];
  keys[3] = i => runs.value[i];
  keys[6] = i => runs.wall[i];
  let rows = runs.started.map((_, i) => i);
  let most = AT_ONCE;

  function show() {
    const chosen = byId('case').value;
    const found = chosen ? rows.filter(i => word('case')(i) === chosen) : rows;
    const shown = found.slice(0, most);
    table.tBodies[0].replaceChildren(...shown.map(i => element(
      'tr', ...cells.map(cell => element('td', ...nodes(cell(i)))))));
    byId('shown-runs').textContent = shown.length;
    byId('all-runs').textContent = found.length;
    byId('more').hidden = shown.length === found.length;
  }

  makeSortable(table, (column, sign) => {
    const keyed = rows.map(i => [keys[column](i), i]);
    const order = comparison(keyed.map(([key]) => key), sign);
    rows = keyed.sort(([a], [b]) => order(a, b)).map(([, i]) => i);
    show();
  });
  table.tHead.rows[0].cells[0].setAttribute('aria-sort', 'descending');
  byId('case').addEventListener('change', show);
  byId('more').addEventListener('click', () => { most += AT_ONCE; show(); });
  show();
}

const utc = seconds => new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ');

// --- charts --------------------------------------------------------------------------------------

const HUES = 6;                    // --hue-0 ... in page.css
const NAME_ROWS = 3;               // of marks and spans, above the data
const REACH = 1 / 1.6;             // of the x axis, that remains after zooming in
const WHOLE = [0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap(n => [1, 2, 5].map(d => d * 10 ** n));
const drawn = [];
const css = name => getComputedStyle(root).getPropertyValue(name);
const font = size => `${size * devicePixelRatio}px system-ui, sans-serif`;

function drawAgain() {
  for (const chart of drawn) chart.redraw(false);
}

function drawChart(figure, chart) {
  const box = figure.querySelector('.plot');
  const series = [...bandSeries(chart), ...lineSeries(chart)];
  const first = 1 + 2 * chart.bands.length;      // of the lines: 0 is the x axis
  const values = series.flatMap(s => s.columns ? s.columns.slice(1).flat() : [])
    .filter(y => y !== null);
  const [lowest, highest] = [values.reduce((a, b) => Math.min(a, b), Infinity),
                             values.reduce((a, b) => Math.max(a, b), -Infinity)];
  const size = () => ({width: box.clientWidth, height: box.clientHeight});
  const plot = new uPlot({
    ...size(),
    series: [{}, ...series.map(s => s.options)],
    bands: chart.bands.map((_, i) => ({series: [2 + 2 * i, 1 + 2 * i], fill: () => css('--band')})),
    scales: {x: {time: chart.time}, y: {distr: chart.log ? 3 : 1, ...(chart.window && {
      range: (u, low, high) => low <= lowest && high >= highest ? chart.window
        : uPlot.rangeNum(low, high, 0.1, true)})}},
    axes: [axis({size: 28, space: chart.time ? 80 : 60, ...(chart.time ? {values: days} : {incrs: WHOLE})}),
           axis({size: widthOfLabels})],
    legend: {show: false},
    cursor: {points: {show: false}, drag: {x: true, y: true, uni: 40}},
    focus: {alpha: 0.2},
    tzDate: seconds => uPlot.tzDate(new Date(seconds * 1000), 'UTC'),
    hooks: {drawClear: [u => shade(u, chart.spans)],
            draw: [u => mark(u, chart), u => tellHidden(u, values)]},
  }, uPlot.join(series.filter(s => s.columns).map(s => s.columns)), box);
  drawn.push(plot);
  new ResizeObserver(() => {
    if (plot.width !== box.clientWidth) plot.setSize(size());
  }).observe(box);
  makeLegend(figure, chart, plot, first);
  makeZoom(figure, box, plot);
  makePointer(figure, box, chart, plot, first);
}

function axis(more) {
  return {stroke: () => css('--muted'), font: '11px system-ui, sans-serif',
          grid: {stroke: () => css('--line'), width: 1}, ticks: {show: false}, ...more};
}

function widthOfLabels(u, labels) {
  return 14 + 6.5 * Math.max(0, ...(labels || []).map(label => String(label ?? '').length));
}

// Days and times that mean the same in every language.
function days(u, seconds, axis, space, step) {
  return seconds.map(s => step < 86400 ? utc(s).slice(5) : utc(s).slice(0, 10));
}

function lineSeries(chart) {
  return chart.lines.map(line => {
    const limit = line.style === 'dashed';
    line.colour = limit ? '--muted' : `--hue-${line.hue % HUES}`;
    if (chart.log) line.y = line.y.map(y => y > 0 ? y : null);
    return {columns: [chart.axes[line.x], line.y], options: {
      stroke: () => css(line.colour), width: 1.5, spanGaps: false, dash: limit ? [6, 4] : [],
      ...(limit && {points: {show: false}}),
      ...(line.style === 'points' && {paths: () => null, points: {
        show: true, size: 6, width: 0, fill: () => css(line.colour)}})}};
  });
}

// Both edges are series of their own, without a stroke, so that the y axis has room for them.
function bandSeries(chart) {
  return chart.bands.flatMap(band => {
    const options = {width: 0, points: {show: false}};
    return [{options, columns: [chart.axes[band.x], band.low, band.high]}, {options}];
  });
}

function clipped(u, paint) {
  const {ctx, bbox} = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  paint(ctx, bbox);
  ctx.restore();
}

function shade(u, spans) {
  clipped(u, (ctx, bbox) => {
    ctx.fillStyle = css('--span');
    for (const [, first, last] of spans) {
      const [from, to] = [first, last].map(x => u.valToPos(x, 'x', true));
      ctx.fillRect(from, bbox.top, to - from, bbox.height);
    }
  });
}

function mark(u, {spans, marks}) {
  clipped(u, (ctx, bbox) => {
    ctx.strokeStyle = css('--mark');
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const [, x] of marks) {
      const at = Math.round(u.valToPos(x, 'x', true)) + 0.5;
      ctx.stroke(new Path2D(`M${at} ${bbox.top}V${bbox.top + bbox.height}`));
    }
    writeNames(u, ctx, bbox, [...spans, ...marks]);
  });
}

// From left to right, each in the first row that is free where it begins.
function writeNames(u, ctx, bbox, named) {
  const [row, gap] = [14 * devicePixelRatio, 4 * devicePixelRatio];
  const ends = [];
  ctx.font = font(11);
  [ctx.textAlign, ctx.textBaseline] = ['left', 'top'];
  for (const [name, x] of [...named].sort((a, b) => a[1] - b[1])) {
    const at = Math.max(u.valToPos(x, 'x', true), bbox.left);
    if (x > u.scales.x.max) continue;
    const free = ends.findIndex(end => end < at);
    const level = free < 0 ? ends.length : free;
    if (level === NAME_ROWS) continue;  // its line is there; closer by, there is room
    const [top, width] = [bbox.top + gap + level * row, ctx.measureText(inWords(name)).width];
    ctx.fillStyle = css('--paper');     // what is below may be dense
    ctx.fillRect(at + gap / 2, top, width + gap, row);
    ctx.fillStyle = css('--mark');
    ctx.fillText(inWords(name), at + gap, top);
    ends[level] = at + width + 2 * gap;
  }
}

// What lies above or below what is shown, so that nothing is hidden in silence.
function tellHidden(u, values) {
  const {min, max} = u.scales.y;
  const [above, below] = [values.filter(y => y > max), values.filter(y => y < min)];
  clipped(u, (ctx, {left, top, width, height}) => {
    ctx.fillStyle = css('--mark');
    ctx.font = font(11);
    const edge = 4 * devicePixelRatio;
    const tell = (sign, hidden, furthest, y, baseline) => {
      if (!hidden.length) return;
      [ctx.textAlign, ctx.textBaseline] = ['right', baseline];
      const far = Number(hidden.reduce((a, b) => furthest(a, b)).toPrecision(4));
      ctx.fillText(`${sign} ${hidden.length}, ${furthest.name} ${far}`, left + width - edge, y);
    };
    tell('▲', above, Math.max, top + edge, 'top');
    tell('▼', below, Math.min, top + height - edge, 'bottom');
  });
}

function makeLegend(figure, chart, plot, first) {
  const legend = figure.querySelector('.legend');
  chart.lines.forEach((line, i) => add(line.name, line.style, line.colour, [first + i]));
  chart.bands.forEach((band, i) => add(band.name, 'band', '--band', [1 + 2 * i, 2 + 2 * i]));

  function add(name, style, colour, shown) {
    const swatch = element('i');
    swatch.className = style;
    swatch.style.color = `var(${colour})`;
    const button = Object.assign(element('button', swatch, ...nodes(name)), {type: 'button'});
    button.setAttribute('aria-pressed', true);
    button.addEventListener('click', () => {
      const show = button.getAttribute('aria-pressed') !== 'true';
      button.setAttribute('aria-pressed', show);
      plot.batch(() => shown.forEach(i => plot.setSeries(i, {show})));
    });
    const focus = i => () => plot.setSeries(i, {focus: true});
    for (const event of ['mouseenter', 'focus']) button.addEventListener(event, focus(shown[0]));
    for (const event of ['mouseleave', 'blur']) button.addEventListener(event, focus(null));
    legend.append(button);
  }
}

function makeZoom(figure, box, plot) {
  const zoom = share => {
    const {min, max} = plot.scales.x;
    const [middle, half] = [(min + max) / 2, (max - min) / 2 * share];
    plot.setScale('x', {min: middle - half, max: middle + half});
  };
  const actions = {in: () => zoom(REACH), out: () => zoom(1 / REACH),
                   reset: () => plot.setData(plot.data)};
  const keys = {'+': actions.in, '=': actions.in, '-': actions.out, 0: actions.reset};
  for (const b of all('[data-do]', figure)) b.addEventListener('click', actions[b.dataset.do]);
  box.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

// Tell the point that is nearest to the pointer, or that the arrow keys have gone to.
function makePointer(figure, box, chart, plot, first) {
  const [point, tip] = ['.point', '.tip'].map(name => box.querySelector(name));
  const points = pointsOf(chart, plot, first);
  let here = null;
  plot.over.append(point, tip);

  function tell(found) {
    here = found;
    point.hidden = tip.hidden = !found;
    if (!found) return;
    tip.replaceChildren(...description(figure, chart, found));
    const [left, top] = points.place(found);
    const {clientWidth, clientHeight} = plot.over;
    point.style.background = `var(${chart.lines[found.line].colour})`;
    move(point, left, top);
    move(tip, Math.max(0, Math.min(left + 12, clientWidth - tip.offsetWidth)),
         top > clientHeight / 2 ? top - tip.offsetHeight - 10 : top + 12);
  }

  const arrows = {ArrowLeft: () => points.along(here, -1), ArrowRight: () => points.along(here, 1),
                  ArrowUp: () => points.across(here, -1), ArrowDown: () => points.across(here, 1)};
  box.addEventListener('keydown', event => {
    if (event.key === 'Escape') tell(null);
    if (!arrows[event.key]) return;
    event.preventDefault();
    tell(here ? arrows[event.key]() : points.first());
  });
  plot.hooks.setCursor = [({cursor: {left, top}}) =>
    tell(left < 0 ? null : points.nearest(left, top))];
  plot.hooks.setScale = [() => tell(null)];
}

function move(element, left, top) {
  Object.assign(element.style, {left: `${left}px`, top: `${top}px`});
}

function description(figure, chart, {line, i}) {
  const {name, y, notes, x} = chart.lines[line];
  const at = chart.axes[x][i];
  const label = kind => figure.querySelector(kind).cloneNode(true).childNodes;
  return [element('b', ...nodes(name)),
          element('span', ...label('.x-label'), `: ${chart.time ? utc(at) + ' UTC' : at}`),
          element('span', ...label('.y-label'), `: ${y[i]}`),
          ...(notes.length ? [element('span', chart.notes[notes[i]])] : [])];
}

// The points of a chart that can be seen, and ways from one to another: {line, i} each.
function pointsOf(chart, plot, first) {
  const xs = line => chart.axes[chart.lines[line].x];
  const place = ({line, i}) => [plot.valToPos(xs(line)[i], 'x'),
                                plot.valToPos(chart.lines[line].y[i], 'y')];

  function isSeen({line, i}) {
    const {min, max} = plot.scales.x;
    return plot.series[first + line].show && chart.lines[line].y[i] !== null
      && xs(line)[i] >= min && xs(line)[i] <= max;
  }

  // Those of every line that are next to this x, line by line.
  const beside = x => chart.lines.map((_, line) => around(xs(line), x).map(i => ({line, i}))
    .filter(isSeen));

  function nearest(left, top) {
    const distance = point => {
      const [x, y] = place(point);
      return Math.hypot(x - left, y - top);
    };
    return beside(plot.posToVal(left, 'x')).flat()
      .reduce((best, point) => best && distance(best) <= distance(point) ? best : point, null);
  }

  function along({line, i}, step) {
    for (let next = i + step; next in xs(line); next += step) {
      if (isSeen({line, i: next})) return {line, i: next};
    }
    return {line, i};
  }

  function across({line, i}, step) {
    const lines = beside(xs(line)[i]);
    for (let next = line + step; next in lines; next += step) {
      if (lines[next].length) return lines[next][0];
    }
    return {line, i};
  }

  const firstSeen = () => chart.lines.flatMap(({y}, line) => y.map((_, i) => ({line, i})))
    .find(isSeen);

  return {place, nearest, along, across, first: firstSeen};
}

// Where in rising xs the value is, or just before and after.
function around(xs, value) {
  let [low, high] = [0, xs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < value) low = middle + 1; else high = middle;
  }
  return [low, low - 1].filter(i => i >= 0 && i < xs.length);
}

// Draw only what is about to be seen: a page may have dozens of charts.
function drawWhenSeen(charts) {
  const seen = new IntersectionObserver(entries => entries.filter(e => e.isIntersecting)
    .forEach(({target}) => {
      seen.unobserve(target);
      drawChart(target, charts[target.id]);
    }), {rootMargin: '400px'});
  all('.chart').forEach(figure => seen.observe(figure));
}

// --- the picture ---------------------------------------------------------------------------------

// Two columns of the picture on one canvas, with a border between them that moves.
function makeCompare(form, image) {
  const {row, left, right, border} = form.elements;
  const [side, gap] = [Number(form.dataset.side), Number(form.dataset.gap)];
  const box = form.querySelector('.wipe');
  const context = box.querySelector('canvas').getContext('2d');

  function draw() {
    const cut = Math.round(side * border.value / 100);
    const paint = (column, from, to) => to > from && context.drawImage(
      image, column * (side + gap) + from, row.value * (side + gap), to - from, side,
      from, 0, to - from, side);
    paint(left.value, 0, cut);
    paint(right.value, cut, side);
    box.querySelector('.divider').style.left = `${border.value}%`;
    const psnr = row.selectedOptions[0].dataset.psnr.split('|');
    all('output', form).forEach((output, i) => {
      const column = [left, right][i].value;
      const name = form.querySelector(`[value="${column}"] + span`).cloneNode(true);
      output.replaceChildren(name, ` ${psnr[column]}`);
    });
  }

  function follow(event) {
    const {left, width} = box.getBoundingClientRect();
    border.value = (event.clientX - left) / width * 100;
    draw();
  }

  box.addEventListener('pointerdown', event => {
    box.setPointerCapture(event.pointerId);
    follow(event);
  });
  box.addEventListener('pointermove', event => {
    if (box.hasPointerCapture(event.pointerId)) follow(event);
  });
  form.addEventListener('input', draw);
  form.addEventListener('submit', event => event.preventDefault());
  image.decode().then(draw);
}

// --- commands ------------------------------------------------------------------------------------

function addCopyButtons(template) {
  for (const command of all('.advice .command')) {
    const button = template.content.firstElementChild.cloneNode(true);
    const [before, after] = button.children;
    const box = element('span');
    box.className = 'copied';
    command.replaceWith(box);
    box.append(command, button);
    button.addEventListener('click', async () => {
      await copyText(command);
      [before.hidden, after.hidden] = [true, false];
      setTimeout(() => { [before.hidden, after.hidden] = [false, true]; }, 2000);
    });
  }
}

async function copyText(node) {
  getSelection().selectAllChildren(node);          // where copying is forbidden, Ctrl-C still does
  try {
    await navigator.clipboard.writeText(node.textContent);
  } catch {
    document.execCommand('copy');
  }
}

// --- all together --------------------------------------------------------------------------------

addEventListener('DOMContentLoaded', () => {
  for (const button of all('.language button')) {
    button.addEventListener('click', () => { speak(button.lang); remember(button.lang); });
  }
  speak(root.lang);
  for (const table of all('table.sortable')) {
    makeSortable(table, (column, sign) => sortRows(table, column, sign));
  }
  if (byId('copy')) addCopyButtons(byId('copy'));
  const form = document.querySelector('.compare');
  if (form) makeCompare(form, document.querySelector('.pictures img'));
  drawWhenSeen(data('chart-data'));
  if (byId('runs')) showRuns(byId('runs'), data('run-data'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAgain);
  matchMedia('print').addEventListener('change', drawAgain);
});
