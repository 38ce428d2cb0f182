import type { FeedPost } from './feed';
import type { Marker } from './series';

/** What a revision of votes did to a line. */
export interface Move {
  name: string;
  from: number;
  to: number;
}

/** A post whose votes were revised, and the points of lines that moved for it. */
export interface VoteChange {
  id: number;
  at: number;
  post: FeedPost;
  votes: readonly [number | null, number | null];
  weight: readonly [number, number];
  moved: Move[];
}

/** A mark on the chart belongs to changes that came this shortly before it. */
const TOGETHER_MS = 2500;

/** The newest revisions of votes, newest first, at most `max` of them. */
export class VoteLog {
  private list: VoteChange[] = [];
  private n = 0;

  constructor(private readonly max = 60) {}

  /** Notes posts whose votes have just changed. */
  note(posts: readonly FeedPost[], now: number): void {
    const fresh = posts.flatMap((post): VoteChange[] => {
      const { change } = post;
      if (!change?.votes) return [];
      return [{ id: (this.n += 1), at: now, post, votes: change.votes, weight: change.weight ?? [post.post.weight, post.post.weight], moved: [] }];
    });
    if (fresh.length > 0) this.list = [...fresh.reverse(), ...this.list].slice(0, this.max);
  }

  /** Notes which points of the drawn lines moved by votes: `step` is the width of a point in milliseconds. */
  moved(markers: readonly Marker[], step: number, now: number): void {
    for (const m of markers) {
      if (m.kind !== 'votes') continue;
      for (const v of this.list) {
        if (now - v.at > TOGETHER_MS) break;
        const within = v.post.created >= m.x * 1000 && v.post.created < m.x * 1000 + step;
        const mentioned = v.post.post.mentions.some((e) => e.entity === m.name) || v.post.post.thread === m.name;
        if (within && mentioned && !v.moved.some((o) => o.name === m.name)) v.moved.push({ name: m.name, from: m.from, to: m.to });
      }
    }
  }

  /** Newest first. */
  all(): readonly VoteChange[] {
    return this.list;
  }

  /** Forgets everything. */
  clear(): void {
    this.list = [];
  }
}
