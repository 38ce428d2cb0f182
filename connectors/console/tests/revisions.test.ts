import { describe, expect, it } from 'vitest';
import { chartData } from '../src/model/series';
import { MARKED_MS, Revisions } from '../src/state/revisions';
import { row, table } from './rows';

const MINUTE = 60_000;
const where = { column: 'entity', thread: null, step: null };

/** A table, its revisions, and a function that applies a change and draws. */
function setting() {
  const t = table();
  const r = new Revisions();
  const draw = (now: number, context = 'c') => r.next(context, chartData([...t.rows.values()], 'entity', ['Curry'], null), now);
  const change = (minute: number, more: object, now: number, tick = 100 * MINUTE) => r.note(t.delta([row('t', 'Curry', minute, more as never)], []), where, tick, now);
  t.snapshot([row('t', 'Curry', 1), row('t', 'Curry', 2)]);
  draw(0);
  return { draw, change };
}

describe('revisions', () => {
  it('mark where the line was, for a moment', () => {
    const { draw, change } = setting();
    change(1, { weight: 9, sentiment: 0.1 }, 10);
    const drawn = draw(10);
    expect(drawn.markers).toEqual([{ name: 'Curry', x: 60, from: 0.5, to: 0.1, kind: 'votes', at: 10 }]);
    expect(drawn).toMatchObject({ votesPerMinute: 1, last: { to: 0.1 } });
    expect(draw(11).markers).toHaveLength(1);
    expect(draw(10 + MARKED_MS).markers).toEqual([]);
    expect(draw(10 + MINUTE)).toMatchObject({ votesPerMinute: 0, last: { to: 0.1 } });
  });
  it('mark new posts only in windows that are closed', () => {
    const { draw, change } = setting();
    change(2, { posts: 3, scored: 3, positive: 3, sentiment: 0.9 }, 10, 2 * MINUTE + 5);
    expect(draw(10).markers).toEqual([]);
    change(1, { posts: 3, scored: 3, positive: 3, sentiment: 0.9 }, 20, 2 * MINUTE + 5);
    expect(draw(20).markers.map((m) => m.kind)).toEqual(['posts']);
  });
  it('are not what another picture shows', () => {
    const { draw, change } = setting();
    change(1, { weight: 9, sentiment: 0.1 }, 10);
    expect(draw(10, 'other thread').markers).toEqual([]);
  });
});
