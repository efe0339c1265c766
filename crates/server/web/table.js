// Tables that sort by a click on their heads, and change only where something changed.
import { fill, h, setText } from '/web/dom.js';

/// A table of rows. A column is `{ key, name, value(row), text(row), title?(row), cell?(row, td), numeric?, descends? }`:
/// `value` sorts, `text` is shown, and `cell` fills a cell that is more than text.
export class Table {
  #columns;
  #body = h('tbody');
  #heads = new Map();
  #lines = new Map();
  #sorted;

  constructor({ caption, columns, sort, onSort, identity, empty }) {
    this.#columns = columns;
    this.#sorted = sort;
    Object.assign(this, { identity, onSort });
    const heads = columns.map((column) => this.#head(column));
    this.empty = h('p', { class: 'empty', hidden: true }, empty ?? 'Nothing here.');
    const table = h('table', {}, h('caption', { class: 'hidden' }, caption), h('thead', {}, h('tr', {}, heads)), this.#body);
    this.element = h('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': caption }, table, this.empty);
  }

  #head(column) {
    const name = column.name;
    const button = h('button', { type: 'button', onclick: () => this.#sortBy(column) }, name);
    const head = h('th', { scope: 'col', class: classes(column), title: column.hint }, column.value ? button : name);
    this.#heads.set(column.key, head);
    return head;
  }

  #sortBy(column) {
    const { key, descends } = this.#sorted;
    this.#sorted = { key: column.key, descends: key === column.key ? !descends : column.descends ?? Boolean(column.numeric) };
    this.onSort?.(this.#sorted);
    this.show(this.rows);
  }

  /// Shows these rows.
  show(rows) {
    this.rows = rows;
    const { key, descends } = this.#sorted;
    for (const [name, head] of this.#heads) {
      if (name === key) head.setAttribute('aria-sort', descends ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    }
    const column = this.#columns.find((it) => it.key === key) ?? this.#columns[0];
    const ordered = column.value ? [...rows].sort((a, b) => this.#compare(column, descends, a, b)) : rows;
    const lines = ordered.map((row) => this.#line(row));
    const kept = new Set(ordered.map(this.identity));
    for (const identity of this.#lines.keys()) if (!kept.has(identity)) this.#lines.delete(identity);
    const there = this.#body.children;
    if (there.length !== lines.length || lines.some((line, at) => there[at] !== line)) fill(this.#body, lines);
    this.empty.hidden = rows.length > 0;
  }

  /// What is absent stands last, whichever way the rest is sorted.
  #compare(column, descends, a, b) {
    const [left, right] = [column.value(a), column.value(b)];
    const isAbsent = (value) => value === null || value === undefined || value === '';
    if (isAbsent(left) || isAbsent(right)) return Number(isAbsent(left)) - Number(isAbsent(right)) || this.#tie(a, b);
    const order = typeof left === 'string' ? left.localeCompare(right, 'en', { numeric: true }) : left - right;
    return (descends ? -order : order) || this.#tie(a, b);
  }

  #tie(a, b) {
    return this.identity(a).localeCompare(this.identity(b), 'en', { numeric: true });
  }

  #line(row) {
    const identity = this.identity(row);
    let line = this.#lines.get(identity);
    if (!line) {
      const cells = this.#columns.map((column, at) => {
        const attributes = { class: classes(column) };
        return at === 0 ? h('th', { scope: 'row', ...attributes }) : h('td', attributes);
      });
      line = h('tr', {}, cells);
      this.#lines.set(identity, line);
    }
    this.#columns.forEach((column, at) => {
      const cell = line.children[at];
      if (column.cell) column.cell(row, cell);
      else setText(cell, column.text(row));
      const title = column.title?.(row) ?? '';
      if (cell.title !== title) cell.title = title;
    });
    return line;
  }
}

function classes(column) {
  return [column.numeric ? 'number' : '', column.class ?? ''].join(' ').trim() || null;
}

/// What of a text search a row must have: every word, in any of these texts.
export function matches(words, texts) {
  const all = texts.join(' ').toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}
