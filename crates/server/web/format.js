// Numbers and times as people read them. What is null is absent, never zero.

export const ABSENT = '–';

const known = (value) => value !== null && value !== undefined && Number.isFinite(Number(value));

const scaled = (value, base, units) => {
  let at = 0;
  let rest = Math.abs(value);
  while (rest >= base && at < units.length - 1) {
    rest /= base;
    at += 1;
  }
  const digits = at === 0 || rest >= 100 ? 0 : rest >= 10 ? 1 : 2;
  return `${value < 0 ? '-' : ''}${rest.toFixed(digits)}${units[at]}`;
};

export function percent(value) {
  if (!known(value)) return ABSENT;
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} %`;
}

export function bytes(value) {
  return known(value) ? scaled(value, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB']) : ABSENT;
}

export function rate(value) {
  return known(value) ? `${bytes(value)}/s` : ABSENT;
}

export function count(value) {
  if (!known(value)) return ABSENT;
  return value < 10_000 ? String(Math.round(value)) : scaled(value, 1000, ['', ' k', ' M', ' G', ' T', ' P']);
}

/// A count with all its digits, for titles and totals.
export function whole(value) {
  return known(value) ? Math.round(value).toLocaleString('en-US') : ABSENT;
}

export function dollars(value) {
  if (!known(value)) return ABSENT;
  if (value === 0) return '$0';
  if (value > 0 && value < 0.01) return '< $0.01';
  return value < 10_000 ? `$${value.toFixed(2)}` : `$${whole(value)}`;
}

export function seconds(value) {
  if (!known(value)) return ABSENT;
  if (value < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  if (value < 1) return `${(value * 1e3).toFixed(value < 0.01 ? 1 : 0)} ms`;
  if (value < 120) return `${value.toFixed(value < 10 ? 1 : 0)} s`;
  if (value < 7_200) return `${Math.floor(value / 60)} min`;
  if (value < 172_800) return `${Math.floor(value / 3_600)} h`;
  return `${Math.floor(value / 86_400)} d`;
}

/// How long ago that was.
export function ago(time, now = Date.now()) {
  if (!time) return ABSENT;
  const passed = (now - Date.parse(time)) / 1000;
  return passed < 1.5 ? 'now' : `${span(passed)} ago`;
}

/// A length of time in whole seconds, minutes, hours or days.
export function span(length) {
  return length < 120 ? `${Math.floor(length)} s` : seconds(length);
}

/// A number of things with their name.
export function counted(number, thing) {
  return `${whole(number)} ${thing}${number === 1 ? '' : 's'}`;
}

/// A time on this machine's clock, to the second; with its day when that is not today.
export function clock(time) {
  if (!time) return ABSENT;
  const date = new Date(time);
  const two = (number) => String(number).padStart(2, '0');
  const hours = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return date.toDateString() === new Date().toDateString() ? hours : `${day} ${hours}`;
}

/// A time as charts take it: what this machine's clocks on the wall show, for charts know no time zones.
export function wall(time) {
  const date = new Date(time);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 23);
}

/// The same back.
export function fromWall(text) {
  return Date.parse(String(text).replace(' ', 'T'));
}

/// A day on this machine's clock.
export function day(time) {
  return clock(time).length > 8 ? clock(time).slice(0, 10) : 'today';
}
