import { describe, expect, it } from 'vitest';
import { autoPick, chooseView } from '../src/model/choose';
import { Colours } from '../src/model/colours';
import { clock, count, duration, measure, plusMinus, rate, signed } from '../src/model/format';
import { problemOf, type Signs } from '../src/state/problem';
import { withAlpha } from '../src/ui/ink';

describe('numbers', () => {
  it('have a sign of their own', () => {
    expect([0.144, -0.3, 0, -0.001, null].map((v) => signed(v))).toEqual(['+0.14', '−0.30', '0.00', '0.00', '–']);
    expect([plusMinus(0.071), plusMinus(null)]).toEqual(['±0.07', '']);
  });
  it('are grouped and rounded', () => {
    expect([0, 999, 12_345, -1_234_567].map(count)).toEqual(['0', '999', '12\u202f345', '−1\u202f234\u202f567']);
    expect([0, 0.44, 12.3, 1200].map(rate)).toEqual(['0', '0.4', '12', '1\u202f200']);
    expect([-0.42, 25, 1, 1234.5, null].map(measure)).toEqual(['−0.42', '25', '1.00', '1\u202f235', '–']);
  });
  it('say how long', () => {
    expect([-5, 7600, 90_000, 7_200_000, 200_000_000].map(duration)).toEqual(['0 s', '8 s', '2 min', '2 h', '2 d']);
  });
  it('name the day only when it is another', () => {
    const at = new Date(2016, 5, 19, 20, 4, 9).getTime();
    expect(clock(at, { today: at, seconds: true })).toBe('20:04:09');
    expect(clock(at, { today: at + 90_000_000 })).toBe('2016-06-19 20:04');
    expect(clock(null)).toBe('–');
  });
  it('fade colours', () => {
    expect(withAlpha('rgb(1, 2, 3)', 0.5)).toBe('rgba(1, 2, 3, 0.5)');
  });
});

describe('choices', () => {
  const view = (name: string, group_by: string[], window: Record<string, unknown>, measures = ['sentiment']) => ({ name, group_by, window, measures });
  const views = [view('threads', ['thread'], { tumble: 1 }), view('hops', ['entity'], { hop: {} }), view('cast', ['thread', 'entity'], { tumble: 1 }), view('volume', ['entity'], { tumble: 1 }, ['posts'])];
  it('open with entities in tumbling windows', () => {
    expect(chooseView(views, null)?.name).toBe('cast');
    expect(chooseView(views, 'hops')?.name).toBe('hops');
    expect(chooseView(views, 'volume')?.name).toBe('cast');
    expect(chooseView(views.slice(0, 2), null)?.name).toBe('hops');
    expect(chooseView(views.slice(0, 1), null)?.name).toBe('threads');
    expect(chooseView([], null)).toBeNull();
  });
  it('keep the lines calm', () => {
    const ranked = (o: Record<string, number>) => Object.entries(o).map(([name, posts]) => ({ name, posts }));
    expect(autoPick([], ranked({ a: 5, b: 4, c: 3 }), 2)).toEqual(['a', 'b']);
    expect(autoPick(['a', 'b'], ranked({ c: 5, a: 5, b: 4 }), 2)).toEqual(['a', 'b']);
    expect(autoPick(['a', 'b'], ranked({ c: 9, a: 5, b: 4 }), 2)).toEqual(['a', 'c']);
    expect(autoPick(['gone'], ranked({ a: 5 }), 2)).toEqual(['a']);
  });
  it('give each name a look of its own and keep it', () => {
    const c = new Colours();
    const looks = Array.from({ length: 24 }, (_, i) => JSON.stringify(c.of(`entity ${i}`)));
    expect(new Set(looks).size).toBe(24);
    expect(new Set(looks.slice(0, 8).map((l) => JSON.parse(l).hue)).size).toBe(8);
    const again = new Colours(c.saved());
    expect(Array.from({ length: 24 }, (_, i) => JSON.stringify(again.of(`entity ${i}`)))).toEqual(looks);
    expect(c.of('one more').hue).toBeLessThan(8);
  });
});

describe('problems', () => {
  const fine: Signs = { host: 'h:1', boot: null, views: ['v'], drawable: true, link: { state: 'live' }, notReady: null, refusal: null, now: 0 };
  const title = (more: Partial<Signs>) => problemOf({ ...fine, ...more })?.title ?? null;
  it('come one at a time, the greatest first, with advice', () => {
    expect(title({})).toBeNull();
    expect(title({ views: null })).toBeNull();
    expect(title({ views: [], drawable: false })).toMatch(/no views/);
    expect(title({ drawable: false })).toMatch(/measures sentiment/);
    expect(title({ link: { state: 'reconnecting', until: 5, attempt: 1 } })).toBeNull();
    expect(title({ link: { state: 'reconnecting', until: 5, attempt: 2 }, notReady: 'x' })).toMatch(/h:1 is lost/);
    expect(title({ link: { state: 'offline', until: null, attempt: 0 } })).toMatch(/network is down/);
    expect(title({ notReady: '' })).toMatch(/not ready/);
    expect(title({ refusal: 'no view (x)' })).toMatch(/no view \(x\)/);
    expect(problemOf({ ...fine, boot: { error: 'e', until: 3000 } })?.advice).toMatch(/Next try in 3 s/);
  });
});
