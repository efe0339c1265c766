// The lines above a page: where answers come from, and what is wrong.
import { fill, h } from '/web/dom.js';
import { clock } from '/web/format.js';

const place = document.getElementById('notices');
let lines = new Map();

function draw() {
  fill(place, [...lines.values()].map(({ level, content }) => h('p', { class: `notice ${level}` }, content)));
}

function set(key, level, ...content) {
  const text = content.map((part) => part.textContent ?? part).join('');
  if (lines.get(key)?.text === text) return;
  lines.set(key, { level, content, text });
  draw();
}

function clear(key) {
  if (lines.delete(key)) draw();
}

/// Forgets all, for another page.
export function forget() {
  lines = new Map();
  draw();
}

/// A question failed, or none does any more.
export function failed(error) {
  if (error === null) clear('error');
  else set('error', 'bad', error.message);
}

/// Where an answer came from.
export function answered({ source, coversFrom, coversHosts }, status) {
  if (source === null) return;
  if (source === 'database') {
    clear('source');
    return;
  }
  const since = coversFrom ? `, which begins ${clock(coversFrom)}` : '';
  const hosts = coversHosts ? ` and knows ${coversHosts} only` : '';
  const away = status && status.projection.state !== 'disabled';
  if (away) {
    const outage = status.projection.outage_since;
    const for_ = outage ? ` since ${clock(outage)}` : '';
    set('source', 'warn', h('strong', {}, 'From the log'), `: the database is away${for_}. This is from this machine's log${since}${hosts}. Nothing is lost.`);
  } else {
    set('source', 'info', h('strong', {}, 'From the log'), `: no database is set. This is from this machine's log${since}${hosts}.`);
  }
}
