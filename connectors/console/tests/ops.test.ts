import { describe, expect, it } from 'vitest';
import { readExplanation } from '../src/model/explain';
import { bytes } from '../src/model/format';
import { influenceOf, meanOf, whole } from '../src/model/influence';
import { countersOf, deadLettersOf, readComparison, readHealth, readModel, readSink, sourcesOf } from '../src/model/ops';
import { labelValues, most, parseMetrics, sum } from '../src/model/prom';
import { Trend } from '../src/model/trend';

const TEXT = `# HELP groundswell_records_read_total Records read.
# TYPE groundswell_records_read_total counter
groundswell_records_read_total{source="a"} 10
groundswell_records_read_total{source="b \\"x\\"\\n"} 5
groundswell_records_duplicate_total{source="a"} 2
groundswell_records_dead_lettered_total{source="a",stage="decode",code="invalid_json"} 1
groundswell_records_dead_lettered_total{source="a",stage="decode",code="late"} 3
groundswell_records_dead_lettered_total{source="b",stage="decode",code="none"} 0
groundswell_source_lag_seconds{source="a"} 0.5
groundswell_source_lag_seconds{source="b"} 2e1
groundswell_tick_duration_seconds_bucket{le="+Inf"} 7
groundswell_frontier_lag_seconds 0.25
nonsense
x NaN
`;

describe('metrics', () => {
  const m = parseMetrics(TEXT);
  it('are read with their labels', () => {
    expect(sum(m, 'groundswell_records_read_total')).toBe(15);
    expect(sum(m, 'groundswell_records_read_total', { source: 'a' })).toBe(10);
    expect(sum(m, 'groundswell_records_read_total', { source: 'c' })).toBeNull();
    expect(sum(m, 'groundswell_frontier_lag_seconds')).toBe(0.25);
    expect(most(m, 'groundswell_source_lag_seconds')).toBe(20);
    expect(most(m, 'x')).toBeNull();
    expect(labelValues(m, 'groundswell_records_read_total', 'source')).toEqual(['a', 'b "x"\n']);
    expect(parseMetrics('a 1\r\n').get('a')).toEqual([{ labels: {}, value: 1 }]);
  });
  it('become sources, dead letters and counters', () => {
    expect(sourcesOf(m)[0]).toEqual({ name: 'a', read: 10, accepted: 0, duplicate: 2, late: 0, dead: 4, waiting: null, lag: 0.5 });
    expect(deadLettersOf(m).map((d) => [d.code, d.n])).toEqual([['late', 3], ['invalid_json', 1]]);
    expect([...countersOf(m)]).toEqual([['read', 15], ['duplicate', 2], ['dead', 4], ['source a', 10], ['source b "x"\n', 5]]);
  });
});

describe('rates', () => {
  const at = (n: number) => new Map([['n', n]]);
  it('are taken over the last ten seconds', () => {
    const t = new Trend();
    expect(t.rate('n')).toBeNull();
    t.add(at(0), 0);
    expect(t.rate('n')).toBeNull();
    t.add(at(100), 2000);
    expect(t.rate('n')).toBe(50);
    t.add(at(100), 20_000);
    t.add(at(130), 22_000);
    expect(t.rate('n')).toBe(15);
    expect(t.rate('other')).toBe(0);
    expect(t.history('n')).toEqual([50, 0, 15]);
  });
  it('begin anew when a counter goes back: it is another process', () => {
    const t = new Trend();
    t.add(at(1000), 0);
    t.add(at(2000), 1000);
    t.add(at(5), 2000);
    expect(t.rate('n')).toBeNull();
    t.add(at(15), 3000);
    expect(t.rate('n')).toBe(10);
  });
  it('keep a bounded past', () => {
    const t = new Trend(3);
    for (let i = 0; i < 10; i += 1) t.add(at(i), i * 1000);
    expect(t.history('n')).toEqual([1, 1]);
  });
});

