import type { Row } from './table';

/** The time ranges on offer. */
export const RANGES = [
  { id: '5m', label: '5 min', words: 'last 5 minutes', ms: 5 * 60_000 },
  { id: '1h', label: '1 h', words: 'last hour', ms: 60 * 60_000 },
  { id: 'all', label: 'All', words: 'all windows', ms: Infinity },
] as const;

/** One of them. */
export type Range = (typeof RANGES)[number];

/** Name of one of them. */
export type RangeId = Range['id'];

/** The range of that name; `1h` for anything else. */
export function rangeOf(id: string | null): Range {
  return RANGES.find((r) => r.id === id) ?? RANGES[1];
}

/** A stretch of event time and how many rows lie after it. */
export interface Span {
  from: number;
  to: number;
  future: number;
}

/**
 * What to show: the range that ends with the newest window. Windows that start after the tick hold posts with a clock
 * that runs ahead; they are counted, and do not move the range.
 */
export function spanOf(rows: Iterable<Row>, range: Range, tick: number | null): Span | null {
  const limit = tick ?? Infinity;
  let [first, to, future] = [Infinity, -Infinity, 0];
  for (const row of rows) {
    if (row.start > limit) {
      future += 1;
      continue;
    }
    if (row.start < first) first = row.start;
    if (row.end > to) to = row.end;
  }
  return to === -Infinity ? null : { from: Math.max(first, to - range.ms), to, future };
}
