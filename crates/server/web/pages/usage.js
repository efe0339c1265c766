// Tokens and what they cost.
import { bars, COLOURS, Figure } from '/web/charts.js';
import { fill, h } from '/web/dom.js';
import * as format from '/web/format.js';
import { asked, bucketSeconds, interval } from '/web/range.js';
import { address, go, withParameters } from '/web/route.js';
import { column, groups, largest, sum, tokens } from '/web/series.js';
import { Table } from '/web/table.js';
import { csvButton } from '/web/pages/system.js';

export const title = () => 'Usage';
export const usualRange = '-7d';

const BY = [
  ['model', 'Model', (row) => row.model],
  ['agent', 'Agent', (row) => row.agent_name],
  ['host', 'Host', (row) => row.host],
];
const KINDS = [
  ['input_tokens', 'Input'],
  ['output_tokens', 'Output'],
  ['cache_create', 'Cache written'],
  ['cache_read', 'Cache read'],
];
const SERIES_MAX = 9;
const DAY = 86_400_000;

export function show(view) {
  const chosen = BY.find(([by]) => by === view.route.query.get('by')) ?? BY[0];
  const [by, name, key] = chosen;
  const tabs = BY.map(([it, text]) => h('button', { type: 'button', class: 'chip', 'aria-pressed': String(it === by), onclick: () => go(withParameters({ by: it === 'model' ? null : it })) }, `By ${text.toLowerCase()}`));
  const tiles = h('dl', { class: 'tiles' });
  const unpriced = h('p', { class: 'notice warn', hidden: true });
  const figure = new Figure(view, `Cost and tokens by ${by} over time`);
  const table = new Table({ caption: `Totals by ${by}`, columns: columns(name, by, key), sort: { key: 'cost', descends: true }, identity: (row) => row.name, empty: 'No call in this range.' });
  const parameters = () => ({ by });
  fill(view.main,
    h('div', { class: 'bar' }, h('h1', {}, 'Usage'), h('div', { class: 'chips', role: 'group', 'aria-label': 'What has a row of its own' }, tabs), csvButton(view, '/api/agents/stats/tokens', parameters, 'usage')),
    tiles, unpriced, figure.element, h('h2', {}, `Totals by ${by}`), table.element);

  const load = async () => {
    const range = view.range;
    const isDays = range.end - range.start > 2 * DAY;
    const tz = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const steps = isDays ? { day: 'true', tz } : { interval: interval(range) };
    const [rows, models] = await Promise.all([
      view.ask('/api/agents/stats/tokens', { ...asked(range), ...steps, by }),
      view.ask('/api/agents/stats/tokens', { ...asked(range), interval: 'all', by: 'model' }),
    ]);
    const totals = [...groups(rows, key)].map(([it, its]) => total(it, its));
    drawTiles(models);
    table.show(totals);
    await figure.draw(panels(rows, key, isDays ? DAY / 1000 : bucketSeconds(range)), range);
  };
  const drawTiles = (models) => {
    const all = total('', models);
    const tile = (label, value, hint) => h('div', { title: hint }, h('dt', {}, label), h('dd', {}, value));
    fill(tiles,
      tile('Cost', format.dollars(all.cost_usd), 'As the tools reported it, else as the price list says'),
      tile('Tokens', format.count(all.tokens), format.whole(all.tokens)),
      KINDS.map(([field, text]) => tile(text, format.count(all[field]), format.whole(all[field]))));
    const without = models.filter((row) => row.unpriced_events > 0).map((row) => row.model || 'unknown');
    unpriced.hidden = without.length === 0;
    unpriced.textContent = `${format.whole(all.unpriced_events)} calls have no known price and are in no sum of costs: ${without.join(', ')}. A prices.toml in the data directory gives them one.`;
  };
  const soon = view.repeat(60, load);
  view.follow({ kind: ['token_usage'] }, soon);
}

function total(name, rows) {
  const all = { name, cost_usd: sum(rows, 'cost_usd'), tokens: rows.reduce((sum, row) => sum + tokens(row), 0), unpriced_events: sum(rows, 'unpriced_events') ?? 0 };
  for (const [field] of KINDS) all[field] = sum(rows, field) ?? 0;
  return all;
}

function columns(name, by, key) {
  const number = (field, text) => ({ key: field, name: text, numeric: true, value: (row) => row[field], text: (row) => format.count(row[field]), title: (row) => format.whole(row[field]), class: 'wide' });
  const link = (row, cell) => fill(cell, by === 'agent' && row.name ? h('a', { href: address('agent', row.name, { by: null }) }, row.name) : row.name || 'unknown');
  return [
    { key: 'name', name, value: (row) => row.name, cell: link },
    {
      key: 'cost', name: 'Cost', numeric: true, value: (row) => row.cost_usd, text: (row) => format.dollars(row.cost_usd),
      title: (row) => (row.unpriced_events ? `${row.unpriced_events} calls without a known price are not in it` : ''),
    },
    { ...number('tokens', 'Tokens'), class: null },
    ...KINDS.map(([field, text]) => number(field, text)),
    number('unpriced_events', 'Without price'),
  ];
}

function panels(rows, key, seconds) {
  const first = largest(rows, key, 'cost_usd', SERIES_MAX);
  const times = [...new Set(column(rows, 'time'))].sort();
  const byName = [...groups(rows, (row) => (first.has(key(row)) ? key(row) || 'unknown' : 'others'))];
  const stacks = (value, more) => byName.map(([name, its], at) => {
    const of = groups(its, (row) => row.time);
    return bars(name, times.map(format.wall), times.map((time) => value(of.get(time) ?? [])), COLOURS[at % COLOURS.length], seconds, more);
  });
  const kinds = KINDS.map(([field, text], at) => {
    const of = groups(rows, (row) => row.time);
    return bars(text.toLowerCase(), times.map(format.wall), times.map((time) => sum(of.get(time), field)), COLOURS[(at + 4) % COLOURS.length], seconds);
  });
  return [
    { title: 'Cost', unit: 'US dollars', traces: stacks((its) => sum(its, 'cost_usd'), { hovertemplate: '$%{y:.2f}' }), axis: { tickprefix: '$' }, height: 200, empty: rows.length ? 'no price is known' : 'no call in this range' },
    { title: 'Tokens', unit: 'by kind', traces: rows.length ? kinds : [], height: 200, empty: 'no call in this range' },
  ];
}
