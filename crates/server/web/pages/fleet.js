// The fleet: which agents there are now, and on which systems.
import { fill, h, paced, setText } from '/web/dom.js';
import * as format from '/web/format.js';
import { Figure } from '/web/charts.js';
import { address, current, withParameters } from '/web/route.js';
import { groups, lately, tokens } from '/web/series.js';
import { spark } from '/web/spark.js';
import { matches, Table } from '/web/table.js';
import { asked, interval } from '/web/range.js';
import { welcome } from '/web/pages/welcome.js';

export const title = () => 'Fleet';
export const usualRange = '-1h';

/// Who needs somebody comes first.
const STATES = ['error', 'stuck', 'working', 'idle', 'done', 'stopped'];
const ORDER = Object.fromEntries(STATES.map((state, at) => [state, at]));
/// Of how many agents the small lines are drawn: those that stand first.
const SPARKS_MAX = 100;
const SPARK_POINTS = 30;
const TOKEN_MINUTES = 5;

const identity = (row) => `${row.host}\u0000${row.agent_name}`;

export function show(view) {
  const fleet = new Fleet(view);
  fleet.open();
}

class Fleet {
  #agents = new Map();
  #systems = new Map();
  #lines = new Map();

  constructor(view) {
    this.view = view;
    const { query } = view.route;
    this.filter = h('input', {
      type: 'search', id: 'filter', placeholder: 'Filter: a name, host, tool, state …', 'aria-label': 'Filter agents', value: query.get('q') ?? '',
      oninput: () => this.#filtered(),
    });
    this.states = h('div', { class: 'chips', role: 'group', 'aria-label': 'States' });
    this.tiles = h('dl', { class: 'tiles' });
    this.systems = h('div', { class: 'cards' });
    this.welcome = h('div');
    const sort = (query.get('sort') ?? 'state').split(':');
    this.table = new Table({
      caption: 'Agents now',
      columns: this.#columns(),
      sort: { key: sort[0], descends: sort[1] === 'down' },
      onSort: ({ key, descends }) => this.#remember({ sort: `${key}${descends ? ':down' : ''}` }),
      identity,
      empty: 'No agent matches.',
    });
    this.map = new Figure(view, 'CPU of all agents over time');
    this.mapPlace = h('details', { open: query.get('map') === 'open' }, h('summary', {}, 'CPU of all agents over time'), this.map.element);
    this.mapPlace.addEventListener('toggle', () => {
      this.#remember({ map: this.mapPlace.open ? 'open' : null });
      this.drawMap();
    });
    this.drawSoon = paced(250, () => this.draw());
    view.atEnd(this.drawSoon.cancel);
  }

  open() {
    const { view } = this;
    fill(view.main, h('h1', { class: 'hidden' }, 'Fleet'), this.welcome,
      this.content = h('div', { hidden: true },
        this.tiles,
        h('section', { 'aria-label': 'Agents' }, h('div', { class: 'bar' }, h('h2', {}, 'Agents'), this.filter, this.states), this.table.element),
        this.mapPlace),
      h('section', { 'aria-label': 'Systems' }, h('h2', {}, 'Systems'), this.systems));
    view.repeat(30, () => this.loadAgents());
    this.agentsLoaded = view.first;
    const tokensSoon = view.repeat(30, () => this.loadTokens());
    const again = view.repeat(60, () => this.loadLines());
    view.repeat(30, () => this.loadSystems());
    if (this.mapPlace.open) this.drawMap();
    const kind = ['agent_sample', 'agent_state', 'system_sample', 'token_usage'];
    view.follow({ kind }, (what, event) => {
      if (what === 'agent_sample') this.#heardAgent(event);
      else if (what === 'agent_state') this.#heardState(event);
      else if (what === 'system_sample') this.#heardSystem(event);
      else if (what === 'token_usage') tokensSoon();
      else if (what === 'again') {
        tokensSoon();
        again();
      }
    });
    const timer = setInterval(() => view.moves && this.drawSoon(), 5_000);
    view.atEnd(() => clearInterval(timer));
  }

