import { autoPick, windowKind } from '../model/choose';
import { spanOf, type Range, type Span } from '../model/range';
import { chartData, select, totals, volume, type ChartData, type SeriesTotal, type Volume } from '../model/series';
import { stepOf, stepStart } from '../model/step';
import { seriesColumn, type Row } from '../model/table';
import type { ViewInfo } from '../model/types';

/** Lines shown until somebody chooses. */
export const AUTO_LINES = 4;
/** Most lines at once: beyond, nobody can tell them apart. */
export const MOST_LINES = 12;

/** A thread and how many posts it has in view. */
export interface ThreadChoice {
  name: string;
  posts: number;
}

/** Everything the page shows of a view. */
export interface ViewScreen {
  column: string;
  span: Span | null;
  /** Width of a point on the chart, if windows are joined or could be. */
  step: number | null;
  threads: ThreadChoice[];
  thread: string | null;
  series: SeriesTotal[];
  picked: string[];
  chart: ChartData;
  /** Posts of all series, shown or not. */
  volume: Volume;
  posts: number;
  scored: number;
  /** Posts of the range that lie before the drawing begins. */
  early: number;
}

/** Computes what to show from the rows held and what was chosen. */
export function viewScreen(
  view: ViewInfo,
  rows: Iterable<Row>,
  chosen: { thread: string | null; range: Range; tick: number | null; picks: readonly string[] | null; auto: readonly string[]; everyWindow: boolean; column?: string },
): ViewScreen {
  const all = [...rows];
  const column = chosen.column ?? seriesColumn(view);
  const threads = view.group_by.includes('thread') && column !== 'thread' ? threadChoices(all) : [];
  const thread = threads.some((t) => t.name === chosen.thread) ? chosen.thread : null;
  const whole = spanOf(thread === null ? all : all.filter((r) => r.group.thread === thread), chosen.range, chosen.tick);
  const counted = whole ? select(all, whole, thread) : [];
  const drawn = whole && { ...whole, from: chosen.range.ms === Infinity ? whole.from : mainStart(counted, whole) };
  const step = stepOf(view, drawn, chosen.everyWindow);
  const span = drawn && { ...drawn, from: stepStart(drawn.from, step) };
  const visible = span ? select(counted, span, null) : [];
  const kind = windowKind(view);
  const series = totals(counted, column, kind === 'hop' || kind === 'sliding');
  const known = new Set(series.map((s) => s.name));
  const picked = chosen.picks ? chosen.picks.filter((n) => known.has(n)).slice(0, MOST_LINES) : autoPick(chosen.auto, series, AUTO_LINES);
  return {
    column,
    span,
    step,
    threads,
    thread,
    series,
    picked,
    chart: chartData(visible, column, picked, step),
    volume: volume(visible, step),
    posts: series.reduce((sum, s) => sum + s.posts, 0),
    scored: series.reduce((sum, s) => sum + s.scored, 0),
    early: span ? counted.reduce((sum, r) => sum + (r.end > span.from ? 0 : r.posts), 0) : 0,
  };
}

/** A few stray posts long before all others would squeeze the rest to the edge: up to this share of the posts is not drawn. */
const STRAY = 0.02;

/** Where the drawing begins: with the range, unless next to nothing lies in more than its first half. */
function mainStart(rows: readonly Row[], span: Span): number {
  const posts = new Map<number, number>();
  for (const row of rows) posts.set(row.start, (posts.get(row.start) ?? 0) + row.posts);
  const starts = [...posts].sort(([a], [b]) => a - b);
  let spare = STRAY * starts.reduce((sum, [, n]) => sum + n, 0);
  for (const [start, n] of starts) {
    spare -= n;
    if (spare < 0) return start - span.from > (span.to - span.from) / 2 ? start : span.from;
  }
  return span.from;
}

/** Threads by their newest window, then by posts; at most 200. */
function threadChoices(rows: readonly Row[]): ThreadChoice[] {
  const threads = new Map<string, { posts: number; last: number }>();
  for (const row of rows) {
    const name = row.group.thread ?? '';
    const t = threads.get(name) ?? { posts: 0, last: 0 };
    threads.set(name, { posts: t.posts + row.posts, last: Math.max(t.last, row.end) });
  }
  return [...threads]
    .sort(([, a], [, b]) => b.last - a.last || b.posts - a.posts)
    .slice(0, 200)
    .map(([name, { posts }]) => ({ name, posts }));
}
