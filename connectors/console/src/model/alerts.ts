import { epoch, measure } from './format';
import type { Alert, AlertState, Evidence, WireRow } from './types';

const RANK: Record<AlertState, number> = { firing: 0, resolved: 1, retracted: 1 };

const CAUSES: Record<string, string> = {
  data: 'new or changed data',
  votes: 'a revision of votes',
  deletion: 'a deletion',
  model: 'a new model',
  entities: 'a change of entities',
  rule: 'a change of the rule',
};

/** All alerts by id: the newest transition of each. */
export class Alerts {
  private readonly byId = new Map<string, Alert>();

  /** Replaces everything. */
  snapshot(rows: readonly WireRow[]): void {
    this.byId.clear();
    for (const row of rows) {
      const alert = readAlert(row);
      this.byId.set(alert.id, alert);
    }
  }

  /** Puts and removes; returns the alerts whose state is new. */
  delta(rows: readonly WireRow[], gone: readonly WireRow[]): Alert[] {
    for (const row of gone) this.byId.delete(String(row.id));
    const moved: Alert[] = [];
    for (const row of rows) {
      const alert = readAlert(row);
      if (this.byId.get(alert.id)?.state !== alert.state) moved.push(alert);
      this.byId.set(alert.id, alert);
    }
    return moved;
  }

  /** Firing first, then newest first. */
  list(): Alert[] {
    const at = (a: Alert) => epoch(a.at) ?? 0;
    return [...this.byId.values()].sort((a, b) => RANK[a.state] - RANK[b.state] || at(b) - at(a) || (a.id < b.id ? -1 : 1));
  }
}

/** The group of an alert, most telling column first: `{thread, entity}` reads as entity, thread. */
export function alertGroup(alert: Alert): string[] {
  const { entity, ...rest } = alert.key;
  return [entity, ...Object.values(rest)].filter((v): v is string => Boolean(v));
}

/** What brought the alert to its state, in words. */
export function causeWords(alert: Alert): string {
  return CAUSES[alert.cause] ?? alert.cause;
}

/** The alert in one sentence, for those who listen. */
export function sentence(alert: Alert): string {
  const group = alertGroup(alert).join(', ');
  const state = alert.state === 'firing' ? 'is firing' : alert.state;
  return `Alert ${alert.rule} for ${group} ${state}: value ${measure(alert.value)}, threshold ${measure(alert.threshold)}, because of ${causeWords(alert)}.`;
}

/** Sentences for several transitions: each up to three, a count beyond. */
export function announcement(moved: readonly Alert[]): string {
  if (moved.length <= 3) return moved.map(sentence).join(' ');
  const firing = moved.filter((a) => a.state === 'firing').length;
  return `${moved.length} alerts changed, ${firing} now firing.`;
}

/** An alert from the wire. */
export function readAlert(row: WireRow): Alert {
  const state = row.state;
  const key = row.key;
  return {
    id: String(row.id ?? ''),
    rule: String(row.rule ?? ''),
    state: state === 'resolved' || state === 'retracted' ? state : 'firing',
    cause: String(row.cause ?? 'data'),
    view: String(row.view ?? ''),
    key: typeof key === 'object' && key !== null ? Object.fromEntries(Object.entries(key).map(([k, v]) => [k, v === null ? '(none)' : String(v)])) : {},
    window_start: String(row.window_start ?? ''),
    window_end: String(row.window_end ?? ''),
    value: num(row.value),
    threshold: num(row.threshold),
    posts: num(row.posts) ?? 0,
    at: typeof row.at === 'number' ? row.at : String(row.at ?? ''),
    evidence: Array.isArray(row.evidence) ? row.evidence.filter((e): e is Evidence => typeof e?.post === 'string') : [],
  };
}

function num(v: unknown): number | null {
  return typeof v === 'number' && Number.isFinite(v) ? v : null;
}
