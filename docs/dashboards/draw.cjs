// Draws the dashboards without Grafana: PROMETHEUS=ADDRESS node draw.cjs MODULES OUT
//
// Asks the queries of every panel, puts the answers through Grafana's own transformations, units and mappings
// (@grafana/data), plots them with the library that Grafana plots with (uPlot), and takes a picture with Chromium.
// Colours and layout come near Grafana's; what a panel shows is what its JSON asks for.

const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const [modules, out] = process.argv.slice(2);
const prometheus = process.env.PROMETHEUS;
const grafana = require(path.resolve(modules, '@grafana/data'));
const { firstValueFrom } = require(path.resolve(modules, 'rxjs'));
// @grafana/data expects a browser, but no document.
globalThis.window = {};
globalThis.navigator = { language: 'en-GB', languages: ['en-GB'] };

const MINUTES = 30;
const PIXELS = { width: 1500, unit: 34, head: 46 };
const PICTURES = [
  { file: 'fleet', dashboard: 'fleet', chosen: {} },
  { file: 'workload-skew', dashboard: 'workload', chosen: { cluster: 'eu-1', namespace: 'shop', workload_type: 'deployment', workload: 'web' } },
  { file: 'workload-rollout', dashboard: 'workload', chosen: { cluster: 'eu-1', namespace: 'shop', workload_type: 'deployment', workload: 'checkout' } },
  { file: 'canary', dashboard: 'canary', chosen: { cluster: 'eu-1', namespace: 'growth', workload_type: 'rollout', workload: 'landing' } },
];
const COLOURS = { green: '#56a64b', red: '#d10e2c', orange: '#ff780a', yellow: '#d9a400', blue: '#3274d9', purple: '#8f3bb8', text: '#24292e' };
const PALETTE = ['#56a64b', '#f2cc0c', '#3274d9', '#ff780a', '#e02f44', '#8f3bb8', '#37872d', '#1f60c4', '#fa6400', '#7c2ea3'];
const named = grafana.createTheme({ colors: { mode: 'light' } }).visualization;
const colour = (name) => COLOURS[name] ?? named.getColorByName(name ?? 'text');

grafana.standardTransformersRegistry.setInit(() =>
  ['merge', 'organize'].map((id) => {
    const transformer = Object.values(grafana.standardTransformers).find((transformer) => transformer.id === id);
    return { id, name: id, transformation: async () => transformer, editor: () => null };
  }),
);

const escaped = (text) => String(text).replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);

function filled(query, dashboard, chosen) {
  let text = query.replaceAll('$__rate_interval', '1m');
  for (const { name, type, query: value } of dashboard.templating.list) {
    if (type === 'textbox') text = text.replaceAll(`\${${name}:raw}`, value);
    if (type === 'query') text = text.replaceAll(`"$${name}"`, `"${chosen[name] ?? '.*'}"`);
  }
  return text;
}

