import { Table } from '../src/model/table';
import type { ViewInfo, WireRow } from '../src/model/types';
import { readView } from '../src/model/views';

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

/** An empty table for such rows. */
export function table(): Table {
  return new Table(['thread', 'entity'], ['thread', 'entity', 'window_start']);
}

/** A view as the engine describes it. */
export function view(name: string, group_by: string[], kind = 'tumble', size_ms = 60_000, measures = ['sentiment']): ViewInfo {
  return readView({ name, group_by, window: { kind, size_ms, every_ms: size_ms }, measures });
}
