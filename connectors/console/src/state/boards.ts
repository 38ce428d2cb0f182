import { Table } from '../model/table';
import type { Frame, ViewInfo } from '../model/types';
import { fetchNewestWindow } from '../net/api';
import type { RowFilter, Subscription } from '../net/socket';
import { Revisions } from './revisions';

/** How far back to ask when a view is too large as a whole, in hours. */
const HISTORY_HOURS = [24, 6, 1];

/** A view to hold rows of, and which of them. */
export interface Wish {
  view: ViewInfo;
  filter: RowFilter;
}

/** Rows of one view, kept up to date. */
export interface Board extends Wish {
  /** Under which frames for it come. */
  id: string;
  table: Table;
  loaded: boolean;
  /** Hours of history asked for, where everything is too much. */
  history: number | null;
  since: number | null;
  refusal: string | null;
  revisions: Revisions;
}

/** The views that the page shown needs. Holds no connection: says what to subscribe to, and takes frames. */
export class Boards {
  private list: Board[] = [];
  private n = 0;
  /** Windows that begin later hold posts with a clock that runs ahead. */
  tick: number | null = null;

  /** `changed` is called when other subscriptions are needed, later than a call of ours. */
  constructor(private readonly changed: () => void) {}

  /** Keeps the boards that are wanted still, and begins the others empty. */
  want(wishes: readonly Wish[]): void {
    const alike = (b: Board, w: Wish) => b.view === w.view && JSON.stringify(b.filter) === JSON.stringify(w.filter);
    this.list = wishes.map((wish) => this.list.find((b) => alike(b, wish)) ?? this.begin(wish));
  }

  /** What to subscribe to. */
  subscriptions(): Subscription[] {
    return this.list.map(({ id, view, filter, since }) => ({ id, view: view.name, filter: since === null ? filter : { ...filter, since } }));
  }

  /** The board of a view. */
  of(view: ViewInfo | null): Board | null {
    return this.list.find((b) => b.view === view) ?? null;
  }

  /** All of them, in the order they were wanted. */
  all(): readonly Board[] {
    return this.list;
  }

  /** Forgets all. */
  clear(): void {
    this.list = [];
  }

  /** Takes a frame; whether it was for one of them. `where` is what the main board's chart shows. */
  fold(frame: Frame, where: { board: Board; column: string; thread: string | null; step: number | null } | null, now: number): boolean {
    const board = 'id' in frame ? this.list.find((b) => b.id === frame.id) : undefined;
    if (!board) return false;
    if (frame.type === 'snapshot') {
      board.table.snapshot(frame.rows);
      board.revisions.clear();
      board.loaded = true;
      board.refusal = null;
    } else if (frame.type === 'delta') {
      const changes = board.table.delta(frame.rows, frame.gone);
      if (frame.bounds) board.table.slide(frame.bounds);
      board.refusal = null;
      if (where?.board === board) board.revisions.note(changes, where, frame.at, now);
    } else if (frame.type === 'error') {
      this.refused(board, frame);
    }
    return true;
  }

  private begin({ view, filter }: Wish): Board {
    const table = new Table(view.group_by, view.key);
    return { id: this.name(), view, filter, table, loaded: false, history: null, since: null, refusal: null, revisions: new Revisions() };
  }

  private name(): string {
    return `v${(this.n += 1)}`;
  }

  /** A view may be larger than the engine sends at once: then its newest part has to do. */
  private refused(board: Board, { code, message }: Extract<Frame, { type: 'error' }>): void {
    const hours = HISTORY_HOURS.find((h) => h < (board.history ?? Infinity));
    if (code !== 'SNAPSHOT_TOO_LARGE' || hours === undefined) {
      board.refusal = `${message} (${code})`;
      return;
    }
    board.history = hours;
    fetchNewestWindow(board.view.name).then(
      (newest) => {
        board.since = Math.min(newest ?? Date.now(), this.tick ?? Date.now()) - hours * 3_600_000;
        board.id = this.name();
      },
      (e: unknown) => {
        board.refusal = e instanceof Error ? e.message : String(e);
      },
    ).then(this.changed);
  }
}
