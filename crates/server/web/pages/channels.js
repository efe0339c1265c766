// Channels: where agents talk.
import { bars, COLOURS, Figure, line } from '/web/charts.js';
import { fill, h } from '/web/dom.js';
import * as format from '/web/format.js';
import { asked, bucketSeconds, interval } from '/web/range.js';
import { column, groups, largest, sum } from '/web/series.js';
import { Table } from '/web/table.js';
import { csvButton } from '/web/pages/system.js';

export const title = () => 'Channels';
export const usualRange = '-24h';

const SERIES_MAX = 9;

export function show(view) {
  const figure = new Figure(view, 'Messages, reactions and members of channels over time');
  const number = (field, text, hint) => ({ key: field, name: text, numeric: true, value: (row) => row[field], text: (row) => format.count(row[field]), hint });
  const table = new Table({
    caption: 'Channels in this range',
    columns: [
      { key: 'name', name: 'Channel', value: (row) => row.name, text: (row) => row.name },
      number('messages', 'Messages'),
      number('reactions', 'Reactions'),
      number('members', 'Members', 'At the last sample'),
      { key: 'seen', name: 'Last seen', numeric: true, value: (row) => Date.parse(row.time), text: (row) => format.clock(row.time) },
    ],
    sort: { key: 'messages', descends: true },
    identity: (row) => row.name,
    empty: 'No channel was told of in this range.',
  });
  const hint = h('div', { hidden: true },
    h('p', {}, 'Whoever runs a channel tells of it:'),
    h('pre', { tabindex: '0' }, h('code', {}, 'tailwater record channel --channel general --messages 3 --members 5')));
  fill(view.main, h('div', { class: 'bar' }, h('h1', {}, 'Channels'), csvButton(view, '/api/channels/stats/messages', () => ({}), 'channels')), figure.element, table.element, hint);

  const load = async () => {
    const range = view.range;
    const rows = await view.ask('/api/channels/stats/messages', { ...asked(range), interval: interval(range) });
    const totals = [...groups(rows, (row) => row.channel_name)].map(([name, its]) => ({
      name, messages: sum(its, 'message_count'), reactions: sum(its, 'reaction_count'), members: its.findLast((row) => row.member_count !== null)?.member_count ?? null, time: its.at(-1).time,
    }));
    table.show(totals);
    figure.element.hidden = rows.length === 0;
    hint.hidden = rows.length > 0;
    if (rows.length) await figure.draw(panels(rows, bucketSeconds(range)), range);
  };
  const soon = view.repeat(30, load);
  view.follow({ kind: ['channel_sample'] }, soon);
}

function panels(rows, seconds) {
  const first = largest(rows, (row) => row.channel_name, 'message_count', SERIES_MAX);
  const named = [...groups(rows, (row) => (first.has(row.channel_name) ? row.channel_name : 'others'))];
  const stacks = (field) => named.map(([name, its], at) => bars(name, column(its, 'time').map(format.wall), column(its, field), COLOURS[at % COLOURS.length], seconds, { showlegend: field === 'message_count', legendgroup: name }));
  const members = named.filter(([name]) => name !== 'others').map(([name, its], at) =>
    line(name, column(its, 'time').map(format.wall), column(its, 'member_count'), COLOURS[at % COLOURS.length], { showlegend: false, mode: 'lines+markers' }));
  return [
    { title: 'Messages', traces: stacks('message_count'), height: 180 },
    { title: 'Reactions', traces: stacks('reaction_count'), height: 110 },
    { title: 'Members', traces: members, height: 110 },
  ];
}
