// Questions by HTTP, and what is wrong when there is no answer.

/// A question that was not answered; `status` is 0 when nobody is there.
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/// Asks. Parameters that are null or empty are left out; lists are joined by commas.
/// The answer is `{ body, source, coversFrom, coversHosts }`.
export async function ask(path, parameters = {}, signal = null) {
  let response;
  try {
    response = await fetch(url(path, parameters), { signal, headers: { accept: 'application/json' } });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'tailwater does not answer. Is `tailwater run` still running?');
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, body?.detail ?? `HTTP ${response.status}`);
  return {
    body,
    source: response.headers.get('tailwater-source'),
    coversFrom: response.headers.get('tailwater-covers-from'),
    coversHosts: response.headers.get('tailwater-covers-hosts'),
  };
}

/// The address of a question, also for a link to its CSV.
export function url(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    const text = Array.isArray(value) ? value.join(',') : value;
    if (text !== null && text !== undefined && text !== '') query.set(key, text);
  }
  return query.size ? `${path}?${query}` : path;
}

/// Saves an answer as a file of CSV.
export async function saveCsv(path, parameters, name) {
  const response = await fetch(url(path, parameters), { headers: { accept: 'text/csv' } });
  if (!response.ok) throw new ApiError(response.status, `HTTP ${response.status}`);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await response.blob());
  link.download = `${name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
