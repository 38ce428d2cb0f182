import { signed } from '../model/format';
import { markers, touchKey, type ChartData, type Marker } from '../model/series';
import { stepStart } from '../model/step';
import type { Change, ChangeKind } from '../model/table';

/** How long a revision stays marked on the chart. */
export const MARKED_MS = 6000;
const MINUTE = 60_000;

/** A marker and when it appeared. */
export interface TimedMarker extends Marker {
  at: number;
}

/** Collects what deltas moved between two drawings, and tells which points of the chart to mark. */
export class Revisions {
  private touched = new Map<string, ChangeKind>();
  private shown: TimedMarker[] = [];
  private votes: { at: number; n: number }[] = [];
  private last: TimedMarker | null = null;
  private prev: { context: string; data: ChartData } | null = null;

  /** Notes rows moved by a delta. Points are marked for votes, and in windows already closed at `tick` for anything. */
  note(changes: readonly Change[], where: { column: string; thread: string | null; step: number | null }, tick: number, now: number): void {
    let n = 0;
    for (const { row, kind } of changes) {
      if (where.thread !== null && row.group.thread !== where.thread) continue;
      if (kind === 'votes') n += 1;
      if (kind === 'votes' || row.end <= tick) this.touched.set(touchKey(row.group[where.column] ?? '', stepStart(row.start, where.step)), kind);
    }
    if (n > 0) this.votes.push({ at: now, n });
  }

  /** Takes what will be drawn next. A new `context` (view, thread, range, step) is a new picture, not a revision. */
  next(context: string, data: ChartData, now: number): { markers: TimedMarker[]; last: TimedMarker | null; votesPerMinute: number } {
    if (this.prev?.context !== context) this.shown = [];
    const fresh = this.prev?.context === context ? markers(this.prev.data, data, this.touched) : [];
    const timed = fresh.map((m) => ({ ...m, at: now }));
    const again = new Set(timed.map((m) => touchKey(m.name, m.x)));
    this.shown = [...this.shown.filter((m) => now - m.at < MARKED_MS && !again.has(touchKey(m.name, m.x))), ...timed].slice(-40);
    this.last = timed.filter((m) => m.kind === 'votes' && signed(m.from) !== signed(m.to)).sort((a, b) => Math.abs(b.to - b.from) - Math.abs(a.to - a.from))[0] ?? this.last;
    this.touched = new Map();
    this.prev = { context, data };
    this.votes = this.votes.filter((v) => now - v.at < MINUTE);
    return { markers: this.shown, last: this.last, votesPerMinute: this.votes.reduce((sum, v) => sum + v.n, 0) };
  }

  /** Forgets everything: another view. */
  clear(): void {
    this.touched.clear();
    this.shown = [];
    this.votes = [];
    this.last = null;
    this.prev = null;
  }
}
