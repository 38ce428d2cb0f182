/** Made-up posts and votes, and the rows, posts and alerts that follow from them. */

const ENTITIES = ['LeBron James', 'Stephen Curry', 'Draymond Green', 'Kyrie Irving', 'Klay Thompson', 'Kevin Love', 'Andre Iguodala', 'Harrison Barnes', 'Tristan Thompson', 'J.R. Smith', 'Steve Kerr', 'Tyronn Lue', 'Anderson Varejão', 'Matthew Dellavedova'];
const THREADS = ['Game 7 live thread', 'Game 7 second half'];
const MOODS = {
  positive: ['{} is unreal tonight', 'What a block by {}!!', '{} carrying this team, give him the MVP already', 'I have never seen anything like {} under pressure', 'ok {} I was wrong about you, that was beautiful'],
  neutral: ['{} back on the bench with four fouls', 'Is {} still hurt? He was limping in the second quarter', 'Timeout, {} talking to the refs', 'That is {} with 11 points now'],
  negative: ['{} has been terrible all night', 'Please take {} off the floor', 'Another turnover from {}, unbelievable', '{} disappears every time it matters', 'Worst shot selection I have seen from {} this season. Honestly just bench him and let the young guys play, it cannot get worse than this'],
};
const EMOTIONS = { positive: 'joy', neutral: 'neutral', negative: 'anger' };
const MINUTE = 60_000;
const FEED = 100;

/** Around air time, in minutes: where the phases of a thread begin and end. */
const PHASES = [['pre', -45, -30], ['live', -30, -8], ['post', -8, 30]];
const MEASURES = ['posts', 'weight', 'sentiment', 'sentiment_ci', 'positive', 'neutral', 'negative', 'toxic', 'sarcastic', 'scored'];

/** A view as `/api/v1/views` describes it. */
function view(name, group_by, measures) {
  return { name, group_by, window: { kind: 'tumble', size_ms: MINUTE, every_ms: MINUTE }, measures, key: [...group_by, 'window_start', 'window_end'] };
}

