import { combine, type Total } from './combine';
import type { Span } from './range';
import { stepStart } from './step';
import type { ChangeKind, Row } from './table';

/** One line: a value and its interval for each x, `null` where there is no row. */
export interface Line {
  name: string;
  mid: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
  posts: number[];
}

/** What the chart draws. `x` holds starts of windows (or of steps that join some) in epoch seconds, rising. */
export interface ChartData {
  x: number[];
  lines: Line[];
}

/** Posts per point in time, scored and not. */
export interface Volume {
  x: number[];
  posts: number[];
  scored: number[];
}

/** A series (an entity) with its sums over the whole span. */
export interface SeriesTotal extends Total {
  name: string;
}

/** A point that moved because of a revision, to be shown for a moment. */
export interface Marker {
  name: string;
  x: number;
  from: number;
  to: number;
  kind: ChangeKind;
}

/** Rows of one thread (or all, for `null`) within the span. */
export function select(rows: Iterable<Row>, span: Span, thread: string | null): Row[] {
  const out: Row[] = [];
  for (const row of rows) {
    if (row.end > span.from && row.start < span.to && (thread === null || row.group.thread === thread)) out.push(row);
  }
  return out;
}

/** Sums per series, busiest first. Where windows overlap, only each group's newest counts, so that no post counts twice. */
export function totals(rows: readonly Row[], column: string, overlapping: boolean): SeriesTotal[] {
  const groups = groupBy(overlapping ? newest(rows) : rows, (r) => r.group[column] ?? '');
  const out = [...groups].map(([name, list]) => ({ name, ...combine(list) }));
  return out.sort((a, b) => b.posts - a.posts || (a.name < b.name ? -1 : 1));
}

/** The lines for `names`, all on the x of every step that any of the rows has. */
export function chartData(rows: readonly Row[], column: string, names: readonly string[], step: number | null): ChartData {
  const starts = [...new Set(rows.map((r) => stepStart(r.start, step)))].sort((a, b) => a - b);
  const index = new Map(starts.map((start, i) => [start, i]));
  const bySeries = groupBy(rows, (r) => r.group[column] ?? '');
  const lines = names.map((name): Line => {
    const line: Line = { name, mid: blank(starts), low: blank(starts), high: blank(starts), posts: starts.map(() => 0) };
    for (const [start, list] of groupBy(bySeries.get(name) ?? [], (r) => stepStart(r.start, step))) {
      const i = index.get(start) ?? 0;
      const { sentiment, ci, posts } = combine(list);
      line.posts[i] = posts;
      line.mid[i] = sentiment;
      if (sentiment === null || ci === null) continue;
      line.low[i] = Math.max(-1, sentiment - ci);
      line.high[i] = Math.min(1, sentiment + ci);
    }
    return line;
  });
  return { x: starts.map((s) => s / 1000), lines };
}

/** Posts of all rows, on the same x as the lines. */
export function volume(rows: readonly Row[], step: number | null): Volume {
  const steps = groupBy(rows, (r) => stepStart(r.start, step));
  const starts = [...steps.keys()].sort((a, b) => a - b);
  const add = (of: (r: Row) => number) => starts.map((start) => (steps.get(start) ?? []).reduce((n, r) => n + of(r), 0));
  return { x: starts.map((s) => s / 1000), posts: add((r) => r.posts), scored: add((r) => r.scored) };
}

/** Points of `next` that stand elsewhere than in `prev` and were touched by a revision; `touched` is keyed by {@link touchKey}. */
export function markers(prev: ChartData, next: ChartData, touched: ReadonlyMap<string, ChangeKind>, least = 0.005): Marker[] {
  const at = new Map(prev.x.map((x, i) => [x, i]));
  const out: Marker[] = [];
  for (const line of next.lines) {
    const old = prev.lines.find((l) => l.name === line.name);
    if (!old) continue;
    next.x.forEach((x, i) => {
      const kind = touched.get(touchKey(line.name, x * 1000));
      const [from, to] = [old.mid[at.get(x) ?? -1] ?? null, line.mid[i] ?? null];
      if (kind && from !== null && to !== null && Math.abs(to - from) >= least) out.push({ name: line.name, x, from, to, kind });
    });
  }
  return out;
}

/** Key of a point: its series and its start (epoch ms). */
export function touchKey(name: string, start: number): string {
  return `${start}|${name}`;
}

/** Limits of the y axis: the lines with some air, 0 always inside, in steps of a quarter, never beyond ±1. */
export function yLimits(data: ChartData): [number, number] {
  let [low, high] = [-0.15, 0.15];
  for (const line of data.lines) {
    for (const v of line.mid) {
      if (v === null) continue;
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
  }
  const step = (v: number) => Math.ceil((v + 0.06) * 4) / 4;
  return [-Math.min(1, step(-low)), Math.min(1, step(high))];
}

function newest(rows: readonly Row[]): Row[] {
  const best = new Map<string, Row>();
  for (const row of rows) {
    const group = JSON.stringify(row.group);
    const old = best.get(group);
    if (!old || row.start > old.start) best.set(group, row);
  }
  return [...best.values()];
}

function groupBy<K>(rows: readonly Row[], by: (r: Row) => K): Map<K, Row[]> {
  const groups = new Map<K, Row[]>();
  for (const row of rows) {
    const key = by(row);
    const list = groups.get(key);
    if (list) list.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}

function blank(starts: readonly number[]): (number | null)[] {
  return starts.map(() => null);
}
