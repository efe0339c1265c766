// The pipeline: what is recorded, what has reached the database, and what is lost or in the way.
import { ask } from '/web/api.js';
import { fill, h } from '/web/dom.js';
import * as format from '/web/format.js';
import { spark } from '/web/spark.js';
import { Table } from '/web/table.js';

export const title = () => 'Pipeline';

/// How often the state is read, in seconds, and how many readings the small lines have.
const PACE = 2;
const POINTS = 90;

const WORDS = {
  disabled: 'no database is set',
  live: 'live',
  catching_up: 'catching up',
  waiting: 'waiting for the database',
  halted: 'halted',
};
const CAUSES = {
  trimmed: 'old, and let go as log.keep says',
  dropped: 'the log was at its bound',
  damaged: 'damaged on the disk',
  lost_tail: 'lost with the power',
};

export function show(view) {
  new Pipeline(view).open();
}

class Pipeline {
  #readings = [];

  constructor(view) {
    this.view = view;
    this.tiles = h('dl', { class: 'tiles' });
    this.trouble = h('div');
    this.bar = h('div');
    this.gaps = new Table({
      caption: 'Known losses', sort: { key: 'time', descends: true }, identity: (row) => `${row.time}${row.from}${row.what}`, empty: 'Nothing is known to be lost in the last 30 days.',
      columns: [
        { key: 'time', name: 'Told', value: (row) => row.time, text: (row) => format.clock(row.time) },
        { key: 'events', name: 'Events', numeric: true, value: (row) => row.events, text: (row) => format.whole(row.events) },
        { key: 'span', name: 'From – to', text: (row) => `${format.clock(row.from)} – ${format.clock(row.to)}` },
        { key: 'what', name: 'What', value: (row) => row.what, text: (row) => row.what },
        { key: 'reason', name: 'Why', value: (row) => row.reason, text: (row) => row.reason },
        { key: 'host', name: 'Host', value: (row) => row.host, text: (row) => row.host, class: 'wide' },
      ],
    });
    this.quarantine = new Table({
      caption: 'Events that the database refuses', sort: { key: 'position' }, identity: (row) => String(row.position), empty: 'The database has refused nothing.',
      columns: [
        { key: 'position', name: 'Position', numeric: true, value: (row) => row.position, text: (row) => format.whole(row.position) },
        { key: 'kind', name: 'Kind', value: (row) => row.kind, text: (row) => row.kind },
        { key: 'sqlstate', name: 'SQLSTATE', value: (row) => row.sqlstate, text: (row) => row.sqlstate },
        { key: 'message', name: 'What it said', value: (row) => row.message, text: (row) => row.message },
        { key: 'at', name: 'When', value: (row) => row.at, text: (row) => format.clock(row.at) },
      ],
    });
    this.samplers = new Table({
      caption: 'Samplers', sort: { key: 'name' }, identity: (row) => row.name, empty: 'No sampler runs.',
      columns: [
        { key: 'name', name: 'Sampler', value: (row) => row.name, text: (row) => row.name },
        { key: 'state', name: 'State', value: (row) => row.state, cell: (row, cell) => fill(cell, h('span', { class: `badge sampler-${row.state}` }, row.state)) },
        { key: 'last', name: 'Last run', numeric: true, value: (row) => (row.last_run ? Date.parse(row.last_run) : null), text: (row) => format.ago(row.last_run) },
        { key: 'took', name: 'Took', numeric: true, value: (row) => row.last_duration_seconds, text: (row) => format.seconds(row.last_duration_seconds) },
        { key: 'events', name: 'Events', numeric: true, value: (row) => row.events_total, text: (row) => format.whole(row.events_total) },
        { key: 'missed', name: 'Missed ticks', numeric: true, value: (row) => row.missed_ticks, text: (row) => format.whole(row.missed_ticks), class: 'wide' },
        { key: 'error', name: 'Error', value: (row) => row.error, text: (row) => row.error ?? '' },
      ],
    });
    this.ingest = h('p', { class: 'faint' });
    this.jobs = h('div');
  }

