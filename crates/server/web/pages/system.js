// The systems: hosts, databases, daemons; and what charts of samples have in common.
import { saveCsv } from '/web/api.js';
import { COLOURS, Figure, line } from '/web/charts.js';
import { fill, h } from '/web/dom.js';
import * as format from '/web/format.js';
import * as notices from '/web/notices.js';
import { asked, interval } from '/web/range.js';
import { address, go } from '/web/route.js';
import { column, groups } from '/web/series.js';

export const title = (route) => route.name ?? 'Systems';
export const usualRange = '-1h';

export function show(view) {
  const host = view.route.query.get('host');
  const choices = h('div', { class: 'chips', role: 'group', 'aria-label': 'Systems' });
  const heading = h('h1', {}, view.route.name ?? 'Systems');
  const figure = new Figure(view, `CPU, memory, network and disk of ${view.route.name ?? 'the systems'}`);
  const lost = h('p', { class: 'faint' });
  const empty = h('p', { class: 'empty', hidden: true }, 'No system was sampled in this range.');
  fill(view.main, h('div', { class: 'bar' }, heading, choices, csvButton(view, '/api/system/stats/cpu', () => ({ system: view.route.name, host }), 'systems')), empty, figure.element, lost);

  const load = async () => {
    const range = view.range;
    const over = { ...asked(range), interval: interval(range) };
    const [all, gaps] = await Promise.all([
      view.ask('/api/system/stats/cpu', { ...over, fill: 'true' }),
      view.ask('/api/gaps', asked(range)),
    ]);
    const systems = groups(all, (row) => `${row.system_name}\u0000${row.host}`);
    const names = [...systems.keys()].map((key) => key.split('\u0000'));
    const wanted = names.find(([name, its]) => name === view.route.name && (host === null || its === host)) ?? (view.route.name === null ? names.find(([name, its]) => name === its) ?? names[0] : undefined);
    const chips = names.map(([name, its]) => h('button', {
      type: 'button', class: 'chip', 'aria-pressed': String(name === wanted?.[0] && its === wanted?.[1]), onclick: () => go(address('system', name, { host: its })),
    }, name === its ? name : `${name} on ${its}`));
    fill(choices, chips);
    heading.textContent = wanted?.[0] ?? view.route.name ?? 'Systems';
    empty.hidden = wanted !== undefined;
    figure.element.hidden = wanted === undefined;
    if (wanted) await figure.draw(samplePanels(systems.get(wanted.join('\u0000')), 'nothing in this range'), range, gaps);
    lost.textContent = gapsText(gaps);
  };
  const soon = view.repeat(15, load);
  view.follow({ kind: ['system_sample'] }, soon);
}

/// The panels of samples: CPU, memory, network and disk.
export function samplePanels(rows, withoutNetwork) {
  const times = column(rows, 'time').map(format.wall);
  const of = (name, field, at, more) => line(name, times, column(rows, field), COLOURS[at], more);
  const limits = column(rows, 'mem_limit_bytes');
  const used = column(rows, 'mem_used_bytes');
  const most = Math.max(0, ...used.filter((value) => value !== null));
  const isNear = limits.some((limit) => limit !== null && limit < most * 4);
  const shown = (field, show) => ({ text: column(rows, field).map(show), hovertemplate: '%{text}' });
  const memory = [of('used', 'mem_used_bytes', 0, shown('mem_used_bytes', format.bytes))];
  if (isNear) memory.push(of('limit', 'mem_limit_bytes', 3, { line: { dash: 'dot', width: 1, color: COLOURS[3] }, ...shown('mem_limit_bytes', format.bytes) }));
  const rate = (name, field, at) => of(name, field, at, shown(field, format.rate));
  const network = [rate('received', 'net_rx_per_second', 0), rate('sent', 'net_tx_per_second', 1)];
  const disk = [rate('read', 'disk_read_per_second', 0), rate('written', 'disk_write_per_second', 1)];
  return [
    { title: 'CPU', unit: '%, 100 is one core', traces: [of('CPU', 'cpu_percent', 0, { hovertemplate: '%{y:.1f} %', showlegend: false })], axis: { ticksuffix: ' %' } },
    { title: 'Memory', unit: 'bytes', traces: memory, axis: byteTicks(memory, format.bytes) },
    { title: 'Network', unit: 'bytes per second', traces: network, axis: byteTicks(network, format.rate), empty: withoutNetwork },
    { title: 'Disk', unit: 'bytes per second', traces: disk, axis: byteTicks(disk, format.rate) },
  ];
}

/// Marks at round numbers of bytes, for plotly knows no powers of 1024.
function byteTicks(traces, show) {
  const most = Math.max(0, ...traces.flatMap((trace) => trace.y).filter((value) => value !== null));
  if (most === 0) return {};
  let step = 1;
  while (most / step > 4) step *= 2;
  const tickvals = [];
  for (let at = 0; at <= most * 1.05; at += step) tickvals.push(at);
  return { tickvals, ticktext: tickvals.map(show), range: [0, most * 1.08] };
}

/// What was lost in a range, in words.
export function gapsText(gaps) {
  if (gaps.length === 0) return '';
  const events = gaps.reduce((total, gap) => total + gap.events, 0);
  const newest = gaps.at(0);
  return `Shaded: ${format.counted(events, 'event')} known to be lost in ${gaps.length === 1 ? 'one gap' : `${gaps.length} gaps`}, the newest at ${format.clock(newest.from)} (${newest.what}: ${newest.reason}).`;
}

/// A button that saves what a page shows.
export function csvButton(view, path, parameters, name) {
  const save = () => saveCsv(path, { ...parameters(), ...asked(view.range), interval: interval(view.range) }, name).catch(notices.failed);
  return h('button', { type: 'button', class: 'quiet', onclick: save }, 'Save CSV');
}
