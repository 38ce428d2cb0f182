import { isRecord } from './frames';

/** A keyword found in a post. */
export interface KeywordEvent {
  id: string;
  company: string | null;
  keyword: string;
  /** What stands before the keyword, it, and what stands after, as far as it is told. */
  before: string;
  matched: string;
  after: string;
  confidence: number;
  suppressedBy: string | null;
  duplicateOf: string | null;
  post: string;
  source: string;
  url: string | null;
  at: string;
}

/** Reads an event of `/api/v1/tge-events`. */
export function readEvent(raw: Record<string, unknown>): KeywordEvent {
  const text = (name: string) => (typeof raw[name] === 'string' ? raw[name] : null);
  const [context, matched] = [text('context') ?? '', text('matched_text') ?? ''];
  const at = context.indexOf(matched);
  return {
    id: String(raw.id),
    company: text('company'),
    keyword: text('keyword') ?? '',
    before: at < 0 ? '' : context.slice(0, at),
    matched,
    after: at < 0 ? context : context.slice(at + matched.length),
    confidence: typeof raw.confidence === 'number' ? raw.confidence : 0,
    suppressedBy: text('suppressed_by'),
    duplicateOf: text('duplicate_of'),
    post: text('post') ?? '',
    source: text('source') ?? '',
    url: link(text('url')),
    at: text('created_at') ?? '',
  };
}

/** An address that may be followed: an outlet could write anything there. */
function link(url: string | null): string | null {
  return url !== null && /^https?:\/\//.test(url) ? url : null;
}

/** The events of an answer. */
export function readEvents(body: unknown): KeywordEvent[] {
  return isRecord(body) && Array.isArray(body.data) ? body.data.filter(isRecord).map(readEvent) : [];
}
