// What to do when there is nothing to look at yet.
import { ask } from '/web/api.js';
import { h } from '/web/dom.js';

/// The first page: what records by itself, and what needs a word.
export async function welcome(view) {
  const { body: status } = await ask('/api/status', {});
  if (view.isClosed) return null;
  const samplers = status.samplers.map((sampler) => h('li', {},
    h('span', { class: `badge sampler-${sampler.state}` }, sampler.state), ' ', h('strong', {}, sampler.name), sampler.error ? ` – ${sampler.error}` : said(sampler)));
  const isProjecting = status.projection.state !== 'disabled';
  return h('section', { class: 'welcome', 'aria-label': 'First steps' },
    h('h2', {}, 'tailwater records. No agent has been seen yet.'),
    h('p', {}, `This machine (${status.log.host}) is sampled; ${status.log.next_position - 1} events are in the log. Agents appear here by themselves as soon as one of these is there:`),
    h('ul', { class: 'plain' }, samplers),
    h('h3', {}, 'An agent in tmux'),
    h('p', {}, 'Every tmux session is an agent, by the name of the session:'),
    code('tmux new-session -d -s zen claude'),
    h('h3', {}, 'Claude Code and Codex'),
    h('p', {}, 'Their transcripts are read where they are: tokens and costs come by themselves, those of the past too.'),
    h('h3', {}, 'Anything else'),
    h('p', {}, 'Whatever can post can record. Try it:'),
    code(`tailwater record agent --agent zen --cpu-percent 12.5\ncurl -sS ${location.origin}/api/events -H 'content-type: application/json' \\\n  -d '{"kind":"agent_state","time":"'$(date -u +%Y-%m-%dT%H:%M:%SZ)'","agent_name":"zen","state":"working"}'`),
    h('h3', {}, isProjecting ? 'The database' : 'A database, when you want one'),
    isProjecting
      ? h('p', {}, 'One is set: ', h('a', { href: '#/pipeline' }, 'the pipeline'), ' tells how far it is.')
      : h('p', {}, 'Nothing needs one. With TAILWATER_DATABASE_URL (TimescaleDB or PostgreSQL) all that was recorded goes there, from the first event on, and outages lose nothing.'));
}

function said({ state, name }) {
  if (state !== 'idle') return '';
  const missing = { tmux: ' – no server is running', docker: ' – no engine was found', transcripts: ' – no transcripts were found' };
  return missing[name] ?? '';
}

function code(text) {
  const copy = h('button', { type: 'button', class: 'quiet', onclick: async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = 'Copied';
  } }, 'Copy');
  return h('div', { class: 'code' }, h('pre', { tabindex: '0' }, h('code', {}, text)), copy);
}
