import { isRecord } from './frames';

/** How a ranked feed came to put a post where it is; each part from 0 to 1. */
export interface Parts {
  recency: number;
  engagement: number;
  affinity: number;
  model: number;
  final: number;
}

/** A post of a feed. */
export interface RankedPost {
  id: string;
  author: string | null;
  text: string;
  at: string;
  likes: number;
  comments: number;
  reposts: number;
  tags: string[];
  flagged: boolean;
  parts: Parts | null;
}

/** The orders a feed can have, in the order of the choice. */
export const ALGORITHMS = ['ranked', 'engagement', 'chronological'] as const;

/** Reads the posts of an answer of `/api/v1/posts/feed/`. */
export function readRanked(body: unknown): RankedPost[] {
  return isRecord(body) && Array.isArray(body.data) ? body.data.filter(isRecord).map(readPost) : [];
}

function readPost(raw: Record<string, unknown>): RankedPost {
  const number = (v: unknown) => (typeof v === 'number' ? v : 0);
  const text = (v: unknown) => (typeof v === 'string' ? v : null);
  const { score, moderation } = raw;
  return {
    id: String(raw.id),
    author: text(raw.user_id),
    text: text(raw.content) ?? '',
    at: text(raw.created_at) ?? '',
    likes: number(raw.likes_count),
    comments: number(raw.comments_count),
    reposts: number(raw.reposts_count),
    tags: Array.isArray(raw.hashtags) ? raw.hashtags.map(String) : [],
    flagged: isRecord(moderation) && moderation.flagged === true,
    parts: isRecord(score) ? { recency: number(score.recency), engagement: number(score.engagement), affinity: number(score.affinity), model: number(score.model), final: number(score.final) } : null,
  };
}