describe('answers of the API', () => {
  it('are read with what is missing as unknown', () => {
    expect(readSink({ name: 'pg', state: 'paused', ticks_behind: 3, error: 'gone' })).toEqual({ name: 'pg', state: 'paused', committed: 0, ticksBehind: 3, secondsBehind: 0, failures: 0, error: 'gone', resync: null });
    expect(readModel({ name: null, key: 'k', role: 'live', agreement: null, drift: 0.1 })).toMatchObject({ name: null, key: 'k', agreement: null, drift: 0.1, texts: 0 });
    expect(readHealth({ status: 'degraded', ready: false, reasons: ['restoring'], services: { engine: { healthy: true, status: 'running' } } })).toEqual({ status: 'degraded', ready: false, reasons: ['restoring'], services: [{ name: 'engine', healthy: true, status: 'running' }] });
    expect(readHealth(null)).toEqual({ status: 'unknown', ready: false, reasons: [], services: [] });
    const c = readComparison({ model: { name: 'next', key: 'k', role: 'shadow' }, live: 'now', all: { posts: 9, agreement: 0.5 }, live_labels: { positive: 1 }, entities: [{ entity: 'e', difference: -0.1 }] });
    expect([c.model.name, c.all.posts, c.liveLabels.positive, c.labels.positive, c.entities[0]?.difference]).toEqual(['next', 9, 1, 0, -0.1]);
  });
  it('explain an alert by its posts as they are now', () => {
    const e = readExplanation({
      id: 'a', state: 'resolved', cause: 'votes', evidence: [{ post: 'p', weight: 2, sentiment: -1, influence: -0.1, live: true, text: 'bad', votes: 3, created_at: 1000 }, { post: 'q', weight: 1, sentiment: -1, influence: 0, live: false, text: null, votes: null, created_at: null }],
      resolved_window_start: 1000, resolved_window_end: 2000, history: [{ state: 'firing', cause: 'data', at: 500, value: -0.5, posts: 4 }, { state: 'resolved', cause: 'votes', at: 900, value: 0, posts: 4 }],
    });
    expect(e.evidence.map((p) => [p.post, p.live, p.text, p.votes, p.created])).toEqual([['p', true, 'bad', 3, 1000], ['q', false, null, null, null]]);
    expect(e.resolved).toEqual({ start: 1000, end: 2000 });
    expect(e.history).toEqual([{ state: 'firing', cause: 'data', at: 500, value: -0.5, posts: 4 }, { state: 'resolved', cause: 'votes', at: 900, value: 0, posts: 4 }]);
    expect(readExplanation({ id: 'a' })).toMatchObject({ resolved: null, muted: false, evidence: [], history: [] });
  });
});

describe('bytes', () => {
  it('have a unit', () => {
    expect([0, 0.4, 812, 3_300, 2_600_000, 140_000_000, 5e15].map(bytes)).toEqual(['0 B', '0 B', '812 B', '3.3 kB', '2.6 MB', '140 MB', '5000 TB']);
  });
});

describe('influence', () => {
  const sums = { weight: 5_000_000n, weighted: -12_500_000_000_00n, ppm: 1_000_000 };
  it('is leave-one-out, in whole numbers, towards zero', () => {
    // Means −0.25 with and 0.0 without: a post of weight 1 and sentiment −1.25 among five.
    expect(influenceOf({ weight: 1_000_000n, sentiment: -1_250_000n }, sums)).toBe(-250_000n);
    expect(influenceOf({ weight: 3n, sentiment: 1n }, { ...sums, weight: 7n, weighted: 2n })).toBe(0n);
    expect(influenceOf({ weight: 5n, sentiment: 1n }, { ...sums, weight: 5n })).toBeNull();
    expect(meanOf(sums)).toBeCloseTo(-0.25, 9);
    expect(meanOf({ ...sums, weight: 0n })).toBeNull();
  });
  it('takes numbers larger than a double keeps', () => {
    expect([whole('123456789012345678901'), whole(-7), whole(1.5), whole('1e3'), whole(null), whole(2 ** 60)]).toEqual([123456789012345678901n, -7n, null, null, null, null]);
  });
  it('is computed again for every post of an explanation', () => {
    const raw = (influence: number) => ({ id: 'a', evidence: [{ post: 'p', weight: 1, sentiment: -1.25, influence: -0.25, exact: { weight: 1_000_000, sentiment: -1_250_000, influence } }], sums: { weight: '5000000', weighted_sentiment: '-1250000000000', unit: 1_000_000, ppm: 1_000_000 } });
    expect(readExplanation(raw(-250_000)).again).toEqual({ n: 1, agree: true });
    expect(readExplanation(raw(-250_001)).again).toEqual({ n: 1, agree: false });
    expect(readExplanation({ ...raw(1), sums: undefined }).again).toEqual({ n: 0, agree: true });
  });
});
