import { readAlert } from './alerts';
import { epoch } from './format';
import { isRecord } from './frames';
import type { Alert, AlertState, Evidence, WireRow } from './types';

/** A post behind an alert, as it is now. */
export interface Piece extends Evidence {
  live: boolean;
  text: string | null;
  votes: number | null;
  created: number | null;
}

/** A state an alert has been in. */
export interface Transition {
  state: AlertState;
  cause: string;
  at: number | null;
  value: number | null;
  posts: number;
}

/** An alert with its history and the posts behind it. */
export interface Explanation {
  alert: Alert;
  resolved: { start: number; end: number } | null;
  muted: boolean;
  evidence: Piece[];
  history: Transition[];
}

/** Reads the answer of `/api/v1/alerts/{id}/explain`. */
export function readExplanation(raw: WireRow): Explanation {
  const alert = readAlert(raw);
  const [start, end] = [epoch(raw.resolved_window_start), epoch(raw.resolved_window_end)];
  const pieces = Array.isArray(raw.evidence) ? raw.evidence.filter(isRecord) : [];
  return {
    alert,
    resolved: start === null || end === null ? null : { start, end },
    muted: raw.muted === true,
    evidence: alert.evidence.map((e) => {
      const now = pieces.find((p) => p.post === e.post) ?? {};
      return { ...e, live: now.live !== false, text: typeof now.text === 'string' ? now.text : null, votes: typeof now.votes === 'number' ? now.votes : null, created: epoch(now.created_at) };
    }),
    history: Array.isArray(raw.history) ? raw.history.filter(isRecord).map(transition) : [],
  };
}

function transition(raw: WireRow): Transition {
  const { state, cause, at, value, posts } = readAlert(raw);
  return { state, cause, at: epoch(at), value, posts };
}
