import { duration } from '../model/format';
import type { Link } from '../net/socket';

/** Something the reader should know, and what to do about it. */
export interface Problem {
  tone: 'error' | 'warning';
  title: string;
  advice: string;
  retry: boolean;
}

/** What may be wrong. */
export interface Signs {
  host: string;
  boot: { error: string; starting: boolean; until: number } | null;
  /** Names of the pipeline's views, once known. */
  views: readonly string[] | null;
  drawable: boolean;
  link: Link;
  /** Why the engine says it is not ready; `null` while it is, or nobody asked. */
  notReady: string | null;
  refusal: string | null;
  now: number;
}

/** The most important problem, or `null`. */
export function problemOf(s: Signs): Problem | null {
  if (s.boot?.starting) {
    return problem('warning', 'The engine is starting.', `Nothing has been served yet. ${retryWords(s.boot.until, s.now)}`);
  }
  if (s.boot) {
    return {
      tone: 'error',
      title: `Cannot read the views: ${s.boot.error}.`,
      advice: `Check that the engine runs and serves ${s.host}. ${retryWords(s.boot.until, s.now)}`,
      retry: true,
    };
  }
  if (s.views && s.views.length === 0) {
    return problem('warning', 'This pipeline has no views.', 'Add one under views: in the pipeline file and restart.');
  }
  if (s.views && !s.drawable) {
    return problem(
      'warning',
      `None of the views (${s.views.join(', ')}) measures sentiment.`,
      'Add “sentiment” to the measures of a view that is grouped by entity.',
    );
  }
  if (s.link.state === 'offline' || (s.link.state === 'reconnecting' && s.link.attempt > 1)) {
    const until = s.link.until;
    return {
      tone: 'error',
      title: until === null ? 'The network is down.' : `The connection to ${s.host} is lost.`,
      advice: `What you see is the last known state. ${until === null ? 'It comes back with the network.' : `Check that the engine runs. ${retryWords(until, s.now)}`}`,
      retry: until !== null,
    };
  }
  if (s.notReady !== null) {
    return problem('warning', 'The engine is not ready yet.', s.notReady || 'See /health/ready for details.');
  }
  if (s.refusal !== null) return problem('error', `The engine did not give what was asked for: ${s.refusal}.`, 'Choose another view or reload the page.');
  return null;
}

function retryWords(until: number, now: number): string {
  return until > now ? `Next try in ${duration(until - now)}.` : 'Trying now.';
}

function problem(tone: Problem['tone'], title: string, advice: string): Problem {
  return { tone, title, advice, retry: false };
}
