import { epoch } from './format';
import { isRecord } from './frames';
import { labelValues, sum, type Samples } from './prom';

/** A source, by its counters. */
export interface SourceState {
  name: string;
  read: number;
  accepted: number;
  duplicate: number;
  late: number;
  dead: number;
  /** Records it holds that were not read yet. */
  waiting: number | null;
  /** Age of the newest record read, in seconds. */
  lag: number | null;
}

/** A sink, as `/api/v1/sinks` shows it. */
export interface SinkState {
  name: string;
  state: string;
  committed: number;
  ticksBehind: number;
  secondsBehind: number;
  failures: number;
  error: string | null;
  resync: string | null;
}

/** A model, as `/api/v1/models` shows it. */
export interface ModelState {
  name: string | null;
  key: string;
  role: string;
  share: number;
  texts: number;
  scored: number;
  missing: number;
  wanted: number;
  compared: number;
  agreement: number | null;
  drift: number | null;
}

/** Records that could not be accepted, of one kind. */
export interface DeadLetters {
  source: string;
  stage: string;
  code: string;
  n: number;
}

/** Two models over some posts. */
export interface Difference {
  entity: string | null;
  posts: number;
  agreement: number;
  live: number;
  other: number;
  difference: number;
}

/** How a model's answers differ from the live one's. */
export interface Comparison {
  model: ModelState;
  live: string | null;
  all: Difference;
  drift: number;
  liveLabels: LabelCounts;
  labels: LabelCounts;
  entities: Difference[];
}

/** Posts by label. */
export interface LabelCounts {
  negative: number;
  neutral: number;
  positive: number;
}

/** A view, as `/api/v1/views` counts it. */
export interface ViewState {
  name: string;
  rows: number | null;
  version: number;
}

/** What the engine says about its parts. */
export interface Health {
  status: string;
  ready: boolean;
  reasons: string[];
  services: { name: string; healthy: boolean; status: string }[];
}

/** The sources, in order of their names. */
export function sourcesOf(m: Samples): SourceState[] {
  return labelValues(m, 'groundswell_records_read_total', 'source').map((source) => {
    const of = (what: string) => sum(m, `groundswell_records_${what}_total`, { source }) ?? 0;
    return {
      name: source,
      read: of('read'),
      accepted: of('accepted'),
      duplicate: of('duplicate'),
      late: of('late'),
      dead: of('dead_lettered'),
      waiting: sum(m, 'groundswell_source_lag_records', { source }),
      lag: sum(m, 'groundswell_source_lag_seconds', { source }),
    };
  });
}

/** Dead letters by source, stage and code, most first. */
export function deadLettersOf(m: Samples): DeadLetters[] {
  const all = m.get('groundswell_records_dead_lettered_total') ?? [];
  return all
    .map(({ labels, value }) => ({ source: labels.source ?? '', stage: labels.stage ?? '', code: labels.code ?? '', n: value }))
    .filter((d) => d.n > 0)
    .sort((a, b) => b.n - a.n || (a.code < b.code ? -1 : 1));
}

/** Counters whose rates are of interest, under short names; per source and sink as well. */
export function countersOf(m: Samples): Map<string, number> {
  const counters = new Map<string, number>();
  const take = (name: string, metric: string, labels: Record<string, string> = {}) => {
    const value = sum(m, metric, labels);
    if (value !== null) counters.set(name, value);
  };
  take('read', 'groundswell_records_read_total');
  take('accepted', 'groundswell_records_accepted_total');
  take('duplicate', 'groundswell_records_duplicate_total');
  take('dead', 'groundswell_records_dead_lettered_total');
  take('ticks', 'groundswell_ticks_total');
  take('scored', 'groundswell_scorer_texts_total');
  take('frames', 'groundswell_websocket_frames_total');
  take('requests', 'groundswell_http_requests_total');
  for (const source of labelValues(m, 'groundswell_records_read_total', 'source')) take(`source ${source}`, 'groundswell_records_read_total', { source });
  for (const sink of labelValues(m, 'groundswell_sink_ticks_applied_total', 'sink')) take(`sink ${sink}`, 'groundswell_sink_ticks_applied_total', { sink });
  return counters;
}

/** Reads a sink. */
export function readSink(raw: Record<string, unknown>): SinkState {
  return {
    name: String(raw.name),
    state: String(raw.state),
    committed: num(raw.committed) ?? 0,
    ticksBehind: num(raw.ticks_behind) ?? 0,
    secondsBehind: num(raw.seconds_behind) ?? 0,
    failures: num(raw.failures) ?? 0,
    error: str(raw.error),
    resync: str(raw.resync),
  };
}

/** Reads a model. */
export function readModel(raw: Record<string, unknown>): ModelState {
  const n = (name: string) => num(raw[name]) ?? 0;
  return {
    name: str(raw.name),
    key: String(raw.key ?? ''),
    role: String(raw.role ?? ''),
    share: n('share'),
    texts: n('texts'),
    scored: n('scored'),
    missing: n('missing'),
    wanted: n('wanted'),
    compared: n('compared'),
    agreement: num(raw.agreement),
    drift: num(raw.drift),
  };
}

/** Reads a comparison. */
export function readComparison(raw: Record<string, unknown>): Comparison {
  const part = (v: unknown) => (isRecord(v) ? v : {});
  const difference = (v: Record<string, unknown>): Difference => ({
    entity: str(v.entity),
    posts: num(v.posts) ?? 0,
    agreement: num(v.agreement) ?? 0,
    live: num(v.live_sentiment) ?? 0,
    other: num(v.sentiment) ?? 0,
    difference: num(v.difference) ?? 0,
  });
  const labels = (v: Record<string, unknown>): LabelCounts => ({ negative: num(v.negative) ?? 0, neutral: num(v.neutral) ?? 0, positive: num(v.positive) ?? 0 });
  return {
    model: readModel(part(raw.model)),
    live: str(raw.live),
    all: difference(part(raw.all)),
    drift: num(raw.drift) ?? 0,
    liveLabels: labels(part(raw.live_labels)),
    labels: labels(part(raw.labels)),
    entities: Array.isArray(raw.entities) ? raw.entities.filter(isRecord).map(difference) : [],
  };
}

/** Reads `/health`. */
export function readHealth(raw: unknown): Health {
  const body = isRecord(raw) ? raw : {};
  const services = isRecord(body.services) ? Object.entries(body.services) : [];
  return {
    status: String(body.status ?? 'unknown'),
    ready: body.ready === true,
    reasons: Array.isArray(body.reasons) ? body.reasons.map(String) : [],
    services: services.filter((e): e is [string, Record<string, unknown>] => isRecord(e[1])).map(([name, s]) => ({ name, healthy: s.healthy === true, status: String(s.status ?? '') })),
  };
}

/** Reads what `/api/v1/views` counts. */
export function readViewState(raw: Record<string, unknown>): ViewState {
  return { name: String(raw.name), rows: num(raw.rows), version: num(raw.version) ?? epoch(raw.updated_at) ?? 0 };
}

function num(v: unknown): number | null {
  return typeof v === 'number' && Number.isFinite(v) ? v : null;
}

function str(v: unknown): string | null {
  return typeof v === 'string' ? v : null;
}
