// One agent: all that it did, over one time axis.
import { bars, COLOURS, Figure, line, STATE_COLOURS } from '/web/charts.js';
import { fill, h } from '/web/dom.js';
import * as format from '/web/format.js';
import { asked, bucketSeconds, interval } from '/web/range.js';
import { address } from '/web/route.js';
import { column, groups, largest } from '/web/series.js';
import { csvButton, gapsText, samplePanels } from '/web/pages/system.js';

export const title = (route) => route.name ?? 'Agent';
export const usualRange = '-1h';

const KINDS = [
  ['input_tokens', 'input'],
  ['output_tokens', 'output'],
  ['cache_create', 'cache written'],
  ['cache_read', 'cache read'],
];
const MODELS_MAX = 8;

export function show(view) {
  const { name, query } = view.route;
  if (name === null) {
    fill(view.main, h('h1', {}, 'Which agent?'), h('p', {}, h('a', { href: address('fleet') }, 'The fleet'), ' has all of them.'));
    return;
  }
  const host = query.get('host');
  const badge = h('span', { class: 'badge' });
  const facts = h('dl', { class: 'tiles' });
  const about = h('p', { class: 'faint' });
  const lost = h('p', { class: 'faint' });
  const figure = new Figure(view, `CPU, memory, network, disk, tokens, cost and state of ${name}`);
  const models = h('div');
  fill(view.main,
    h('nav', { class: 'trail', 'aria-label': 'Where this is' }, h('a', { href: address('fleet', null, { host: null }) }, 'Fleet'), ' / ', name),
    h('div', { class: 'bar' }, h('h1', {}, name), badge, csvButton(view, '/api/agents/stats/cpu', () => ({ agent: name, host }), name)),
    about, facts, figure.element, lost, models);

  let isKnown = false;
  let loaded = null;
  const load = async () => {
    const range = view.range;
    const one = { agent: name, host };
    const over = { ...asked(range), interval: interval(range) };
    const [samples, usage, states, gaps] = await Promise.all([
      view.ask('/api/agents/stats/cpu', { ...one, ...over, fill: 'true' }),
      view.ask('/api/agents/stats/tokens', { ...one, ...over, by: 'model' }),
      view.ask('/api/agents/stats/states', { ...one, ...asked(range), limit: 1_000 }),
      view.ask('/api/gaps', asked(range)),
    ]);
    const newest = samples.findLast((row) => row.cpu_percent !== null || row.mem_used_bytes !== null);
    isKnown = samples.length > 0 || usage.length > 0;
    drawAbout({ newest, states, host });
    await figure.draw([...samplePanels(samples, 'network is known of containers only'), ...usagePanels(usage, range), statePanel(samples, states, range)], range, gaps);
    lost.textContent = gapsText(gaps);
  };
  // Of an agent of whom there is nothing, nothing is asked: the browser would log the answer as an error.
  const loadFacts = async () => {
    await loaded;
    const summary = !isKnown ? null : await view.ask(`/api/agents/stats/summary/${encodeURIComponent(name)}`, asked(view.range)).catch((error) => {
      if (error.status === 404) return null;
      throw error;
    });
    drawFacts(summary);
  };

  const drawAbout = ({ newest, states }) => {
    const state = newest?.state || states[0]?.state || 'unknown';
    badge.textContent = state;
    badge.className = `badge state-${state}`;
    const parts = [newest?.role, newest?.tool, newest?.runtime && `in ${newest.runtime}`, newest && `on ${newest.host}`, newest && `last seen ${format.clock(newest.time)}`];
    about.textContent = newest ? parts.filter(Boolean).join(' · ') : 'No sample in this range.';
  };
  const drawFacts = (summary) => {
    const tile = (label, value, hint) => h('div', { title: hint }, h('dt', {}, label), h('dd', {}, value));
    if (summary === null) {
      fill(facts);
      fill(models);
      return;
    }
    const { cpu, memory, disk, network, tokens, cost } = summary;
    const all = tokens && tokens.input + tokens.output + tokens.cache_read + tokens.cache_create;
    fill(facts,
      tile('CPU', format.percent(cpu.avg_percent), `at most ${format.percent(cpu.max_percent)}`),
      tile('Memory', format.bytes(memory.avg_bytes), `at most ${format.bytes(memory.max_bytes)}`),
      tile('Read, written', `${format.bytes(disk.read_bytes)}, ${format.bytes(disk.write_bytes)}`, 'of the disk, in this range'),
      tile('Received, sent', network === null ? 'needs a container' : `${format.bytes(network.rx_bytes)}, ${format.bytes(network.tx_bytes)}`, 'by network, in this range'),
      tile('Tokens', format.count(all), tokens && `${format.whole(tokens.input)} input, ${format.whole(tokens.output)} output, ${format.whole(tokens.cache_create)} cache written, ${format.whole(tokens.cache_read)} cache read`),
      tile('Cost', format.dollars(cost?.total_usd ?? null)));
    const rows = summary.models.map((model) => h('tr', {}, h('th', { scope: 'row' }, model.model || 'unknown'),
      h('td', { class: 'number' }, format.whole(model.input_tokens)), h('td', { class: 'number' }, format.whole(model.output_tokens)), h('td', { class: 'number' }, format.dollars(model.cost_usd))));
    const heads = ['Model', 'Input', 'Output', 'Cost'].map((text, at) => h('th', { scope: 'col', class: at ? 'number' : null }, text));
    fill(models, rows.length === 0 ? null : [h('h2', {}, 'Models'), h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Models' }, h('table', {}, h('thead', {}, h('tr', {}, heads)), h('tbody', {}, rows)))]);
  };

  const soon = view.repeat(15, load);
  loaded = view.first;
  const factsSoon = view.repeat(30, loadFacts);
  view.follow({ kind: ['agent_sample', 'agent_state', 'token_usage'], agent: name }, (what) => {
    soon();
    if (what !== 'agent_sample') factsSoon();
  });
}

function usagePanels(usage, range) {
  const seconds = bucketSeconds(range);
  const byTime = [...groups(usage, (row) => row.time)];
  const times = byTime.map(([time]) => format.wall(time));
  const kinds = KINDS.map(([field, text], at) => bars(text, times, byTime.map(([, rows]) => rows.reduce((sum, row) => sum + row[field], 0)), COLOURS[at], seconds));
  const first = largest(usage, (row) => row.model, 'cost_usd', MODELS_MAX);
  const models = [...groups(usage, (row) => (first.has(row.model) ? row.model || 'unknown' : 'others'))].map(([model, rows], at) =>
    bars(model, column(rows, 'time').map(format.wall), column(rows, 'cost_usd'), COLOURS[at % COLOURS.length], seconds, { hovertemplate: '$%{y:.4f}' }));
  const isUnpriced = usage.some((row) => row.unpriced_events > 0);
  return [
    { title: 'Tokens', unit: 'per bar', traces: usage.length ? kinds : [], empty: 'no call in this range' },
    { title: 'Cost', unit: isUnpriced ? 'US dollars; some calls have no known price' : 'US dollars', traces: models, axis: { tickprefix: '$' }, empty: usage.length ? 'no price is known' : 'no call in this range' },
  ];
}

/// What the agent said of itself, and what samples say of it between, as a band.
function statePanel(samples, states, { start, end }) {
  const seen = samples.filter((row) => row.state).map((row) => [Date.parse(row.time), row.state]);
  const said = states.filter((row) => row.state).map((row) => [Date.parse(row.time), row.state]);
  const changes = [...seen, ...said].sort((a, b) => a[0] - b[0]);
  const bands = [];
  for (const [at, state] of changes) {
    const last = bands.at(-1);
    if (last?.state === state) last.to = Math.min(end, at);
    else {
      if (last) last.to = at;
      bands.push({ state, from: Math.max(start, at), to: at });
    }
  }
  const last = bands.at(-1);
  if (last) last.to = Math.max(last.to, Math.min(end, Date.now()));
  const traces = [...groups(bands, (band) => band.state)].map(([state, its]) => ({
    type: 'bar', orientation: 'h', name: state, showlegend: true, marker: { color: STATE_COLOURS[state] ?? '#999' }, y: its.map(() => 'state'),
    base: its.map((band) => format.wall(band.from)), x: its.map((band) => Math.max(1, band.to - band.from)),
    hovertemplate: `${state} from %{base|%H:%M:%S}<extra></extra>`, width: 0.9,
  }));
  return { title: 'State', traces, height: 40, axis: { type: 'category', showticklabels: false, rangemode: 'normal', showgrid: false }, empty: 'the agent has not said its state' };
}

