// Small lines without axes. What is null is a gap.
import { svg } from '/web/dom.js';

const WIDTH = 96;
const HEIGHT = 22;

/// A line of these values from 0 to the largest of them, at least `top`; `label` is what a screen reader says.
export function spark(values, { top = 0, label = '' } = {}) {
  const high = Math.max(top, ...values.filter((value) => value !== null));
  const x = (at) => (values.length > 1 ? 1 + (at * (WIDTH - 2)) / (values.length - 1) : WIDTH / 2);
  const y = (value) => HEIGHT - 2 - (high > 0 ? (value / high) * (HEIGHT - 4) : 0);
  let path = '';
  const dots = [];
  values.forEach((value, at) => {
    if (value === null) return;
    const follows = at > 0 && values[at - 1] !== null;
    path += `${follows ? 'L' : 'M'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    const isAlone = !follows && (values[at + 1] ?? null) === null;
    if (isAlone) dots.push(svg('circle', { cx: x(at).toFixed(1), cy: y(value).toFixed(1), r: 1.3 }));
  });
  const line = svg('path', { d: path, fill: 'none' });
  const described = label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' };
  return svg('svg', { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, ...described }, line, dots);
}
