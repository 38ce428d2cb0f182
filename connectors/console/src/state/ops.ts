import { countersOf, readHealth, readModel, readSink, readViewState, type Health, type ModelState, type SinkState, type ViewState } from '../model/ops';
import { parseMetrics, type Samples } from '../model/prom';
import { Trend } from '../model/trend';
import { ApiError, fetchHealth, fetchList, fetchMayOperate, fetchMetrics } from '../net/api';

/** Pause between two readings while all of it is shown, and while only numbers of it are. */
const CLOSE_MS = 2000;
const FAR_MS = 5000;

/** How the engine runs, as far as it was read. */
export interface OpsState {
  metrics: Samples | null;
  health: Health | null;
  sinks: SinkState[] | null;
  models: ModelState[] | null;
  views: ViewState[] | null;
  /** Whether the reader may tell sinks and models what to do; `null` while nobody knows. */
  mayOperate: boolean | null;
  /** Why the last reading did not give everything. */
  problem: string | null;
  /** Not for this reader, whatever is tried. */
  forbidden: boolean;
  at: number | null;
}

const NOTHING: OpsState = { metrics: null, health: null, sinks: null, models: null, views: null, mayOperate: null, problem: null, forbidden: false, at: null };

/** Reads metrics, health, sinks and models again and again: often where all of it is shown, seldom where some is, never unseen. */
export class Ops {
  readonly trend = new Trend();
  state: OpsState = NOTHING;
  private close = false;
  private timer: number | null = null;
  private round = 0;

  constructor(private readonly changed: () => void) {}

  /** Looks from close by, from afar, or not at all: the last reading stays. */
  watch(how: 'close' | 'far' | 'off'): void {
    const close = how === 'close';
    if (how === 'off') this.rest();
    else if (this.timer === null || this.close !== close) {
      this.close = close;
      this.soon(0);
    }
  }

  /** Reads at once. */
  refresh(): void {
    if (this.timer !== null) this.soon(0);
  }

  /** Ends, and forgets everything: somebody else signs in. */
  stop(): void {
    this.rest();
    this.state = NOTHING;
    this.trend.clear();
  }

  private rest(): void {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
    this.round += 1;
  }

  private soon(ms: number): void {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.read(), ms);
  }

  private async read(): Promise<void> {
    const round = (this.round += 1);
    if (!document.hidden && !this.state.forbidden) {
      const next = await this.all();
      if (round !== this.round) return;
      this.state = next;
      if (next.metrics && next.problem === null) this.trend.add(countersOf(next.metrics), Date.now());
      this.changed();
    }
    if (round === this.round) this.soon(this.close ? CLOSE_MS : FAR_MS);
  }

  private async all(): Promise<OpsState> {
    const old = this.state;
    try {
      const metrics = fetchMetrics().then(parseMetrics);
      if (!this.close) return { ...old, metrics: await metrics, problem: null, at: Date.now() };
      const [m, health, sinks, models, views, mayOperate] = await Promise.all([
        metrics,
        fetchHealth().then(readHealth),
        fetchList('api/v1/sinks').then((list) => list.map(readSink)),
        fetchList('api/v1/models').then((list) => list.map(readModel)),
        fetchList('api/v1/views').then((list) => list.map(readViewState)),
        old.mayOperate ?? fetchMayOperate(),
      ]);
      return { metrics: m, health, sinks, models, views, mayOperate, problem: null, forbidden: false, at: Date.now() };
    } catch (e) {
      const forbidden = e instanceof ApiError && e.status === 403;
      return { ...old, forbidden, problem: e instanceof Error ? e.message : String(e) };
    }
  }
}
