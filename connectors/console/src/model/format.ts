/** Numbers and times as people read them. */

const MINUS = '\u2212';

/** Epoch milliseconds of an RFC 3339 string or a number; `null` for anything else. */
export function epoch(v: unknown): number | null {
  const ms = typeof v === 'number' ? v : typeof v === 'string' ? Date.parse(v) : NaN;
  return Number.isFinite(ms) ? ms : null;
}

/** A sentiment with its sign: `+0.14`, `−0.30`, `0.00`; `–` for none. */
export function signed(v: number | null, digits = 2): string {
  if (v === null) return '–';
  const abs = Math.abs(v).toFixed(digits);
  return Number(abs) === 0 ? abs : (v < 0 ? MINUS : '+') + abs;
}

/** Half-width of an interval: `±0.07`, nothing for none. */
export function plusMinus(v: number | null): string {
  return v === null ? '' : `±${v.toFixed(2)}`;
}

/** A value of any measure: counts whole, the rest with two digits and a real minus. */
export function measure(v: number | null): string {
  if (v === null) return '–';
  if (Number.isInteger(v) && Math.abs(v) >= 2) return count(v);
  return Math.abs(v) >= 100 ? count(Math.round(v)) : (v < 0 ? MINUS : '') + Math.abs(v).toFixed(2);
}

/** A whole number with thin groups: `12 345`. */
export function count(v: number): string {
  const digits = String(Math.abs(Math.round(v))).replace(/\B(?=(\d{3})+$)/g, '\u202f');
  return v < 0 ? MINUS + digits : digits;
}

/** A rate per second: `0.4`, `12`, `1 200`. */
export function rate(v: number): string {
  return v > 0 && v < 9.95 ? v.toFixed(1) : count(v);
}

/** Bytes: `812 B`, `3.3 MB`. */
export function bytes(v: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const i = Math.min(units.length - 1, v < 1 ? 0 : Math.floor(Math.log10(v) / 3));
  const scaled = v / 1000 ** i;
  return `${i > 0 && scaled < 100 ? scaled.toFixed(1) : Math.round(scaled)} ${units[i] ?? ''}`;
}

/** A duration in words short enough for a label: `8 s`, `3 min`, `2 h`, `5 d`. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.round(s / 60)} min`;
  if (s < 86_400) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86_400)} d`;
}

/** Local time of day, with the day when it is not `today`'s. */
export function clock(ms: number | null, opts: { seconds?: boolean; today?: number } = {}): string {
  if (ms === null) return '–';
  const d = new Date(ms);
  const hm = `${two(d.getHours())}:${two(d.getMinutes())}${opts.seconds ? `:${two(d.getSeconds())}` : ''}`;
  const today = new Date(opts.today ?? Date.now());
  return d.toDateString() === today.toDateString() ? hm : `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${hm}`;
}

/** Full UTC time for tooltips. */
export function utc(ms: number | null): string {
  return ms === null ? '' : new Date(ms).toISOString().replace('T', ' ').replace('Z', ' UTC');
}

/** `1 post`, `2 posts`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

function two(n: number): string {
  return String(n).padStart(2, '0');
}
