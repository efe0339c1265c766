// Events as they come. A page that nobody looks at lets go of its stream: browsers have few connections to one server.

/// Calls `heard(kind, event)` for each event of these kinds until `close()`; `told` gets `live`, `waiting` or `paused`.
export function follow(parameters, heard, told) {
  let source = null;
  let last = null;
  const kinds = [...parameters.kind, 'hole'];

  const open = () => {
    const query = new URLSearchParams({ kind: parameters.kind.join(',') });
    if (parameters.agent) query.set('agent', parameters.agent);
    if (last !== null) query.set('after', last);
    source = new EventSource(`/api/live?${query}`);
    source.onopen = () => told('live');
    source.onerror = () => {
      told('waiting');
      // The browser comes again by itself, unless the answer was no stream: as when all places are taken.
      if (source.readyState === EventSource.CLOSED) setTimeout(reopen, 5_000);
    };
    for (const kind of kinds) {
      source.addEventListener(kind, (message) => {
        last = message.lastEventId;
        heard(kind, JSON.parse(message.data));
      });
    }
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const reopen = () => {
    if (source === null) return;
    close();
    open();
  };
  const look = () => {
    if (document.hidden) {
      close();
      told('paused');
    } else if (source === null) {
      // What came meanwhile is asked for as a whole: a page need not see each event.
      last = null;
      open();
      heard('again', null);
    }
  };
  document.addEventListener('visibilitychange', look);
  if (!document.hidden) open();
  return () => {
    document.removeEventListener('visibilitychange', look);
    close();
  };
}
