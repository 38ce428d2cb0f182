/** The made-up engine's parts: sinks that can be told things, a shadow model that can be promoted, metrics, and explanations. */

const LABELS = { negative: 310, neutral: 620, positive: 270 };

export class Operations {
  states = new Map([['pg', 'running'], ['alerts', 'running'], ['archive', 'retrying']]);
  live = 'social';
  before = null;
  began = Date.now();

  constructor(world) {
    this.world = world;
  }

  /** The answer to a request: text, a body, or nothing if it is none of these. */
  answer(method, path) {
    if (path === '/metrics') return this.metrics();
    if (path === '/health') return this.health();
    if (path === '/api/v1/me') return { data: { name: null, role: 'admin', tenant: null, expires: null, serves: [] } };
    if (path === '/api/v1/sinks') return { data: this.sinks() };
    if (path === '/api/v1/models') return { data: this.models() };
    const explained = /^\/api\/v1\/alerts\/([^/]+)\/explain$/.exec(path);
    if (explained) return this.explain(explained[1]);
    const compared = /^\/api\/v1\/models\/([^/]+)\/comparison$/.exec(path);
    if (compared) return { data: this.comparison() };
    if (method !== 'POST') return null;
    if (path === '/api/v1/models/rollback') return this.before ? this.promote(this.before) : { error: { code: 'NOTHING_TO_ROLL_BACK', message: 'No other model has been live' } };
    const promoted = /^\/api\/v1\/models\/([^/]+)\/promote$/.exec(path);
    if (promoted) return this.promote(promoted[1].replace('key-', ''));
    const told = /^\/api\/v1\/sinks\/([^/]+)\/(pause|resume|resync)$/.exec(path);
    if (!told) return null;
    const [, sink, action] = told;
    if (action === 'resync' && sink !== 'pg') return { error: { code: 'SINK_CANNOT', message: `The sink '${sink}' cannot be compared with what is served` } };
    if (action !== 'resync') this.states.set(sink, action === 'pause' ? 'paused' : 'running');
    return { data: this.sinks().find((s) => s.name === sink) };
  }

  sinks() {
    return [...this.states].map(([name, state]) => {
      const late = state === 'running' ? 0 : Math.round((Date.now() - this.began) / 500);
      return { name, state, committed: this.world.tick - late * 500, ticks_behind: late, seconds_behind: late / 2, failures: state === 'retrying' ? 3 : 0, error: state === 'retrying' ? 'connection refused by 10.0.0.7:9092' : null, resync: null };
    });
  }

  models() {
    return ['social', 'next'].map((name) => {
      const live = name === this.live;
      return { name, key: `key-${name}`, role: live ? 'live' : 'shadow', share: 1, texts: 1200, scored: live ? 1200 : 1140, missing: live ? 0 : 60, wanted: live ? 0 : 60, compared: live ? 0 : 1140, agreement: live ? null : 0.913, drift: live ? null : 0.042 };
    });
  }

  comparison() {
    const difference = (entity, live, other) => ({ entity, posts: 120, agreement: 0.9, live_sentiment: live, sentiment: other, difference: other - live });
    const entities = [difference('LeBron James', 0.12, 0.18), difference('Stephen Curry', -0.04, -0.11), difference('Kyrie Irving', 0.3, 0.29)];
    return { model: this.models().find((m) => m.role === 'shadow'), live: this.live, all: difference(undefined, 0.05, 0.07), drift: 0.042, live_labels: LABELS, labels: { negative: 290, neutral: 600, positive: 310 }, entities };
  }

  promote(name) {
    const was = this.live;
    [this.before, this.live] = [was, name];
    return { data: { live: `key-${name}`, was: `key-${was}`, tick: this.world.tick, missing: 60 } };
  }

  explain(id) {
    const alert = [...this.world.alerts.values()].find((a) => a.id === id);
    if (!alert) return { error: { code: 'NOT_FOUND', message: 'There is no alert with this id among those kept' } };
    const evidence = alert.evidence.map((e) => {
      const post = this.world.posts.get(e.post);
      return { ...e, live: post !== undefined, text: post?.text ?? null, votes: post?.votes ?? null, created_at: post ? new Date(post.at).toISOString() : null };
    });
    const first = { state: 'firing', cause: 'data', at: alert.window_start, value: alert.value, posts: alert.posts };
    const history = alert.state === 'firing' ? [first] : [first, { state: alert.state, cause: alert.cause, at: alert.at, value: alert.value, posts: alert.posts }];
    return { data: { ...alert, evidence, history } };
  }

  health() {
    const services = Object.fromEntries(this.sinks().map((s) => [`sink ${s.name}`, { healthy: s.state === 'running', status: s.error ?? s.state }]));
    return { status: 'degraded', ready: true, reasons: [], services: { engine: { healthy: true, status: `complete up to tick ${this.world.tick}` }, ...services }, at: this.world.tick };
  }

  metrics() {
    const s = Math.round((Date.now() - this.began) / 1000);
    const posts = this.world.posts.size;
    return Object.entries({
      'records_read_total{source="comments"}': posts + 3 * s, 'records_read_total{source="votes"}': 11 * s, 'records_accepted_total{source="comments"}': posts + 3 * s - 9, 'records_duplicate_total{source="comments"}': 4,
      'records_late_total{source="comments"}': 17, 'records_dead_lettered_total{source="comments",stage="decode",code="invalid_json"}': 3, 'records_dead_lettered_total{source="comments",stage="validate",code="missing_field"}': 2,
      'source_lag_seconds{source="comments"}': 0.4, 'source_lag_seconds{source="votes"}': 1.2, 'source_lag_records{source="comments"}': 3, frontier_lag_seconds: 0.3, ticks_total: 2 * s, tick_duration_seconds_sum: 0.02 * s,
      tick_duration_seconds_count: 2 * s, scorer_texts_total: 3 * s, scorer_queue_texts: 4, 'store_bytes{part="log"}': 5e6 + 4e4 * s, 'store_bytes{part="snapshot"}': 2.4e7, websocket_clients: 1, websocket_frames_total: 4 * s,
      'sink_ticks_applied_total{sink="pg"}': 2 * s, 'sink_ticks_applied_total{sink="alerts"}': 2 * s,
    }).map(([name, value]) => `groundswell_${name} ${value}\n`).join('');
  }
}