async function ask(kind, parameters) {
  const answer = await fetch(`http://${prometheus}/api/v1/${kind}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== 'success') throw new Error(`${parameters.query}: ${body.error}`);
  return body.data.result;
}

function frame(refId, result, valueName) {
  const labels = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].sort();
  const texts = labels.map((name) => ({ name, type: 'string', config: {}, values: result.map((series) => series.metric[name] ?? '') }));
  const time = { name: 'Time', type: 'time', config: {}, values: result.map(() => 0) };
  const value = { name: valueName, type: 'number', config: {}, values: result.map((series) => Number(series.value[1])) };
  return grafana.toDataFrame({ refId, fields: [time, ...texts, value] });
}

// The configuration of a field, with the overrides that its name picks.
function configured(panel, name) {
  const config = structuredClone(panel.fieldConfig.defaults);
  config.custom ??= {};
  for (const { matcher, properties } of panel.fieldConfig.overrides) {
    if (matcher.options !== name) continue;
    for (const { id, value } of properties) {
      if (id.startsWith('custom.')) config.custom[id.slice('custom.'.length)] = value;
      else config[id] = value;
    }
  }
  return config;
}

function display(config, type) {
  const theme = grafana.createTheme({ colors: { mode: 'light' } });
  const shown = grafana.getDisplayProcessor({ field: { type, config: { ...config, color: config.color ?? { mode: 'thresholds' } } }, theme, timeZone: 'utc' });
  return (value) => {
    const { prefix = '', text, suffix = '', color } = shown(value);
    const step = [...(config.thresholds?.steps ?? [])].reverse().find((step) => step.value === null || value >= step.value);
    const mapped = config.mappings?.find((mapping) => mapping.options[value])?.options[value].color;
    return { text: prefix + text + suffix, color: colour(mapped ?? (type === 'number' ? step?.color : color) ?? color) };
  };
}

async function table(panel, asked) {
  const single = panel.targets.length === 1;
  const frames = await Promise.all(
    panel.targets.map(async (target) => frame(target.refId, await ask('query', { query: asked(target) }), single ? 'Value' : `Value #${target.refId}`)),
  );
  const present = frames.filter((frame) => frame.length > 0);
  if (present.length === 0) return '<p class="none">none</p>';
  const [result] = await firstValueFrom(grafana.transformDataFrame(panel.transformations ?? [], present, { interpolate: (text) => text }));
  const columns = result.fields.map((field) => {
    const name = field.config.displayName ?? field.name;
    const config = configured(panel, name);
    return { name, config, values: field.values, shown: display(config, field.type), links: config.links };
  });
  let rows = Array.from({ length: result.length }, (_, row) => row);
  for (const { displayName, desc } of [...(panel.options.sortBy ?? [])].reverse()) {
    const column = columns.find((column) => column.name === displayName);
    if (column) rows.sort((a, b) => (desc ? -1 : 1) * String(column.values[a]).localeCompare(String(column.values[b]), 'en', { numeric: true }));
  }
  const cell = (column, row) => {
    const value = column.values[row];
    if (value === undefined || value === null || Number.isNaN(value)) return '<td></td>';
    const { text, color } = column.shown(value);
    const kind = column.config.custom.cellOptions?.type;
    const style = kind === 'color-background' ? `background:${color};color:#fff` : kind === 'color-text' ? `color:${color}` : '';
    const inner = column.links ? `<a>${escaped(text)}</a>` : escaped(text);
    return `<td style="${style}" class="${typeof value === 'number' ? 'number' : ''}">${inner}</td>`;
  };
  const head = columns.map((column) => `<th style="${column.config.custom.width ? `width:${column.config.custom.width}px` : ''}">${escaped(column.name)}</th>`);
  const body = rows.map((row) => `<tr>${columns.map((column) => cell(column, row)).join('')}</tr>`);
  return `<div class="scroll"><table><tr>${head.join('')}</tr>${body.join('')}</table></div>`;
}

const legend = (format, metric) => (format ?? '').replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? '').trim();

async function stat(panel, asked) {
  const result = await ask('query', { query: asked(panel.targets[0]) });
  if (result.length === 0) return `<div class="stat" style="color:#777">${escaped(panel.fieldConfig.defaults.noValue ?? 'No data')}</div>`;
  const [series] = result;
  const name = legend(panel.targets[0].legendFormat, series.metric);
  const config = configured(panel, name);
  const { text, color } = display(config, 'number')(Number(series.value[1]));
  const shown = config.color?.fixedColor ? colour(config.color.fixedColor) : color;
  const style = panel.options.colorMode === 'background' ? `background:${shown};color:#fff` : `color:${shown}`;
  return `<div class="stat" style="${style}">${escaped(panel.options.textMode === 'name' ? name : text)}</div>`;
}

async function series(panel, asked, now) {
  const all = [];
  for (const target of panel.targets) {
    const result = await ask('query_range', { query: asked(target), start: now - MINUTES * 60, end: now, step: 10 });
    for (const { metric, values } of result) all.push({ name: legend(target.legendFormat, metric), values });
  }
  const times = Array.from({ length: MINUTES * 6 + 1 }, (_, index) => now - MINUTES * 60 + index * 10);
  return all.map(({ name, values }, index) => {
    const at = new Map(values.map(([time, value]) => [Math.round(time), Number(value)]));
    const fixed = configured(panel, name).color?.fixedColor;
    const color = fixed ? colour(fixed) : PALETTE[index % PALETTE.length];
    return { name, color, values: times.map((time) => (at.has(time) && Number.isFinite(at.get(time)) ? at.get(time) : null)) };
  });
}