  async loadAgents() {
    const rows = await this.view.ask('/api/agents/stats/latest', {});
    const known = this.#agents;
    this.#agents = new Map(rows.map((row) => {
      const before = known.get(identity(row));
      // What was heard meanwhile is newer than an answer that comes late.
      const newest = before && before.time > row.time ? { ...row, ...before } : row;
      return [identity(row), { ...newest, perMinute: before?.perMinute, cost: before?.cost }];
    }));
    this.content.hidden = rows.length === 0;
    fill(this.welcome, rows.length === 0 ? await welcome(this.view) : null);
    this.draw();
  }

  async loadTokens() {
    const midnight = new Date();
    midnight.setHours(0, 0, 0, 0);
    const by = 'agent,host';
    const [lately, today] = await Promise.all([
      this.view.ask('/api/agents/stats/tokens', { from: `-${TOKEN_MINUTES}m`, interval: 'all', by }),
      this.view.ask('/api/agents/stats/cost', { from: midnight.toISOString(), interval: 'all', by }),
    ]);
    await this.agentsLoaded;
    for (const agent of this.#agents.values()) {
      agent.perMinute = null;
      agent.cost = undefined;
    }
    for (const row of lately) this.#set(row, { perMinute: tokens(row) / TOKEN_MINUTES });
    for (const row of today) this.#set(row, { cost: row.cost_usd, unpriced: row.unpriced_events });
    this.cost = today;
    this.draw();
  }

  #set(row, fields) {
    const agent = this.#agents.get(identity(row));
    if (agent) Object.assign(agent, fields);
  }

  async loadLines() {
    await this.agentsLoaded;
    const { start: from, end } = this.view.range;
    const step = Math.max(10_000, Math.ceil((end - from) / SPARK_POINTS / 1_000) * 1_000);
    const start = Math.floor(from / step) * step;
    const agent = this.#visible().slice(0, SPARKS_MAX).map((row) => row.agent_name);
    if (agent.length === 0) return;
    const rows = await this.view.ask('/api/agents/stats/cpu', { from: new Date(start).toISOString(), to: new Date(end).toISOString(), interval: `${step / 1_000}s`, agent: [...new Set(agent)] });
    this.#lines = new Map([...groups(rows, identity)].map(([key, its]) => [key, lately(its, 'cpu_percent', { start, step, points: SPARK_POINTS + 1 })]));
    this.draw();
  }

  async loadSystems() {
    const rows = await this.view.ask('/api/system/stats/cpu', { from: '-15m', interval: '30s' });
    for (const row of rows) this.#systems.set(`${row.host}\u0000${row.system_name}`, row);
    this.drawSystems();
  }

  async drawMap() {
    if (!this.mapPlace.open) return;
    this.mapLoads ??= this.view.repeat(60, async () => {
      const rows = await this.view.ask('/api/agents/stats/cpu', { ...asked(this.view.range), interval: interval(this.view.range) });
      await this.#drawMap(rows, this.view.range);
    });
  }

  async #drawMap(rows, range) {
    const times = [...new Set(rows.map((row) => row.time))].sort();
    const at = new Map(times.map((time, index) => [time, index]));
    const of = groups(rows, (row) => row.agent_name);
    const names = [...of.keys()].sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
    const z = names.map((name) => {
      const line = new Array(times.length).fill(null);
      for (const row of of.get(name)) line[at.get(row.time)] = row.cpu_percent;
      return line;
    });
    const trace = {
      type: 'heatmap', x: times.map(format.wall), y: names, z, zmin: 0, colorscale: 'Viridis', hoverongaps: false, colorbar: { thickness: 10, title: { text: '%' } },
      hovertemplate: '%{y}<br>%{x|%H:%M}: %{z:.1f} %<extra></extra>', name: 'CPU',
    };
    const height = Math.min(1_600, Math.max(120, names.length * 14));
    await this.map.draw([{ title: 'CPU', unit: '% of one core', traces: [trace], height, axis: { type: 'category', nticks: Math.min(names.length, 60), automargin: true, rangemode: 'normal' } }], range);
  }

  #heardAgent(event) {
    const key = identity(event);
    const agent = this.#agents.get(key);
    if (agent && agent.time > event.time) return;
    const sampled = ['time', 'cpu_percent', 'mem_used_bytes', 'mem_limit_bytes', 'mem_percent', 'net_rx_bytes', 'net_tx_bytes'];
    const row = agent ?? { agent_name: event.agent_name, host: event.host };
    for (const field of sampled) row[field] = event[field] ?? null;
    for (const field of ['role', 'tool', 'runtime', 'state']) row[field] = event[field] || row[field] || '';
    this.#agents.set(key, row);
    if (!agent) {
      this.content.hidden = false;
      fill(this.welcome);
    }
    this.drawSoon();
  }

  #heardState(event) {
    const agent = this.#agents.get(identity(event));
    if (agent && event.state) {
      agent.state = event.state;
      this.drawSoon();
    }
  }

  #heardSystem(event) {
    const key = `${event.host}\u0000${event.system_name}`;
    this.#systems.set(key, { ...this.#systems.get(key), ...event });
    this.drawSoon();
  }

  #columns() {
    return [
      { key: 'name', name: 'Agent', value: (row) => row.agent_name, cell: drawName },
      { key: 'state', name: 'State', value: (row) => ORDER[row.state] ?? null, cell: drawState },
      { key: 'cpu', name: 'CPU', numeric: true, value: (row) => row.cpu_percent, text: (row) => format.percent(row.cpu_percent), hint: 'Percent of one core' },
      { key: 'line', name: 'Over time', class: 'wide', hint: 'CPU in the time range of this page', cell: (row, cell) => this.#drawLine(row, cell) },
      {
        key: 'memory', name: 'Memory', numeric: true, value: (row) => row.mem_used_bytes, text: (row) => format.bytes(row.mem_used_bytes),
        title: (row) => (row.mem_limit_bytes ? `${format.percent(row.mem_percent)} of ${format.bytes(row.mem_limit_bytes)}` : ''),
      },
      { key: 'tokens', name: 'Tokens/min', numeric: true, value: (row) => row.perMinute ?? null, text: (row) => format.count(row.perMinute), hint: `Of the last ${TOKEN_MINUTES} minutes, the cache included` },
      {
        key: 'cost', name: 'Cost today', numeric: true, value: (row) => row.cost ?? null, text: (row) => format.dollars(row.cost),
        title: (row) => (row.unpriced ? `${row.unpriced} calls without a known price are not in it` : ''),
      },
      { key: 'tool', name: 'Tool', value: (row) => row.tool, text: (row) => row.tool || format.ABSENT, class: 'wide' },
      { key: 'role', name: 'Role', value: (row) => row.role, text: (row) => row.role || format.ABSENT, class: 'wide' },
      { key: 'runtime', name: 'Runs in', value: (row) => row.runtime, text: (row) => row.runtime || format.ABSENT, class: 'wide' },
      { key: 'host', name: 'Host', value: (row) => row.host, text: (row) => row.host, class: 'wide' },
      { key: 'seen', name: 'Last seen', numeric: true, value: (row) => Date.parse(row.time), text: (row) => format.ago(row.time), title: (row) => row.time },
    ];
  }

  #drawLine(row, cell) {
    const values = this.#lines.get(identity(row));
    if (cell.drawn === values) return;
    cell.drawn = values;
    const known = values?.filter((value) => value !== null) ?? [];
    fill(cell, known.length ? spark(values, { top: 10, label: `CPU over time, at most ${format.percent(Math.max(...known))}` }) : null);
  }

  #visible() {
    const words = this.filter.value.trim();
    const state = current().query.get('state');
    return [...this.#agents.values()].filter((row) => {
      const texts = [row.agent_name, row.host, row.role, row.tool, row.runtime, row.state];
      return (!state || (row.state || 'unknown') === state) && (words === '' || matches(words, texts));
    });
  }

  draw() {
    const all = [...this.#agents.values()];
    const cost = this.cost?.reduce((sum, row) => (row.cost_usd === null ? sum : (sum ?? 0) + row.cost_usd), null);
    // What nobody has measured is not known, and not 0.
    const total = (field) => all.reduce((sum, row) => (row[field] === null || row[field] === undefined ? sum : (sum ?? 0) + row[field]), null);
    const perMinute = total('perMinute');
    const tile = (name, value, hint) => [h('div', { title: hint }, h('dt', {}, name), h('dd', {}, value))];
    fill(this.tiles,
      tile('Agents', String(all.length), 'Seen in the last 24 hours'),
      tile('Working', String(all.filter((row) => row.state === 'working').length)),
      tile('CPU', format.percent(total('cpu_percent')), 'Of all agents; 100 % is one core'),
      tile('Tokens/min', format.count(perMinute), `Of the last ${TOKEN_MINUTES} minutes`),
      tile('Cost today', format.dollars(cost)));
    const chosen = current().query.get('state');
    const chips = [...groups(all, (row) => row.state || 'unknown')].sort(([a], [b]) => (ORDER[a] ?? 9) - (ORDER[b] ?? 9)).map(([state, its]) =>
      h('button', { type: 'button', class: `chip state-${state}`, 'aria-pressed': String(state === chosen), onclick: () => this.#chose(state) }, `${state} ${its.length}`));
    const focused = [...this.states.children].indexOf(document.activeElement);
    fill(this.states, chips);
    this.states.children[focused]?.focus();
    this.table.show(this.#visible());
  }

  #chose(state) {
    this.#remember({ state: current().query.get('state') === state ? null : state });
    this.draw();
  }

  #filtered() {
    this.#remember({ q: this.filter.value.trim() });
    this.draw();
  }

  /// Keeps it in the address without showing the page anew.
  #remember(changes) {
    history.replaceState(null, '', withParameters(changes));
  }

  drawSystems() {
    const cards = [...this.#systems.values()].sort((a, b) => a.system_name.localeCompare(b.system_name)).map((row) =>
      h('a', { class: 'card', href: address('system', row.system_name, { host: row.host }) },
        h('strong', {}, row.system_name),
        row.host === row.system_name ? null : h('span', { class: 'faint' }, `on ${row.host}`),
        meter('CPU', row.cpu_percent, format.percent(row.cpu_percent)),
        meter('Memory', row.mem_percent, row.mem_used_bytes === null ? format.ABSENT : `${format.bytes(row.mem_used_bytes)} of ${format.bytes(row.mem_limit_bytes)}`)));
    fill(this.systems, cards.length ? cards : h('p', { class: 'empty' }, 'No system has been sampled in the last 15 minutes.'));
  }
}

function meter(name, percent, text) {
  const value = percent === null || percent === undefined ? null : Math.min(100, percent);
  return h('span', { class: 'meter' }, h('span', {}, name), h('span', { class: 'track', 'aria-hidden': 'true' }, value === null ? null : h('span', { style: `width:${value}%` })), h('span', { class: 'number' }, text));
}

function drawName(row, cell) {
  const href = address('agent', row.agent_name, { host: row.host, q: null, sort: null, state: null, map: null });
  if (cell.firstChild?.getAttribute?.('href') === href) return;
  fill(cell, h('a', { href }, row.agent_name));
}

function drawState(row, cell) {
  const text = row.state || 'unknown';
  if (!cell.firstChild) fill(cell, h('span'));
  const badge = cell.firstChild;
  setText(badge, text);
  badge.className = `badge state-${text}`;
}
