import type { WireRow } from '../src/model/types';

/** A row of `cast_by_minute` at minute `m` after the epoch. */
export function row(thread: string, entity: string, m: number, more: WireRow = {}): WireRow {
  return {
    thread,
    entity,
    window_start: new Date(m * 60_000).toISOString(),
    window_end: new Date((m + 1) * 60_000).toISOString(),
    posts: 2,
    weight: 2,
    sentiment: 0.5,
    sentiment_ci: 0.1,
    positive: 2,
    neutral: 0,
    negative: 0,
    scored: 2,
    ...more,
  };
}
