// Time ranges: presets that end now and move on, and fixed ones.
import { go, withParameters } from '/web/route.js';
import { h } from '/web/dom.js';
import { clock } from '/web/format.js';

const PRESETS = [
  ['-15m', '15 minutes'],
  ['-1h', '1 hour'],
  ['-6h', '6 hours'],
  ['-24h', '24 hours'],
  ['-7d', '7 days'],
  ['-30d', '30 days'],
];
const INTERVALS = [10, 30, 60, 300, 600, 1800, 3600, 21_600, 86_400];
const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 };
/// How many points a chart has at the most: about one each three pixels.
const POINTS_MAX = 300;

/// The range of a route; `usual` is the preset of a page when the route names none.
export function rangeOf(query, usual = '-1h') {
  const from = query.get('from') ?? usual;
  const to = query.get('to');
  const now = Date.now();
  const start = instant(from, now) ?? now - 3_600_000;
  const end = (to && instant(to, now)) ?? now;
  return { from, to, start, end, moves: to === null };
}

function instant(text, now) {
  const relative = /^-(\d{1,5})([smhd])$/.exec(text);
  if (relative) return now - Number(relative[1]) * UNITS[relative[2]] * 1000;
  const time = Date.parse(text);
  return Number.isNaN(time) ? null : time;
}

/// The parameters of a question about a range.
export function asked(range) {
  return range.to === null ? { from: range.from } : { from: range.from, to: range.to };
}

/// A length of buckets, in seconds, that makes a chart of this range smooth and not slow.
export function bucketSeconds(range) {
  const length = (range.end - range.start) / 1000;
  return INTERVALS.find((interval) => length / interval <= POINTS_MAX) ?? 86_400;
}

/// The same as the parameter `interval`.
export function interval(range) {
  const length = bucketSeconds(range);
  if (length >= 86_400) return '1d';
  if (length >= 3600) return `${length / 3600}h`;
  return length >= 60 ? `${length / 60}m` : `${length}s`;
}

/// Goes to a fixed range.
export function fix(start, end) {
  const time = (at) => new Date(at).toISOString();
  go(withParameters({ from: time(start), to: time(Math.max(end, start + 1000)) }));
}

/// What chooses a range.
export function picker(query, usual) {
  const range = rangeOf(query, usual);
  const isPreset = range.moves && PRESETS.some(([value]) => value === range.from);
  const options = PRESETS.map(([value, text]) => h('option', { value, selected: isPreset && value === range.from }, `Last ${text}`));
  if (!isPreset) {
    const end = range.moves ? 'now' : clock(range.end);
    options.unshift(h('option', { value: 'this', selected: true }, `${clock(range.start)} to ${end}`));
  }
  options.push(h('option', { value: 'other' }, 'Other …'));
  const select = h('select', { 'aria-label': 'Time range', id: 'range' }, options);
  select.addEventListener('change', () => {
    if (select.value === 'other') choose(range);
    else if (select.value !== 'this') go(withParameters({ from: select.value, to: null }));
  });
  return select;
}

function choose(range) {
  const local = (at) => {
    const date = new Date(at - new Date(at).getTimezoneOffset() * 60_000);
    return date.toISOString().slice(0, 16);
  };
  const from = h('input', { type: 'datetime-local', value: local(range.start), required: true, name: 'from' });
  const to = h('input', { type: 'datetime-local', value: local(range.end), name: 'to' });
  const problem = h('p', { class: 'problem', role: 'alert' });
  const close = () => dialog.remove();
  const apply = (event) => {
    event.preventDefault();
    const start = Date.parse(from.value);
    const end = to.value === '' ? null : Date.parse(to.value);
    if (Number.isNaN(start) || (end !== null && end <= start)) {
      problem.textContent = 'The end must be after the beginning.';
      return;
    }
    close();
    if (end === null) go(withParameters({ from: new Date(start).toISOString(), to: null }));
    else fix(start, end);
  };
  const dialog = h('dialog', { 'aria-label': 'Another time range', onclose: close },
    h('form', { onsubmit: apply },
      h('label', {}, 'From', from),
      h('label', {}, 'To (empty: now, and moving on)', to),
      problem,
      h('div', { class: 'buttons' },
        h('button', { type: 'button', onclick: close }, 'Leave it'),
        h('button', { type: 'submit', class: 'primary' }, 'Show'))));
  document.body.append(dialog);
  dialog.showModal();
}
