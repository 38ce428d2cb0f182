import { Feed, readPost } from '../model/feed';
import type { Post, WireRow } from '../model/types';
import { ApiError, fetchList } from '../net/api';
import type { RowFilter } from '../net/socket';

/** Posts shown of a thread or an entity, and how often they are asked for. */
const MOST = 60;
const EVERY_MS = 5000;

/**
 * The newest posts of one thread or entity. The feed has the newest of all: here those further back are asked for too, and
 * what the feed brings comes in at once.
 */
export class ItemPosts {
  readonly feed = new Feed(MOST);
  loaded = false;
  problem: string | null = null;
  private filter: RowFilter = {};
  private timer: number | null = null;
  private round = 0;

  constructor(private readonly changed: () => void) {}

  /** Whose posts; nobody's for an empty filter. */
  follow(filter: RowFilter): void {
    if (JSON.stringify(filter) === JSON.stringify(this.filter)) return;
    this.stop();
    this.filter = filter;
    if (Object.keys(filter).length > 0) void this.read();
  }

  /** Takes what the feed of all posts brings. */
  take(rows: readonly WireRow[], tick: number, now: number): void {
    if (Object.keys(this.filter).length === 0) return;
    const known = (row: WireRow) => this.feed.get(String(row.id)) !== null;
    const mine = (row: WireRow) => fits(readPost(row), this.filter);
    const gone = rows.filter((row) => known(row) && !mine(row));
    this.feed.delta(rows.filter(mine), gone, tick, now);
  }

  /** Forgets everything. */
  stop(): void {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
    this.round += 1;
    this.filter = {};
    this.loaded = false;
    this.problem = null;
    this.feed.snapshot([], 0);
  }

  private async read(): Promise<void> {
    const round = this.round;
    if (!document.hidden) {
      try {
        const query = new URLSearchParams(Object.entries(this.filter).map(([name, value]) => [name, String(value ?? '')]));
        const rows = await fetchList(`api/v1/posts?${query}&limit=${MOST}`);
        if (round !== this.round) return;
        this.replace(rows);
        this.problem = null;
      } catch (e) {
        if (round !== this.round) return;
        this.problem = e instanceof Error ? e.message : String(e);
        // Not for this reader, whatever is tried.
        if (e instanceof ApiError && e.status === 403) return this.changed();
      }
      this.changed();
    }
    this.timer = window.setTimeout(() => void this.read(), EVERY_MS);
  }

  /** What was deleted, or speaks of something else by now, is not in the answer. */
  private replace(rows: readonly WireRow[]): void {
    const now = Date.now();
    if (this.loaded) {
      const there = new Set(rows.map((row) => String(row.id)));
      const gone = this.feed.list().filter((p) => !there.has(p.post.id)).map((p) => ({ id: p.post.id }));
      this.feed.delta(rows, gone, now, now);
    } else {
      this.feed.snapshot(rows, now);
    }
    this.loaded = true;
  }
}

/** Whether a post has the values asked for. */
export function fits(post: Post, filter: RowFilter): boolean {
  return Object.entries(filter).every(([column, value]) => {
    if (column === 'entity') return value === null ? post.mentions.length === 0 : post.mentions.some((m) => m.entity === value);
    const own = column === 'thread' ? post.thread : column === 'author' ? (post.author ?? '') : post.source;
    return own === (value ?? '');
  });
}
