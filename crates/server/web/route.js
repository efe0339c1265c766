// Where somebody is, in the part of the address behind `#`: `#/agent/zen?from=-6h`. It can be kept and sent.

/// The route of the address: a page, what of it, and parameters.
export function current() {
  const [path, query = ''] = location.hash.replace(/^#/, '').split('?', 2);
  const [page = '', ...rest] = path.split('/').filter((part) => part !== '');
  return { page: page || 'fleet', name: rest.length ? decodeURIComponent(rest.join('/')) : null, query: new URLSearchParams(query) };
}

/// The address of a page; the time range goes along.
export function address(page, name = null, parameters = {}) {
  const query = new URLSearchParams();
  for (const kept of ['from', 'to']) {
    const value = current().query.get(kept);
    if (value !== null) query.set(kept, value);
  }
  for (const [key, value] of Object.entries(parameters)) {
    if (value === null || value === '') query.delete(key);
    else query.set(key, value);
  }
  const tail = query.size ? `?${query}` : '';
  return `#/${page}${name === null ? '' : `/${encodeURIComponent(name)}`}${tail}`;
}

/// The address of this page with other parameters; null removes one.
export function withParameters(changes) {
  const { page, name, query } = current();
  return address(page, name, { ...Object.fromEntries(query), ...changes });
}

/// Goes there; `replace` leaves no trace in the history, for what is typed letter by letter.
export function go(to, { replace = false } = {}) {
  if (replace) {
    history.replaceState(null, '', to);
    window.dispatchEvent(new Event('hashchange'));
  } else {
    location.hash = to;
  }
}