async function drawn(panel, asked, now) {
  if (panel.type === 'table') return { html: await table(panel, asked) };
  if (panel.type === 'stat') return { html: await stat(panel, asked) };
  let lines = await series(panel, asked, now);
  const { custom, unit, min } = panel.fieldConfig.defaults;
  if (panel.type === 'state-timeline') lines = lines.flatMap(({ values }) => states(panel, values));
  const keys = lines.map(({ name, color }) => `<span><i style="background:${color}"></i>${escaped(name)}</span>`);
  const html = `<div class="plot" id="plot${panel.id}"></div><div class="legend">${keys.join('')}</div>`;
  const stacks = custom.stacking && custom.stacking.mode !== 'none';
  const kind = panel.type === 'state-timeline' ? 'states' : stacks ? 'stack' : 'lines';
  return { html, plot: { id: panel.id, kind, lines, unit, min, step: custom.lineInterpolation === 'stepAfter' } };
}

// A line for each state of one row, in the colour and with the text of its mapping. Each lasts until the next begins.
function states(panel, values) {
  const shown = display(panel.fieldConfig.defaults, 'number');
  return [...new Set(values.filter((value) => value !== null))].sort().map((state) => {
    const { text, color } = shown(state);
    return { name: text, color, values: values.map((value, at) => (value === state || (at > 0 && value !== null && values[at - 1] === state) ? 1 : null)) };
  });
}

const STYLE = `*{box-sizing:border-box}body{margin:0;background:#f4f5f5;font:12px "DejaVu Sans",sans-serif;color:#24292e;position:relative}
h1{font-size:15px;margin:0;padding:12px 14px}h1 small{font-weight:normal;color:#555;margin-left:16px}
.panel{position:absolute;background:#fff;border:1px solid #d8d9dd;border-radius:2px;display:flex;flex-direction:column;overflow:hidden}
.panel h2{font-size:12px;margin:0;padding:5px 8px 3px}.row{position:absolute;font-weight:bold;padding:9px 8px}
.stat{flex:1;font-size:25px;display:flex;align-items:center;justify-content:center}.none{color:#777;text-align:center}
.scroll{overflow:hidden;padding:0 6px}table{border-collapse:collapse;width:100%;table-layout:auto;font-size:11px}
th{text-align:left;color:#3274d9;font-weight:normal;border-bottom:1px solid #d8d9dd}th,td{padding:3px 6px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;max-width:330px}
tr+tr td{border-bottom:1px solid #eee}.number{text-align:right}a{color:#1f60c4;text-decoration:underline}
.plot{flex:1;min-height:0}.legend{padding:0 8px 5px;white-space:nowrap;overflow:hidden;font-size:10px}.legend span{margin-right:12px}.legend i{display:inline-block;width:12px;height:3px;margin-right:4px;vertical-align:middle}`;

