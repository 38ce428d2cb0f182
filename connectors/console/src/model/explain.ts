import { readAlert } from './alerts';
import { epoch } from './format';
import { isRecord } from './frames';
import { influenceOf, whole, type Exact, type Sums } from './influence';
import type { Alert, AlertState, Evidence, WireRow } from './types';

/** A post behind an alert, as it is now. */
export interface Piece extends Evidence {
  live: boolean;
  text: string | null;
  votes: number | null;
  created: number | null;
  exact: Exact | null;
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
  sums: Sums | null;
  /** How many influences were computed again here, and whether all of them came out as the engine's. */
  again: { n: number; agree: boolean };
  history: Transition[];
}

/** Reads the answer of `/api/v1/alerts/{id}/explain`. */
export function readExplanation(raw: WireRow): Explanation {
  const alert = readAlert(raw);
  const [start, end] = [epoch(raw.resolved_window_start), epoch(raw.resolved_window_end)];
  const pieces = Array.isArray(raw.evidence) ? raw.evidence.filter(isRecord) : [];
  const sums = readSums(raw.sums);
  const evidence = alert.evidence.map((e): Piece => {
    const now = pieces.find((p) => p.post === e.post) ?? {};
    return {
      ...e,
      live: now.live !== false,
      text: typeof now.text === 'string' ? now.text : null,
      votes: typeof now.votes === 'number' ? now.votes : null,
      created: epoch(now.created_at),
      exact: readExact(now.exact),
    };
  });
  return {
    alert,
    resolved: start === null || end === null ? null : { start, end },
    muted: raw.muted === true,
    evidence,
    sums,
    again: again(evidence, sums),
    history: Array.isArray(raw.history) ? raw.history.filter(isRecord).map(transition) : [],
  };
}

function again(evidence: readonly Piece[], sums: Sums | null): { n: number; agree: boolean } {
  const exact = sums ? evidence.flatMap((p) => p.exact ?? []) : [];
  return { n: exact.length, agree: exact.every((e) => sums !== null && influenceOf(e, sums) === e.influence) };
}

function readExact(raw: unknown): Exact | null {
  if (!isRecord(raw)) return null;
  const [weight, sentiment, influence] = [whole(raw.weight), whole(raw.sentiment), whole(raw.influence)];
  return weight === null || sentiment === null || influence === null ? null : { weight, sentiment, influence };
}

function readSums(raw: unknown): Sums | null {
  if (!isRecord(raw)) return null;
  const [weight, weighted] = [whole(raw.weight), whole(raw.weighted_sentiment)];
  return weight === null || weighted === null || typeof raw.ppm !== 'number' ? null : { weight, weighted, ppm: raw.ppm };
}

function transition(raw: WireRow): Transition {
  const { state, cause, at, value, posts } = readAlert(raw);
  return { state, cause, at: epoch(at), value, posts };
}
