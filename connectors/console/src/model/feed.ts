import { epoch } from './format';
import { isRecord } from './frames';
import type { Mention, Post, WireRow } from './types';

/** What an update changed in a post somebody may be looking at. */
export interface PostChange {
  at: number;
  votes?: [number | null, number | null];
  weight?: [number, number];
  label?: [string, string];
  text?: true;
  mentions?: true;
}

/** A post in the feed. A new object whenever it changes. */
export interface FeedPost {
  post: Post;
  created: number;
  /** Sorts the feed: when it was written, but never later than the tick it was first seen at. */
  order: number;
  change: PostChange | null;
}

/** The newest posts, kept up to date, at most `max` of them. */
export class Feed {
  private readonly posts = new Map<string, FeedPost>();

  constructor(private readonly max = 300) {}

  /** Replaces everything. */
  snapshot(rows: readonly WireRow[], tick: number): void {
    this.posts.clear();
    for (const row of rows) this.put(row, tick, null);
    this.trim();
  }

  /**
   * Puts and removes; returns the number of new posts. An unknown post older than everything held comes back because others
   * went, and is not new.
   */
  delta(rows: readonly WireRow[], gone: readonly WireRow[], tick: number, now: number): number {
    const floor = Math.min(...[...this.posts.values()].map((p) => p.order));
    for (const row of gone) this.posts.delete(String(row.id));
    let fresh = 0;
    for (const row of rows) {
      const order = this.put(row, tick, now);
      if (floor === Infinity || order >= floor) fresh += 1;
    }
    this.trim();
    return fresh;
  }

  /** Posts held. */
  get size(): number {
    return this.posts.size;
  }

  /** Newest first. */
  list(): FeedPost[] {
    return [...this.posts.values()].sort((a, b) => b.order - a.order || (a.post.id < b.post.id ? 1 : -1));
  }

  /** Posts that an update at this time changed. */
  changedAt(now: number): FeedPost[] {
    return [...this.posts.values()].filter((p) => p.change?.at === now);
  }

  /** A post by id, if it is still held. */
  get(id: string): Post | null {
    return this.posts.get(id)?.post ?? null;
  }

  /** Puts a post; returns its order if it was unknown, else NaN, which compares as not new. */
  private put(row: WireRow, tick: number, now: number | null): number {
    const post = readPost(row);
    const old = this.posts.get(post.id);
    const created = epoch(row.created_at) ?? tick;
    const change = old && now !== null ? (diff(old.post, post, now) ?? old.change) : null;
    const order = old?.order ?? Math.min(created, tick);
    this.posts.set(post.id, { post, created, order, change });
    return old ? NaN : order;
  }

  private trim(): void {
    if (this.posts.size <= this.max) return;
    for (const extra of this.list().slice(this.max)) this.posts.delete(extra.post.id);
  }
}

/** What a revision changed between two states of a post, or `null`. The first score is not a revision: every post gets one. */
export function diff(old: Post, now: Post, at: number): PostChange | null {
  const change: PostChange = { at };
  if (old.votes !== now.votes) {
    change.votes = [old.votes, now.votes];
    change.weight = [old.weight, now.weight];
  }
  if (old.label !== null && now.label !== null && old.label !== now.label) change.label = [old.label, now.label];
  if (old.text !== now.text) change.text = true;
  if (old.mentions.map((m) => m.entity).join('|') !== now.mentions.map((m) => m.entity).join('|')) change.mentions = true;
  return Object.keys(change).length > 1 ? change : null;
}

/** A post from the wire; missing parts read as unknown. */
export function readPost(row: WireRow): Post {
  const label = row.label;
  return {
    id: String(row.id ?? ''),
    source: str(row.source) ?? '',
    thread: str(row.thread) ?? '',
    author: str(row.author),
    text: str(row.text) ?? '',
    created_at: String(row.created_at ?? ''),
    votes: num(row.votes),
    weight: num(row.weight) ?? 1,
    label: label === 'positive' || label === 'neutral' || label === 'negative' ? label : null,
    sentiment: num(row.sentiment),
    emotion: str(row.emotion) ?? (isRecord(row.score) ? str(row.score.emotion) : null),
    mentions: Array.isArray(row.mentions) ? row.mentions.filter(isMention) : [],
  };
}

function isMention(m: unknown): m is Mention {
  return typeof m === 'object' && m !== null && typeof (m as Mention).entity === 'string';
}

function str(v: unknown): string | null {
  return typeof v === 'string' ? v : null;
}

function num(v: unknown): number | null {
  return typeof v === 'number' && Number.isFinite(v) ? v : null;
}