// Runs in the page.
const PLOT = `(${function (plots, times) {
  const duration = (s) => (s >= 86400 ? +(s / 86400).toFixed(1) + ' d' : s >= 3600 ? +(s / 3600).toFixed(1) + ' h' : s >= 60 ? +(s / 60).toFixed(1) + ' min' : s >= 1 || s === 0 ? +s.toFixed(1) + ' s' : +(s * 1000).toFixed(0) + ' ms');
  const units = { s: duration, bytes: (b) => (b >= 2 ** 20 ? +(b / 2 ** 20).toFixed(1) + ' MiB' : +(b / 1024).toFixed(1) + ' KiB'), percentunit: (p) => +(p * 100).toFixed(2) + '%', reqps: (r) => +r.toFixed(2) + ' /s' };
  for (const { id, kind, lines, unit, min, step } of plots) {
    const element = document.getElementById('plot' + id);
    const format = units[unit] ?? ((value) => String(+value.toFixed(3)));
    let shown = lines.map(({ values }) => values);
    if (kind === 'stack') {
      const below = times.map(() => 0);
      shown = shown.map((values) => values.map((value, at) => (below[at] += value ?? 0)));
    }
    const order = kind === 'stack' ? lines.map((_, index) => lines.length - 1 - index) : lines.map((_, index) => index);
    const paths = step || kind === 'stack' ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear();
    const wide = kind === 'states' ? 60 : kind === 'stack' ? 1 : 2;
    const series = order.map((index) => ({ stroke: lines[index].color, width: wide, paths, points: { show: false }, fill: kind === 'stack' ? lines[index].color : undefined }));
    const names = (_, splits) => splits.map((at) => (kind === 'states' ? '' : format(at)));
    const range = kind === 'states' ? () => [0.4, 1.6] : (_, low, high) => [min ?? low, high === null ? 1 : high * 1.08 || 1];
    new uPlot(
      {
        width: element.clientWidth, height: element.clientHeight, legend: { show: false }, cursor: { show: false }, tzDate: (t) => uPlot.tzDate(new Date(t * 1000), 'UTC'),
        scales: { y: { range } },
        axes: [
          { font: '10px sans-serif', size: 24, grid: { stroke: '#eee' }, ticks: { show: false }, values: (_, splits) => splits.map((t) => new Date(t * 1000).toISOString().slice(11, 16)) },
          { font: '10px sans-serif', size: 68, grid: { stroke: '#eee' }, ticks: { show: false }, incrs: kind === 'states' ? [1] : undefined, values: names },
        ],
        series: [{}, ...series],
      },
      [times, ...order.map((index) => shown[index])], element,
    );
  }
}})`;

async function page({ dashboard: name, chosen }) {
  const dashboard = JSON.parse(fs.readFileSync(path.resolve(__dirname, '../../dashboards', `${name}.json`), 'utf8'));
  const now = Math.floor(Date.now() / 10000) * 10;
  const plots = [];
  const parts = [];
  let bottom = 0;
  for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.gridPos;
    const cell = PIXELS.width / 24;
    const place = `left:${x * cell + 3}px;top:${y * PIXELS.unit + PIXELS.head}px;width:${w * cell - 6}px;height:${h * PIXELS.unit - 6}px`;
    bottom = Math.max(bottom, (y + h) * PIXELS.unit + PIXELS.head);
    if (panel.type === 'row') {
      parts.push(`<div class="row" style="${place}">▾ ${escaped(panel.title)}</div>`);
      continue;
    }
    const { html, plot } = await drawn(panel, (target) => filled(target.expr, dashboard, chosen), now);
    if (plot) plots.push(plot);
    parts.push(`<div class="panel" style="${place}"><h2>${escaped(panel.title)}</h2>${html}</div>`);
  }
  const times = Array.from({ length: MINUTES * 6 + 1 }, (_, index) => now - MINUTES * 60 + index * 10);
  const uplot = (file) => fs.readFileSync(path.resolve(modules, 'uplot/dist', file), 'utf8');
  const variables = Object.entries({ cluster: 'All', namespace: 'All', workload_type: 'All', workload: 'All', ...chosen });
  const html = `<!DOCTYPE html><meta charset="utf-8"><style>${uplot('uPlot.min.css')}${STYLE}body{height:${bottom + 8}px}</style>
<h1>${escaped(dashboard.title)}<small>${variables.map(([name, value]) => `${name} <b>${escaped(value)}</b>`).join(' &nbsp; ')}</small></h1>${parts.join('\n')}
<script>${uplot('uPlot.iife.min.js')}</script><script>${PLOT}(${JSON.stringify(plots)}, ${JSON.stringify(times)})</script>`;
  return { html, height: bottom + 8 };
}

(async () => {
  for (const picture of PICTURES) {
    const { html, height } = await page(picture);
    const file = path.resolve(out, `${picture.file}.html`);
    fs.writeFileSync(file, html);
    const png = path.resolve(out, `${picture.file}.png`);
    const options = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--force-device-scale-factor=1', `--window-size=${PIXELS.width},${height}`];
    execFileSync(process.env.CHROMIUM ?? 'chromium', [...options, `--screenshot=${png}`, `file://${file}`], { stdio: 'ignore', timeout: 60_000 });
    execFileSync('pngquant', ['--force', '--ext', '.png', '--speed', '1', '48', png]);
    fs.unlinkSync(file);
    console.log(png);
  }
})();