  open() {
    const section = (name, ...content) => h('section', { 'aria-label': name }, h('h2', {}, name), content);
    fill(this.view.main, h('h1', { class: 'hidden' }, 'Pipeline'), this.tiles, this.trouble,
      section('The log, and what has reached the database', this.bar), this.jobs,
      section('Samplers', this.samplers.element, this.ingest),
      section('Known losses', this.gaps.element),
      section('Quarantine', h('p', { class: 'faint' }, 'Events that the database refuses stay in the log. ', h('code', {}, 'tailwater quarantine retry'), ' tries them again.'), this.quarantine.element));
    this.view.repeat(PACE, () => this.loadStatus());
    this.view.repeat(60, async () => this.gaps.show(await this.view.ask('/api/gaps', { from: '-30d', limit: 200 })));
    this.view.repeat(20, () => this.loadQuarantine());
    this.view.told(this.view.moves ? 'live' : 'off');
  }

  // A database that is known to be away is not asked: the browser would log each refusal as an error.
  async loadQuarantine() {
    const { projection } = (await ask('/api/status')).body;
    if (projection.state === 'waiting') {
      this.quarantine.show([]);
      this.quarantine.empty.textContent = 'Only the database knows, and it is away.';
      return;
    }
    try {
      this.quarantine.show((await ask('/api/quarantine')).body);
      this.quarantine.empty.textContent = 'The database has refused nothing.';
    } catch (error) {
      if (error.status !== 503) throw error;
      this.quarantine.show([]);
      this.quarantine.empty.textContent = `Only the database knows: ${error.message}`;
    }
  }

  async loadStatus() {
    const [{ body: status }, { body: log }] = await Promise.all([ask('/api/status'), ask('/api/log')]);
    if (this.view.isClosed) return;
    this.#remember(status);
    this.#drawTiles(status, log);
    this.#drawTrouble(status);
    fill(this.bar, positions(status, log));
    this.samplers.show(status.samplers);
    const { ingest } = status;
    const where = ingest.state === 'listening' ? `Listening at ${ingest.address}` : `HTTP: ${ingest.state}${ingest.error ? `, ${ingest.error}` : ''}`;
    this.ingest.textContent = `${where}: ${format.counted(ingest.requests, 'request')}, ${format.counted(ingest.events, 'event')} posted, ${format.counted(ingest.otlp_usage_events, 'call')} by OTLP, ${format.whole(ingest.rejected)} refused.`;
    fill(this.jobs, status.jobs.map((job) => h('p', { class: 'notice info' }, `Replay: ${JSON.stringify(job)}`)));
  }

  #remember(status) {
    const at = Date.now();
    const before = this.#readings.at(-1);
    const next = status.log.next_position;
    const passed = before ? (at - before.at) / 1_000 : 0;
    const appended = before && next >= before.next && passed > 0 ? (next - before.next) / passed : null;
    this.#readings.push({ at, next, appended, lag: status.projection.lag_events });
    if (this.#readings.length > POINTS) this.#readings.shift();
  }

  #drawTiles(status, log) {
    const { projection } = status;
    const lately = this.#readings.slice(-10).map((reading) => reading.appended).filter((value) => value !== null);
    const rate = lately.length ? lately.reduce((sum, value) => sum + value, 0) / lately.length : null;
    const line = (field) => {
      const values = this.#readings.map((reading) => reading[field]);
      return spark([...new Array(POINTS - values.length).fill(null), ...values]);
    };
    const tile = (name, value, { hint, more, bad } = {}) => h('div', { title: hint, class: bad ? 'bad' : null }, h('dt', {}, name), h('dd', {}, value, more ? [' ', more] : null));
    const perSecond = rate === null ? format.ABSENT : `${rate < 10 ? rate.toFixed(1) : format.count(rate)}/s`;
    const lag = projection.lag_events === null ? format.ABSENT : projection.lag_events < 10_000 ? format.counted(projection.lag_events, 'event') : `${format.count(projection.lag_events)} events`;
    fill(this.tiles,
      tile('Recording', status.recording.state, { bad: status.recording.state !== 'ok', hint: status.recording.error }),
      tile('Appended', perSecond, { more: line('appended') }),
      tile('Database', WORDS[projection.state] ?? projection.state, { bad: ['waiting', 'halted'].includes(projection.state) }),
      tile('Behind', lag, { more: projection.lag_events === null ? null : line('lag'), hint: projection.lag_seconds === null ? null : `the oldest is ${format.seconds(projection.lag_seconds)} old` }),
      tile('Log', format.bytes(log.bytes), { hint: `${format.whole(log.events)} events of ${format.bytes(log.bytes_per_event)} each, in ${log.segments} segments` }),
      tile('Covers', log.covers_from ? format.ago(log.covers_from).replace(' ago', '') : format.ABSENT, { hint: log.covers_from ? `from ${format.clock(log.covers_from)} on` : null }),
      tile('Lost', format.whole(status.gaps.events), { bad: status.gaps.events > 0, hint: 'Events that are known to be lost' }),
      tile('Quarantine', format.whole(status.quarantine.events), { bad: status.quarantine.events > 0 }));
  }

  #drawTrouble({ recording, projection }) {
    const lines = [];
    if (recording.error) lines.push(['bad', `Recording: ${recording.error}`]);
    if (projection.outage_since) {
      lines.push(['warn', `The database has been away since ${format.clock(projection.outage_since)}. Recording goes on; what is recorded is sent when it is back.`]);
    }
    if (projection.error) lines.push([projection.state === 'halted' ? 'bad' : 'warn', projection.error]);
    const text = JSON.stringify(lines);
    if (this.told === text) return;
    this.told = text;
    fill(this.trouble, lines.map(([level, line]) => h('p', { class: `notice ${level}`, role: 'status' }, line)));
  }
}

