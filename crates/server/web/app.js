// Which page is shown, and the tools that all pages share.
import { fill, h } from '/web/dom.js';
import * as notices from '/web/notices.js';
import { picker } from '/web/range.js';
import { current, go } from '/web/route.js';
import { View } from '/web/view.js';
import * as agent from '/web/pages/agent.js';
import * as channels from '/web/pages/channels.js';
import * as fleet from '/web/pages/fleet.js';
import * as pipeline from '/web/pages/pipeline.js';
import * as system from '/web/pages/system.js';
import * as usage from '/web/pages/usage.js';

/// Each page: `title(route)`, `show(view)`, and maybe `usualRange`; without one it has no time range.
const PAGES = { fleet, agent, usage, channels, system, pipeline };

const LIVE = {
  live: ['Live', 'New events are shown as they come. Press to hold still.'],
  waiting: ['Connecting', 'Waiting for the stream of events; the page is still read again now and then.'],
  paused: ['Paused', 'Nobody looks at this page.'],
  off: ['Held', 'The page holds still. Press to go on.'],
  fixed: ['Fixed', 'The time range is a fixed one, and does not move on.'],
};

const main = document.getElementById('main');
const tools = document.getElementById('tools');
let view = null;
let isLive = true;
let shown = null;

function show() {
  const route = current();
  const page = PAGES[route.page];
  view?.close();
  main.removeAttribute('aria-busy');
  notices.forget();
  document.getElementById('keys')?.remove();
  for (const link of document.querySelectorAll('#pages a')) {
    const isHere = link.getAttribute('href') === `#/${route.page === 'agent' ? 'fleet' : route.page}`;
    if (isHere) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (!page) {
    document.title = 'No such page · tailwater';
    fill(tools);
    fill(main, h('h1', {}, 'No such page'), h('p', {}, h('a', { href: '#/fleet' }, 'Back to the fleet')));
    return;
  }
  document.title = `${page.title(route)} · tailwater`;
  const state = h('button', { type: 'button', id: 'live', onclick: toggleLive });
  const told = (what) => {
    const [text, title] = LIVE[what];
    state.dataset.state = what;
    state.title = title;
    state.disabled = what === 'fixed';
    fill(state, h('span', { class: 'dot', 'aria-hidden': 'true' }), text);
  };
  const theme = h('button', { type: 'button', title: 'Dark or light', 'aria-label': 'Dark or light', onclick: () => window.toggleTheme() }, '◐');
  fill(tools, page.usualRange ? picker(route.query, page.usualRange) : null, state, theme);
  view = new View({ main, route, usualRange: page.usualRange ?? '-1h', isLive, told });
  told(view.moves ? 'waiting' : view.range.moves ? 'off' : 'fixed');
  fill(main);
  // Somebody who goes to another page by keyboard begins at its top; a filter that is typed keeps the focus.
  if (shown !== null && shown !== route.page) main.focus({ preventScroll: true });
  shown = route.page;
  page.show(view);
}

function toggleLive() {
  isLive = !isLive;
  show();
  document.getElementById('live').focus();
}

const KEYS = [
  ['1 … 5', 'the pages, from left to right'],
  ['/', 'the filter'],
  ['l', 'live, or held'],
  ['t', 'dark or light'],
  ['?', 'these keys'],
];

function showKeys() {
  const close = () => dialog.remove();
  const rows = KEYS.map(([key, text]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, text)]);
  const dialog = h('dialog', { id: 'keys', 'aria-label': 'Keys', onclose: close }, h('dl', {}, rows),
    h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: close }, 'Close')));
  document.body.append(dialog);
  dialog.showModal();
}

function pressed(event) {
  const isTyped = event.target.closest?.('input, select, textarea, dialog');
  if (isTyped || event.ctrlKey || event.metaKey || event.altKey) return;
  const pages = [...document.querySelectorAll('#pages a')];
  const index = Number(event.key) - 1;
  if (event.key >= '1' && pages[index]) go(pages[index].getAttribute('href'));
  else if (event.key === '/') document.getElementById('filter')?.focus();
  else if (event.key === 'l') document.getElementById('live')?.click();
  else if (event.key === 't') window.toggleTheme();
  else if (event.key === '?') showKeys();
  else return;
  event.preventDefault();
}

window.addEventListener('hashchange', () => {
  // The link that skips the menu is not a page.
  if (location.hash === '#main') {
    main.focus();
    return;
  }
  show();
});
document.addEventListener('keydown', pressed);
show();