/** A small seeded generator. */
function random(seed) {
  let s = seed;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

export class World {
  tick = Date.now();
  posts = new Map();
  alerts = new Map();
  rows = new Map();
  listeners = new Set();
  n = 0;

  constructor(empty) {
    this.random = random(7);
    this.empty = empty;
    if (empty) return;
    const now = Date.now();
    this.began = now - 45 * MINUTE;
    for (let t = now - 45 * MINUTE; t < now; t += 900 + this.random() * 1600) this.write(t, true);
    this.tick = now;
    this.refresh(new Set(this.posts.keys()));
  }

  viewInfos() {
    return [
      { ...view('cast_by_minute', ['thread', 'entity'], MEASURES), rows: this.rows.size, version: this.tick },
      { ...view('phases', ['thread', 'entity'], MEASURES), window: { kind: 'anchored' }, key: ['thread', 'entity', 'phase', 'window_start', 'window_end'], rows: 3, version: this.tick },
      view('volume', ['entity'], ['posts']),
    ];
  }

  snapshot(view) {
    if (view === '_posts') return this.feed().map((p) => this.postItem(p));
    if (view === '_alerts') return [...this.alerts.values()];
    if (view === 'cast_by_minute') return [...this.rows.values()];
    return view === 'phases' ? this.phases() : null;
  }

  /** Rows of windows anchored to air time. */
  phases() {
    const cells = new Map();
    for (const p of this.posts.values()) {
      const minutes = (p.at - this.began) / MINUTE - 45;
      const phase = PHASES.findIndex(([, from, to]) => minutes >= from && minutes < to);
      if (phase < 0) continue;
      for (const m of p.mentions) {
        const cell = JSON.stringify([p.thread, m.entity, phase]);
        cells.set(cell, [...(cells.get(cell) ?? []), p]);
      }
    }
    return [...cells].map(([cell, list]) => {
      const [thread, entity, phase] = JSON.parse(cell);
      const [name, from, to] = PHASES[phase];
      const at = (minutes) => new Date(this.began + (minutes + 45) * MINUTE).toISOString();
      return { ...this.row(thread, entity, 0, list), phase: name, window_start: at(from), window_end: at(to) };
    });
  }

  /** The newest posts. */
  feed() {
    return [...this.posts.values()].slice(-FEED).reverse();
  }

  onTick(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  run(ms) {
    setInterval(() => this.step(), ms);
  }

  step() {
    const now = Date.now();
    const touched = new Set();
    const before = this.feed();
    if (!this.empty) {
      for (let i = Math.floor(this.random() * 3); i > 0; i -= 1) touched.add(this.write(now, false).id);
      const all = [...this.posts.values()];
      for (const p of all.slice(-60)) {
        if (p.label === null && now - p.at > 900) {
          p.label = p.mood;
          touched.add(p.id);
        }
      }
      for (let i = 0; i < 3; i += 1) {
        const p = all[Math.floor(all.length * (1 - this.random() ** 2 * 0.3)) - 1];
        if (!p) continue;
        p.votes = Math.round((p.votes ?? 0) * 1.4 + this.random() * 40);
        touched.add(p.id);
      }
    }
    this.tick = Math.max(now, this.tick + 1);
    const changes = this.refresh(touched);
    const at = this.tick;
    const feed = this.feed();
    const frames = [
      { type: 'delta', view: 'cast_by_minute', at, rows: changes.rows, gone: [] },
      { type: 'delta', view: '_posts', at, rows: feed.filter((p) => touched.has(p.id)).map((p) => this.postItem(p)), gone: before.filter((p) => !feed.includes(p)).map((p) => ({ id: p.id })) },
      { type: 'delta', view: '_alerts', at, rows: changes.alerts, gone: [] },
      { type: 'delta', view: 'phases', at, rows: this.phases(), gone: [] },
    ].filter((f) => f.rows.length > 0);
    for (const l of this.listeners) l([...frames, { type: 'progress', at }]);
  }

  write(at, old) {
    const r = this.random;
    const who = [ENTITIES[Math.floor(r() ** 2.1 * ENTITIES.length)]];
    if (r() < 0.15) who.push(ENTITIES[Math.floor(r() * ENTITIES.length)]);
    const lean = Math.sin(at / (6 * MINUTE) + ENTITIES.indexOf(who[0]) * 1.7) * 0.45 + r() - 0.5;
    const mood = lean > 0.22 ? 'positive' : lean < -0.22 ? 'negative' : 'neutral';
    const lines = MOODS[mood];
    const p = {
      id: `c${(this.n += 1)}`,
      at,
      thread: THREADS[r() < 0.8 ? 0 : 1],
      author: `fan_${Math.floor(r() * 900)}`,
      text: lines[Math.floor(r() * lines.length)].replace('{}', who.join(' and ')),
      votes: old && r() < 0.9 ? Math.floor(r() ** 4 * 300) : null,
      mood,
      label: old ? mood : null,
      x: (mood === 'positive' ? 0.75 : mood === 'negative' ? -0.75 : 0) + (r() - 0.5) * 0.4,
      mentions: [...new Set(who)].map((entity) => ({ entity, confidence: 0.95, method: 'exact' })),
    };
    this.posts.set(p.id, p);
    return p;
  }

  weight(p) {
    return 1 + Math.log1p(Math.max(0, p.votes ?? 0));
  }

  postItem(p) {
    const scored = p.label !== null;
    return { id: p.id, source: 'r/nba', thread: p.thread, author: p.author, text: p.text, created_at: new Date(p.at).toISOString(), votes: p.votes, weight: this.weight(p), label: p.label, sentiment: scored ? p.x : null, score: scored ? { emotion: EMOTIONS[p.mood] } : null, mentions: p.mentions };
  }

  /** Computes the rows that the touched posts belong to, and the alerts on them. */
  refresh(touched) {
    const groups = new Set();
    for (const id of touched) {
      const p = this.posts.get(id);
      for (const m of p.mentions) groups.add(JSON.stringify([p.thread, m.entity, Math.floor(p.at / MINUTE) * MINUTE]));
    }
    const members = new Map([...groups].map((g) => [g, []]));
    for (const p of this.posts.values()) for (const m of p.mentions) members.get(JSON.stringify([p.thread, m.entity, Math.floor(p.at / MINUTE) * MINUTE]))?.push(p);
    const changes = { rows: [], alerts: [] };
    for (const [g, a] of this.alerts) {
      if (a.state !== 'firing' || this.tick - Date.parse(a.at) < 30_000 || this.random() < 0.9) continue;
      const over = { ...a, state: this.random() < 0.6 ? 'resolved' : 'retracted', cause: this.random() < 0.5 ? 'votes' : 'data', value: -0.08, at: new Date(this.tick).toISOString() };
      this.alerts.set(g, over);
      changes.alerts.push(over);
    }
    for (const [g, list] of members) {
      const [thread, entity, start] = JSON.parse(g);
      const row = this.row(thread, entity, start, list);
      this.rows.set(g, row);
      changes.rows.push(row);
      const alert = this.judge(g, row, list);
      if (alert) changes.alerts.push(alert);
    }
    return changes;
  }

  row(thread, entity, start, list) {
    const scored = list.filter((p) => p.label !== null);
    const [w, wx, wxx, ww] = scored.reduce(([a, b, c, d], p) => [a + this.weight(p), b + this.weight(p) * p.x, c + this.weight(p) * p.x ** 2, d + this.weight(p) ** 2], [0, 0, 0, 0]);
    const mean = w > 0 ? wx / w : null;
    const n = ww > 0 ? w ** 2 / ww : 0;
    const ci = n > 1.01 ? 1.96 * Math.sqrt(Math.max(0, wxx / w - mean ** 2) / (n - 1)) : null;
    const labels = (l) => scored.filter((p) => p.label === l).length;
    return { thread, entity, window_start: new Date(start).toISOString(), window_end: new Date(start + MINUTE).toISOString(), posts: list.length, weight: w, sentiment: mean, sentiment_ci: ci, positive: labels('positive'), neutral: labels('neutral'), negative: labels('negative'), toxic: 0, sarcastic: 0, scored: scored.length, updated_at: new Date(this.tick).toISOString() };
  }

  judge(g, row, list) {
    const old = this.alerts.get(g);
    const fires = row.posts >= 7 && row.sentiment !== null && row.sentiment < -0.35;
    if (!fires || old) return null;
    const evidence = list.filter((p) => p.label).sort((a, b) => a.x * this.weight(a) - b.x * this.weight(b)).slice(0, 5)
      .map((p) => ({ post: p.id, weight: this.weight(p), sentiment: p.x, influence: (this.weight(p) * (p.x - row.sentiment)) / Math.max(1, row.weight - this.weight(p)) }));
    const alert = { id: `a${(this.n += 1)}`, rule: 'backlash', state: 'firing', cause: 'data', view: 'cast_by_minute', key: { thread: row.thread, entity: row.entity }, window_start: row.window_start, window_end: row.window_end, value: row.sentiment, threshold: -0.3, posts: row.posts, at: new Date(this.tick).toISOString(), evidence };
    this.alerts.set(g, alert);
    return alert;
  }
}