/// All positions of the log as one bar: what the database has, what it has not yet, and holes.
function positions(status, log) {
  const { projection } = status;
  const first = 1;
  const next = log.next_position;
  if (next <= first) return h('p', { class: 'empty' }, 'The log is empty.');
  const total = next - first;
  const parts = [];
  const isKnown = projection.ranges.length > 0;
  const pending = [];
  for (const range of projection.ranges) {
    const end = range.hi ?? next;
    if (range.next < end) pending.push({ from: range.next, to: Math.min(end, next) - 1 });
  }
  if (isKnown) parts.push({ kind: 'done', from: first, to: next - 1 });
  for (const range of pending) if (range.from <= range.to) parts.push({ kind: 'pending', ...range });
  for (const hole of log.holes) parts.push({ kind: 'hole', from: hole.from, to: hole.to, cause: hole.cause });
  const inPending = pending.reduce((sum, range) => sum + Math.max(0, range.to - range.from + 1), 0);
  const inHoles = log.holes.reduce((sum, hole) => sum + hole.events, 0);
  const names = { done: 'in the database', pending: 'not in the database yet', hole: 'no longer in the log' };
  const pieces = parts.map((part) => {
    const left = ((part.from - first) / total) * 100;
    const width = Math.max(0.15, ((part.to - part.from + 1) / total) * 100);
    const why = part.cause ? `: ${CAUSES[part.cause] ?? part.cause}` : '';
    return h('span', { class: `piece ${part.kind}`, style: `left:${left}%;width:${Math.min(width, 100 - left)}%`, title: `${format.whole(part.from)} – ${format.whole(part.to)} ${names[part.kind]}${why}` });
  });
  const words = [`${format.whole(total)} positions`];
  if (isKnown) words.push(`${format.whole(total - inPending)} done`, `${format.whole(inPending)} to come`);
  if (log.holes.length) words.push(`${format.whole(inHoles)} no longer in the log`);
  const key = (kind, text) => h('span', { class: 'key' }, h('span', { class: `swatch ${kind}`, 'aria-hidden': 'true' }), text);
  return [
    h('div', { class: 'positions', role: 'img', 'aria-label': `${words.join(', ')}.` }, pieces),
    h('p', { class: 'keys' }, isKnown ? [key('done', `in the database: ${format.whole(total - inPending)}`), key('pending', `to come: ${format.whole(inPending)}`)] : key('plain', `in the log: ${format.whole(log.events)}`), log.holes.length ? key('hole', `no longer in the log: ${format.whole(inHoles)}`) : null,
      h('span', { class: 'faint' }, `positions ${format.whole(first)} to ${format.whole(next - 1)}`)),
    projection.retries ? h('p', { class: 'faint' }, `Since tailwater began: ${format.counted(projection.sent, 'event')} sent, ${format.counted(projection.retries, 'attempt')} repeated.`) : null,
  ];
}
