import { epoch } from './format';
import type { Bounds, ViewInfo, WireRow } from './types';

/** A view row, read once. A measure the view does not have is `null`. */
export interface Row {
  key: string;
  group: Record<string, string>;
  /** Of a window anchored to the thread's air time. */
  phase: string | null;
  start: number;
  end: number;
  posts: number;
  weight: number | null;
  sentiment: number | null;
  ci: number | null;
  positive: number;
  neutral: number;
  negative: number;
  scored: number;
}

/** Why a row moved: `votes` alone, late `scores`, or `posts` coming, going or edited. */
export type ChangeKind = 'votes' | 'scores' | 'posts';

/** A row that existed before a delta and moved with it. */
export interface Change {
  row: Row;
  kind: ChangeKind;
}

/** All rows of one view: a snapshot with the deltas folded into it. */
export class Table {
  readonly rows = new Map<string, Row>();

  constructor(
    private readonly groupBy: readonly string[],
    private readonly keyColumns: readonly string[],
  ) {}

  /** Replaces everything. */
  snapshot(rows: readonly WireRow[]): void {
    this.rows.clear();
    for (const wire of rows) {
      const row = this.read(wire);
      this.rows.set(row.key, row);
    }
  }

  /** Removes `gone`, puts `rows`, and returns the rows that were there before and moved. Applying it twice is the same as once. */
  delta(rows: readonly WireRow[], gone: readonly WireRow[]): Change[] {
    const changes: Change[] = [];
    for (const wire of gone) this.rows.delete(this.key(wire));
    for (const wire of rows) {
      const row = this.read(wire);
      const old = this.rows.get(row.key);
      this.rows.set(row.key, row);
      const kind = old ? changeKind(old, row) : null;
      if (kind) changes.push({ row, kind });
    }
    return changes;
  }

  /** Moves the window of all rows: a sliding view says once for all where it is. */
  slide(bounds: Bounds): void {
    for (const [key, row] of this.rows) this.rows.set(key, { ...row, ...bounds });
  }

  private key(wire: WireRow): string {
    return JSON.stringify(this.keyColumns.map((c) => (c.startsWith('window_') ? epoch(wire[c]) : (wire[c] ?? null))));
  }

  private read(wire: WireRow): Row {
    const posts = number(wire.posts) ?? number(wire.scored) ?? 0;
    const start = epoch(wire.window_start) ?? 0;
    return {
      key: this.key(wire),
      group: Object.fromEntries(this.groupBy.map((c) => [c, text(wire[c])])),
      phase: typeof wire.phase === 'string' ? wire.phase : null,
      start,
      end: epoch(wire.window_end) ?? start,
      posts,
      weight: number(wire.weight),
      sentiment: number(wire.sentiment),
      ci: number(wire.sentiment_ci),
      positive: number(wire.positive) ?? 0,
      neutral: number(wire.neutral) ?? 0,
      negative: number(wire.negative) ?? 0,
      scored: number(wire.scored) ?? posts,
    };
  }
}

/** What distinguishes two states of a row, or `null` when they show the same. */
export function changeKind(old: Row, now: Row): ChangeKind | null {
  if (old.posts !== now.posts) return 'posts';
  if (old.scored !== now.scored) return 'scores';
  if (old.positive !== now.positive || old.neutral !== now.neutral || old.negative !== now.negative) return 'posts';
  return old.sentiment !== now.sentiment || old.weight !== now.weight ? 'votes' : null;
}

/** The column whose values become lines: `entity` if there is one, else the last that is neither the thread nor its phase. */
export function seriesColumn(view: ViewInfo): string {
  if (view.group_by.includes('entity')) return 'entity';
  return view.group_by.findLast((c) => c !== 'thread' && c !== 'phase') ?? view.group_by[0] ?? '';
}

function number(v: unknown): number | null {
  return typeof v === 'number' && Number.isFinite(v) ? v : null;
}

/** A group without a value is shown as such. */
function text(v: unknown): string {
  return v === null || v === undefined ? '(none)' : String(v);
}
