import { describe, expect, it } from 'vitest';
import { combine, shares } from '../src/model/combine';
import { rangeOf, spanOf } from '../src/model/range';
import { chartData, markers, select, totals, touchKey, yLimits } from '../src/model/series';
import { stepOf } from '../src/model/step';
import { row, table, view } from './rows';

const MINUTE = 60_000;
const rows = (...list: ReturnType<typeof row>[]) => {
  const t = table();
  t.snapshot(list);
  return [...t.rows.values()];
};

describe('joining rows', () => {
  it('weighs means by weight', () => {
    const t = combine(rows(row('t', 'a', 1, { weight: 3, sentiment: 1 }), row('t', 'a', 2, { weight: 1, sentiment: -1 })));
    expect(t.sentiment).toBeCloseTo(0.5, 12);
    expect(t).toMatchObject({ posts: 4, scored: 4, weight: 4, positive: 4 });
  });
  it('leaves a single row as it is', () => {
    expect(combine(rows(row('t', 'a', 1)))).toMatchObject({ sentiment: 0.5, ci: expect.closeTo(0.1, 12) });
    expect(combine(rows(row('t', 'a', 1, { sentiment_ci: null }))).ci).toBeNull();
    expect(combine([])).toMatchObject({ posts: 0, sentiment: null, ci: null });
  });
  it('counts an unknown interval as the widest', () => {
    const t = combine(rows(row('t', 'a', 1), row('t', 'a', 2, { sentiment_ci: null })));
    expect(t.ci).toBeCloseTo(Math.sqrt(0.2 ** 2 + 2 ** 2) / 4, 12);
  });
  it('ignores groups without a score', () => {
    expect(combine(rows(row('t', 'a', 1), row('t', 'a', 2, { sentiment: null, weight: 0, scored: 0 })))).toMatchObject({ sentiment: 0.5, posts: 4, scored: 2 });
  });
  it('gives whole percent that add up', () => {
    expect(shares({ positive: 1, neutral: 1, negative: 1 })).toEqual({ positive: 34, neutral: 33, negative: 33 });
    expect(shares({ positive: 0, neutral: 0, negative: 0 })).toEqual({ positive: 0, neutral: 0, negative: 0 });
  });
});

describe('the span', () => {
  const list = rows(row('t', 'a', 10), row('t', 'a', 100), row('t', 'a', 103));
  it('ends with the newest window', () => {
    expect(spanOf(list, rangeOf('5m'), null)).toEqual({ from: 99 * MINUTE, to: 104 * MINUTE, future: 0 });
    expect(spanOf(list, rangeOf('all'), null)).toEqual({ from: 10 * MINUTE, to: 104 * MINUTE, future: 0 });
    expect(spanOf([], rangeOf('all'), null)).toBeNull();
  });
  it('is not moved by windows of the future', () => {
    expect(spanOf(list, rangeOf('5m'), 101 * MINUTE)).toEqual({ from: 96 * MINUTE, to: 101 * MINUTE, future: 1 });
  });
});

describe('the step', () => {
  const tumble = (size: number) => view('v', ['entity'], 'tumble', size);
  const span = (minutes: number) => ({ from: 0, to: minutes * MINUTE, future: 0 });
  it('joins tumbling windows until a line is readable', () => {
    expect(stepOf(tumble(MINUTE), span(5), false)).toBe(MINUTE);
    expect(stepOf(tumble(MINUTE), span(60), false)).toBe(2 * MINUTE);
    expect(stepOf(tumble(MINUTE), span(180), false)).toBe(10 * MINUTE);
    expect(stepOf(tumble(7 * MINUTE), span(1000), false)).toBe(35 * MINUTE);
    expect(stepOf(tumble(MINUTE), span(180), true)).toBe(MINUTE);
  });
  it('never joins windows that overlap', () => {
    expect(stepOf(view('v', ['entity'], 'hop', 5 * MINUTE), span(600), false)).toBeNull();
  });
});

describe('the chart', () => {
  const list = rows(row('t', 'a', 1), row('u', 'a', 1, { sentiment: -0.5, weight: 2 }), row('t', 'a', 2), row('t', 'b', 2, { sentiment_ci: null, posts: 9 }));
  it('holds a point per window, joined over threads', () => {
    const data = chartData(list, 'entity', ['a', 'b'], MINUTE);
    expect(data.x).toEqual([60, 120]);
    expect(data.lines[0]).toMatchObject({ name: 'a', mid: [0, 0.5], posts: [4, 2] });
    expect(data.lines[0]?.high[1]).toBeCloseTo(0.6, 12);
    expect(data.lines[1]).toMatchObject({ mid: [null, 0.5], high: [null, null], low: [null, null] });
  });
  it('joins windows into steps', () => {
    expect(chartData(list, 'entity', ['a'], 3 * MINUTE)).toMatchObject({ x: [0], lines: [{ posts: [6] }] });
  });
  it('keeps intervals within what a sentiment can be', () => {
    const data = chartData(rows(row('t', 'a', 1, { sentiment: 0.9, sentiment_ci: 0.4 })), 'entity', ['a'], null);
    expect(data.lines[0]).toMatchObject({ high: [1], low: [0.5] });
  });
  it('takes one thread, or all', () => {
    const span = { from: MINUTE, to: 2 * MINUTE, future: 0 };
    expect(select(list, span, 'u')).toHaveLength(1);
    expect(select(list, span, null)).toHaveLength(2);
  });
  it('ranks by posts, and counts overlapping windows once', () => {
    expect(totals(list, 'entity', false).map((s) => [s.name, s.posts])).toEqual([['b', 9], ['a', 6]]);
    expect(totals(list, 'entity', true).find((s) => s.name === 'a')?.posts).toBe(4);
  });
  it('marks points that a revision moved, and only those', () => {
    const before = chartData(list, 'entity', ['a', 'b'], null);
    const after = chartData(rows(row('t', 'a', 1, { sentiment: 0.9 }), row('u', 'a', 1, { sentiment: -0.5 }), row('t', 'a', 2, { sentiment: -0.5 }), row('t', 'b', 2)), 'entity', ['a', 'b'], null);
    const touched = new Map([[touchKey('a', MINUTE), 'votes' as const], [touchKey('b', 2 * MINUTE), 'votes' as const]]);
    expect(markers(before, after, touched)).toEqual([{ name: 'a', x: 60, from: 0, to: expect.closeTo(0.2, 12), kind: 'votes' }]);
  });
  it('always shows zero, in calm steps', () => {
    expect(yLimits({ x: [], lines: [] })).toEqual([-0.25, 0.25]);
    expect(yLimits({ x: [1], lines: [{ name: 'a', mid: [0.97], low: [], high: [], posts: [] }] })).toEqual([-0.25, 1]);
  });
});
