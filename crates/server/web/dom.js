// Elements, made so that what events say is always text.

/// An element: `h('a', {href: '#', class: 'x', onclick: f}, 'text', child, [more])`. Attributes that are null are left out.
export function h(name, attributes = {}, ...children) {
  return dress(document.createElement(name), attributes, children);
}

/// The same for SVG.
export function svg(name, attributes = {}, ...children) {
  return dress(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function dress(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

/// Sets the children when they differ in number or kind from those that are there; else leaves what has the focus alone.
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

/// Sets a text if it is another one, so that nothing is drawn anew for nothing.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/// Calls `work` at most once in so many milliseconds, the last time always.
export function paced(milliseconds, work) {
  let timer = null;
  const call = () => {
    timer ??= setTimeout(() => {
      timer = null;
      work();
    }, milliseconds);
  };
  call.cancel = () => {
    clearTimeout(timer);
    timer = null;
  };
  return call;
}
