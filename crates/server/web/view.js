// What a page has while somebody looks at it: a range, loads that repeat, live events, and an end of all that.
import { ask } from '/web/api.js';
import { paced } from '/web/dom.js';
import { follow } from '/web/live.js';
import * as notices from '/web/notices.js';
import { rangeOf } from '/web/range.js';

export class View {
  #ends = [];
  #abort = new AbortController();
  #failures = new Map();
  #status = null;
  #works = 0;

  constructor({ main, route, usualRange, isLive, told }) {
    Object.assign(this, { main, route, usualRange, told });
    this.isLive = isLive;
  }

  /// The range, as of now.
  get range() {
    return rangeOf(this.route.query, this.usualRange);
  }

  /// Whether the page changes by itself.
  get moves() {
    return this.isLive && this.range.moves;
  }

  get isClosed() {
    return this.#abort.signal.aborted;
  }

  /// Asks; the notices tell where the answer came from. An answer that comes after the page was left is an error.
  async ask(path, parameters) {
    const answer = await ask(path, parameters, this.#abort.signal);
    if (answer.source !== null) {
      if (answer.source === 'log') this.#status ??= (await ask('/api/status', {}, this.#abort.signal)).body;
      else this.#status = null;
      notices.answered(answer, this.#status);
    }
    return answer.body;
  }

  /// Runs `work` now and, while the page is live, every so many seconds; returns what runs it soon, when something has
  /// happened. One run is under way at a time.
  repeat(seconds, work) {
    let running = false;
    let again = false;
    const key = {};
    const run = async () => {
      if (running) {
        again = true;
        return;
      }
      running = true;
      try {
        await work();
        this.#failures.delete(key);
      } catch (error) {
        if (this.isClosed) return;
        this.#failures.set(key, error);
        if (!('status' in error)) console.error(error);
      } finally {
        running = false;
      }
      if (this.isClosed) return;
      const [first = null] = this.#failures.values();
      notices.failed(first);
      if (again) {
        again = false;
        soon();
      }
    };
    const soon = paced(1_000, run);
    this.#ends.push(soon.cancel);
    const timer = setInterval(() => {
      if (this.moves && !document.hidden) run();
    }, seconds * 1_000);
    this.#ends.push(() => clearInterval(timer));
    this.first = this.busy(run());
    return soon;
  }

  /// Until this is done, the page says that it is busy.
  async busy(work) {
    this.#works += 1;
    this.main.setAttribute('aria-busy', 'true');
    try {
      return await work;
    } finally {
      this.#works -= 1;
      if (this.#works === 0 && !this.isClosed) this.main.removeAttribute('aria-busy');
    }
  }

  /// Calls `heard` for events while the page is live.
  follow(parameters, heard) {
    if (!this.moves) {
      this.told(this.range.moves ? 'off' : 'fixed');
      return;
    }
    this.told('waiting');
    this.#ends.push(follow(parameters, heard, (state) => this.told(state)));
  }

  /// Calls `work` when this page is left.
  atEnd(work) {
    this.#ends.push(work);
  }

  close() {
    this.#abort.abort();
    for (const end of this.#ends) end();
  }
}
