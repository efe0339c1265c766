// Charts by plotly.js, which is loaded when the first one is wanted.
import { h } from '/web/dom.js';
import { fromWall, wall } from '/web/format.js';
import { fix } from '/web/range.js';

let loading = null;

/// plotly.js.
export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = h('script', { src: '/web/plotly.js' });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null;
      reject(new Error('The charts could not be loaded.'));
    };
    document.head.append(script);
  });
  return loading;
}

/// Colours that people who see colours differently can tell apart (Okabe and Ito), light enough for dark pages.
export const COLOURS = ['#0090b2', '#e69f00', '#009e73', '#d55e00', '#9d7bd8', '#56b4e9', '#cc79a7', '#a8a800', '#7f8c8d', '#c44e52'];

export const STATE_COLOURS = {
  working: '#009e73',
  idle: '#8a949e',
  done: '#0090b2',
  stuck: '#e69f00',
  error: '#d5442f',
  stopped: '#5b6570',
};

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/// A figure of several panels with one time axis. A panel is `{ title, unit, traces, height?, kind? }`; its traces are plotly's.
export class Figure {
  #plot = h('div', { class: 'plot' });
  #drawn = null;
  #again;

  constructor(view, label) {
    this.element = h('figure', { class: 'chart', role: 'group', 'aria-label': label }, this.#plot);
    this.view = view;
    this.#again = () => this.#drawn && this.draw(...this.#drawn);
    document.addEventListener('theme', this.#again);
    view.atEnd(() => {
      document.removeEventListener('theme', this.#again);
      if (window.Plotly) window.Plotly.purge(this.#plot);
    });
  }

  draw(panels, range, gaps = []) {
    return this.view.busy(this.#draw(panels, range, gaps));
  }

  async #draw(panels, { start, end }, gaps) {
    this.#drawn = [panels, { start, end }, gaps];
    const Plotly = await plotly();
    if (this.view.isClosed) return;
    const isNew = !this.#plot.layout;
    const { traces, layout } = arranged(panels, { start, end }, gaps, this.#plot.clientWidth || 800);
    this.#plot.style.height = `${layout.height}px`;
    const config = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false, doubleClick: false };
    await Plotly.react(this.#plot, traces, layout, config);
    if (isNew) {
      this.#plot.on('plotly_relayout', (change) => this.#zoomed(change));
    }
  }

  /// A range that somebody drew becomes the page's, in the address: every page and every panel has it.
  #zoomed(change) {
    const [from, to] = [change['xaxis.range[0]'], change['xaxis.range[1]']];
    if (from === undefined || to === undefined) return;
    fix(fromWall(from), fromWall(to));
  }
}

function arranged(panels, { start, end }, gaps, width) {
  const narrow = width < 600;
  const heights = panels.map((panel) => panel.height ?? 130);
  const told = panels.map((panel) => panel.traces.filter((trace) => trace.y.some((value) => value !== null)));
  // Where there is no room beside a title, names stand below it, two in a line.
  const keys = told.map((traces) => (narrow ? Math.ceil(traces.filter((trace) => trace.showlegend !== false).length / 2) * 18 : 0));
  const above = keys.map((key) => 44 + key);
  const total = heights.reduce((sum, height, at) => sum + height + above[at], 0);
  const ink = style('--ink');
  const line = style('--line');
  const margin = { l: narrow ? 70 : 78, r: narrow ? 8 : 16, t: 0, b: 44 };
  const layout = {
    height: total + margin.t + margin.b,
    margin,
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    font: { color: ink, size: 12, family: 'system-ui, sans-serif' },
    hovermode: 'x unified',
    hoverlabel: { bgcolor: style('--panel'), bordercolor: line, font: { color: ink } },
    barmode: 'stack',
    dragmode: 'zoom',
    showlegend: true,
    annotations: [],
    shapes: [],
    xaxis: {
      type: 'date',
      range: [wall(start), wall(end)],
      gridcolor: line,
      linecolor: line,
      zeroline: false,
      anchor: panels.length === 1 ? 'y' : `y${panels.length}`,
      tickfont: { color: ink },
    },
  };
  const traces = [];
  let top = 0;
  panels.forEach((panel, at) => {
    const number = at === 0 ? '' : String(at + 1);
    const low = 1 - (top + above[at] + heights[at]) / total;
    const high = 1 - (top + above[at]) / total;
    layout[`yaxis${number}`] = {
      domain: [Math.max(0, low), high],
      gridcolor: line,
      zeroline: false,
      fixedrange: true,
      rangemode: 'tozero',
      nticks: 4,
      tickfont: { color: ink },
      ...panel.axis,
    };
    const legend = `legend${number}`;
    layout[legend] = {
      orientation: 'h', x: narrow ? 0 : 1, xanchor: narrow ? 'left' : 'right', y: high, yanchor: 'bottom', bgcolor: 'rgba(0,0,0,0)', font: { size: 11 },
      itemclick: 'toggle', traceorder: 'normal',
    };
    layout.annotations.push({
      text: `<b>${panel.title}</b>${panel.unit ? ` <span>${panel.unit}</span>` : ''}`,
      xref: 'paper', x: 0, xanchor: 'left', yref: 'paper', y: high, yanchor: 'bottom', yshift: keys[at], showarrow: false, font: { size: 12.5, color: ink },
    });
    const isEmpty = told[at].length === 0;
    if (isEmpty) {
      layout.annotations.push({
        text: panel.empty ?? 'nothing in this range',
        xref: 'paper', x: 0.5, yref: 'paper', y: (Math.max(0, low) + high) / 2, showarrow: false, font: { size: 12, color: style('--faint') },
      });
      layout[`yaxis${number}`].showticklabels = false;
      layout[`yaxis${number}`].range = [0, 1];
    }
    for (const trace of told[at]) traces.push({ ...trace, xaxis: 'x', yaxis: `y${number}`, legend });
    if (isEmpty) traces.push({ x: [wall(start)], y: [null], xaxis: 'x', yaxis: `y${number}`, showlegend: false, hoverinfo: 'skip', mode: 'lines' });
    top += above[at] + heights[at];
  });
  for (const lost of gaps) {
    layout.shapes.push({
      type: 'rect', xref: 'x', x0: wall(lost.from), x1: wall(lost.to), yref: 'paper', y0: 0, y1: 1, layer: 'below', line: { width: 0 },
      fillcolor: style('--lost'),
    });
  }
  return { traces, layout };
}

/// A line.
export function line(name, x, y, colour, more = {}) {
  return { type: 'scatter', mode: x.length === 1 ? 'markers' : 'lines', name, x, y, connectgaps: false, line: { color: colour, width: 1.6 }, marker: { color: colour, size: 5 }, ...more };
}

/// Bars that stand on each other.
export function bars(name, x, y, colour, seconds, more = {}) {
  // A bar stands at the middle of its bucket, and is as wide.
  return { type: 'bar', name, x, y, marker: { color: colour }, width: seconds * 900, offset: 0, ...more };
}
