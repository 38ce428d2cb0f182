import { bytes, count, rate } from './format';
import type { Edge, Graph, Node, Tone } from './graph';
import type { ModelState, SinkState, SourceState, ViewState } from './ops';
import { most, sum, type Samples } from './prom';

/** Sources and sinks drawn one by one; the rest is one node. */
const MOST = 5;

/** What is known of the pipeline. */
export interface Parts {
  metrics: Samples;
  sources: readonly SourceState[];
  sinks: readonly SinkState[];
  models: readonly ModelState[];
  views: readonly ViewState[];
  alerts: { firing: number; all: number };
  /** The rate of a counter. */
  rate: (name: string) => number | null;
}

/** The pipeline as a graph with numbers. */
export function graphOf(p: Parts): Graph {
  const { metrics: m } = p;
  const n = (name: string) => sum(m, `groundswell_${name}`) ?? 0;
  const [reading, ticking, scoring] = [p.rate('read') ?? 0, p.rate('ticks') ?? 0, p.rate('scored') ?? 0];
  const dead = n('records_dead_lettered_total');
  const live = p.models.find((x) => x.role === 'live');
  const queue = n('scorer_queue_texts') + n('scorer_in_flight_texts');
  const rows = p.views.reduce((all, v) => all + (v.rows ?? 0), 0);
  const frontier = sum(m, 'groundswell_frontier_lag_seconds');
  const record: Node = { id: 'record', title: 'Record', lines: [`${perSecond(p.rate('ticks'))} ticks`, `${bytes(n('store_bytes'))} durable`], tone: (frontier ?? 0) > 10 ? 'bad' : 'good' };
  const letters: Node = { id: 'dead', title: 'Dead letters', lines: [`${count(dead)} in all`, `${perSecond(p.rate('dead'))}`], tone: (p.rate('dead') ?? 0) > 0 ? 'warn' : 'calm' };
  const dedupe: Node = { id: 'dedupe', title: 'Dedupe', lines: [`${perSecond(p.rate('accepted'))} accepted`, `${count(n('records_duplicate_total'))} repeated`], tone: 'calm' };
  const link: Node = { id: 'link', title: 'Link', lines: ['posts to entities', `${count(n('records_late_total'))} came late`], tone: 'calm' };
  const score: Node = {
    id: 'score',
    title: live?.name ? `Score: ${live.name}` : 'Score',
    lines: [`${perSecond(p.rate('scored'))} texts`, `${count(queue)} waiting`],
    tone: n('scorer_breaker_open') > 0 ? 'bad' : queue > 1000 ? 'warn' : 'good',
  };
  const windows: Node = { id: 'window', title: 'Aggregate', lines: [`${count(p.views.length)} ${p.views.length === 1 ? 'view' : 'views'}`, `${count(rows)} rows`], tone: 'calm' };
  const rules: Node = { id: 'rules', title: 'Threshold', lines: [`${count(p.alerts.firing)} firing`, `of ${count(p.alerts.all)} alerts`], tone: p.alerts.firing > 0 ? 'bad' : 'calm' };
  const clients = n('websocket_clients');
  const hub: Node = { id: 'hub', title: 'Hub', lines: [`${count(clients)} ${clients === 1 ? 'socket' : 'sockets'}`, `${perSecond(p.rate('frames'))} frames`], tone: 'good' };
  const sources = fold(p.sources, (s) => sourceNode(s, p), (rest) => ({ id: 'source …', title: `${rest.length} more sources`, lines: [`${count(rest.reduce((a, s) => a + s.read, 0))} read`], tone: 'calm' }));
  const sinks = fold(p.sinks, sinkNode, (rest) => ({ id: 'sink …', title: `${rest.length} more sinks`, lines: [`${count(rest.filter((s) => s.state !== 'running').length)} not running`], tone: rest.every((s) => s.state === 'running') ? 'good' : 'warn' }));
  const busy = { read: reading > 0, tick: ticking > 0, score: scoring > 0 };
  const edges: Edge[] = [
    ...sources.map((s) => ({ from: s.id, to: 'record', busy: (p.rate(s.id) ?? 0) > 0 })),
    { from: 'record', to: 'dead', busy: (p.rate('dead') ?? 0) > 0, aside: true },
    { from: 'record', to: 'dedupe', busy: busy.read },
    { from: 'dedupe', to: 'link', busy: busy.read },
    { from: 'link', to: 'score', busy: busy.score },
    { from: 'score', to: 'window', busy: busy.score },
    { from: 'window', to: 'rules', busy: busy.tick },
    { from: 'window', to: 'hub', busy: clients > 0 && busy.tick },
    ...[hub, ...sinks].map((s) => ({ from: 'rules', to: s.id, busy: s.id === 'hub' ? clients > 0 && busy.tick : (p.rate(s.id) ?? 0) > 0 })),
  ];
  return { stages: [sources, [record, letters], [dedupe], [link], [score], [windows], [rules], [hub, ...sinks]].filter((s) => s.length > 0), edges };
}

/** The graph in a sentence, for those who listen. */
export function graphWords(p: Parts): string {
  const down = p.sinks.filter((s) => s.state !== 'running').map((s) => `${s.name} ${s.state}`);
  const lag = most(p.metrics, 'groundswell_source_lag_seconds');
  return [
    `${p.sources.length} sources, ${perSecond(p.rate('read'))} records${lag === null ? '' : `, lag ${lag.toFixed(1)} s`}`,
    `record, dedupe, link, score, aggregate and threshold`,
    `${p.views.length} views, ${p.alerts.firing} alerts firing`,
    `${p.sinks.length} sinks${down.length > 0 ? `, of which ${down.join(', ')}` : ', all running'}`,
  ].join('; ');
}

function sourceNode(s: SourceState, p: Parts): Node {
  const lag = s.lag === null ? '' : `${s.lag < 10 ? s.lag.toFixed(1) : count(s.lag)} s behind`;
  return { id: `source ${s.name}`, title: s.name, lines: [`${perSecond(p.rate(`source ${s.name}`))} read`, lag], tone: (s.lag ?? 0) > 60 ? 'warn' : 'good' };
}

function sinkNode(s: SinkState): Node {
  return { id: `sink ${s.name}`, title: s.name, lines: [s.state, s.ticksBehind > 3 ? `${count(s.ticksBehind)} ticks behind` : 'up to date'], tone: sinkTone(s.state) };
}

/** How a sink's state is to be taken. */
export function sinkTone(state: string): Tone {
  return state === 'running' ? 'good' : state === 'broken' ? 'bad' : 'warn';
}

function fold<T>(list: readonly T[], one: (t: T) => Node, rest: (list: readonly T[]) => Node): Node[] {
  return list.length <= MOST ? list.map(one) : [...list.slice(0, MOST - 1).map(one), rest(list.slice(MOST - 1))];
}

/** A rate with its unit. */
export function perSecond(v: number | null): string {
  return v === null ? '…' : `${rate(v)}/s`;
}
