import { describe, expect, it } from 'vitest';
import { parseFrame } from '../src/model/frames';
import { seriesColumn, Table } from '../src/model/table';
import { readView } from '../src/model/views';
import { row, table, view } from './rows';

const values = (t: Table) => [...t.rows.values()].map((r) => [r.group.entity, r.start / 60_000, r.sentiment]);

describe('frames', () => {
  it('reads every kind', () => {
    expect(parseFrame('{"type":"snapshot","view":"v","at":5,"rows":[{"a":1}]}')).toEqual({ type: 'snapshot', id: 'v', at: 5, rows: [{ a: 1 }] });
    expect(parseFrame('{"type":"delta","view":"v","at":6,"rows":[]}')).toEqual({ type: 'delta', id: 'v', at: 6, rows: [], gone: [], bounds: null });
    expect(parseFrame('{"type":"progress","at":7}')).toEqual({ type: 'progress', at: 7 });
    expect(parseFrame('{"type":"resync","view":"v"}')).toEqual({ type: 'resync', id: 'v' });
    expect(parseFrame('{"type":"error","code":"c","message":"m"}')).toEqual({ type: 'error', code: 'c', message: 'm', id: null });
  });
  it('skips unknown kinds and refuses what is no frame', () => {
    expect(parseFrame('{"type":"news"}')).toBeNull();
    for (const bad of ['', '[]', '7', '{"type":1}', '{"type":"progress"}', '{"type":"snapshot","at":1}']) expect(() => parseFrame(bad)).toThrow();
  });
});

describe('a table', () => {
  it('folds snapshot and deltas', () => {
    const t = table();
    t.snapshot([row('t', 'Curry', 1), row('t', 'Love', 1)]);
    t.delta([row('t', 'Curry', 2), row('t', 'Love', 1, { sentiment: -0.2 })], []);
    t.delta([], [{ thread: 't', entity: 'Curry', window_start: new Date(60_000).toISOString() }]);
    expect(values(t)).toEqual([
      ['Love', 1, -0.2],
      ['Curry', 2, 0.5],
    ]);
    t.snapshot([row('t', 'Love', 9)]);
    expect(values(t)).toEqual([['Love', 9, 0.5]]);
  });
  it('gives the same when a delta comes twice', () => {
    const [rows, gone] = [[row('t', 'Curry', 1, { sentiment: 0.1 })], [{ thread: 't', entity: 'Love', window_start: 60_000 }]];
    const t = table();
    t.snapshot([row('t', 'Curry', 1), row('t', 'Love', 1)]);
    expect(t.delta(rows, gone)).toHaveLength(1);
    const once = values(t);
    expect(t.delta(rows, gone)).toEqual([]);
    expect(values(t)).toEqual(once);
  });
  it('replaces a row that is gone and back in one delta', () => {
    const t = table();
    t.snapshot([row('t', 'Curry', 1)]);
    t.delta([row('t', 'Curry', 1, { sentiment: 0.9 })], [row('t', 'Curry', 1)]);
    expect(values(t)).toEqual([['Curry', 1, 0.9]]);
  });
  it('tells a revision by votes from new posts and late scores', () => {
    const kind = (more: object) => {
      const t = table();
      t.snapshot([row('t', 'Curry', 1)]);
      return t.delta([row('t', 'Curry', 1, more as never)], []).map((c) => c.kind);
    };
    expect(kind({ weight: 9, sentiment: 0.4 })).toEqual(['votes']);
    expect(kind({ posts: 3, scored: 3, positive: 3 })).toEqual(['posts']);
    expect(kind({ scored: 1, positive: 1 })).toEqual(['scores']);
    expect(kind({ positive: 1, negative: 1 })).toEqual(['posts']);
    expect(kind({})).toEqual([]);
  });
  it('never takes two groups for one, whatever their names hold', () => {
    const t = table();
    t.snapshot([row('a","b', 'c', 1), row('a', 'b","c', 1)]);
    expect(t.rows.size).toBe(2);
  });
  it('reads a view without optional measures', () => {
    const t = new Table(['entity'], ['entity', 'window_start']);
    t.snapshot([{ entity: 'x', window_start: 0, window_end: 60_000, sentiment: null, posts: 3 }]);
    expect([...t.rows.values()][0]).toMatchObject({ posts: 3, scored: 3, weight: null, sentiment: null, ci: null });
  });
  it('follows a view whose window moves for all rows at once', () => {
    const v = readView({ name: 'now', group_by: ['entity'], window: { kind: 'sliding', size_ms: 300_000, every_ms: 60_000 }, measures: [], key: ['entity'] });
    const t = new Table(v.group_by, v.key);
    t.snapshot([row('t', 'Curry', 1), row('t', 'Love', 1)]);
    t.delta([row('t', 'Curry', 2, { sentiment: 0.1 })], [{ entity: 'Love' }]);
    t.slide({ start: 7, end: 9 });
    expect([...t.rows.values()]).toMatchObject([{ group: { entity: 'Curry' }, sentiment: 0.1, start: 7, end: 9 }]);
  });
  it('names a group without a value', () => {
    const t = table();
    t.snapshot([row('t', null as never, 1), row('t', '(none)', 1)]);
    expect(values(t).map((v) => v[0])).toEqual(['(none)', '(none)']);
  });
  it('reads views as the engine and as pipeline files write them', () => {
    expect(view('v', ['entity']).window).toEqual({ kind: 'tumble', size: 60_000 });
    expect(readView({ name: 'v', group_by: ['entity'], window: { hop: { size: 5, every: 1 } }, measures: ['posts'], key: ['entity', 'window_start', 'window_end'] })).toEqual({
      name: 'v',
      group_by: ['entity'],
      window: { kind: 'hop', size: 5 },
      measures: ['posts'],
      key: ['entity', 'window_start'],
    });
    expect(readView({ name: 'v', window: { tumble: 7 } }).window).toEqual({ kind: 'tumble', size: 7 });
  });
  it('draws entities where it can', () => {
    expect(seriesColumn(view('v', ['thread', 'entity']))).toBe('entity');
    expect(seriesColumn(view('v', ['source', 'thread']))).toBe('source');
    expect(seriesColumn(view('v', ['thread']))).toBe('thread');
  });
});
