// Rows of answers as series: times and values side by side.

/// Rows by what `key` says of each, in the order of their first rows.
export function groups(rows, key) {
  const all = new Map();
  for (const row of rows) {
    const name = key(row);
    const group = all.get(name);
    if (group) group.push(row);
    else all.set(name, [row]);
  }
  return all;
}

/// Columns of rows, as charts want them.
export function column(rows, name) {
  return rows.map((row) => row[name]);
}

/// The sum of what is known of a field; null when nothing is.
export function sum(rows, name) {
  let total = null;
  for (const row of rows) {
    if (row[name] !== null) total = (total ?? 0) + row[name];
  }
  return total;
}

/// A series' values at the last so many steps, null where there is no row: for a small line.
export function lately(rows, name, { start, step, points }) {
  const values = new Array(points).fill(null);
  for (const row of rows) {
    const at = Math.floor((Date.parse(row.time) - start) / step);
    if (at >= 0 && at < points) values[at] = row[name];
  }
  return values;
}

/// The names with the largest sums, the most of them `most`; the others are one, called `others`.
export function largest(rows, key, name, most) {
  const sums = [...groups(rows, key)].map(([group, its]) => [group, sum(its, name) ?? 0]);
  sums.sort((a, b) => b[1] - a[1]);
  return new Set(sums.slice(0, most).map(([group]) => group));
}

/// All that a row has of tokens.
export function tokens(row) {
  return row.input_tokens + row.output_tokens + row.cache_read + row.cache_create;
}
