import { describe, expect, it } from 'vitest';
import { autoPick, chooseView } from '../src/model/choose';
import { Colours } from '../src/model/colours';
import { clock, count, duration, measure, plusMinus, rate, signed } from '../src/model/format';
import { problemOf, type Signs } from '../src/state/problem';
import { withAlpha } from '../src/ui/ink';
import { view } from './rows';

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
  const views = [view('threads', ['thread']), view('hops', ['entity'], 'hop'), view('cast', ['thread', 'entity']), view('volume', ['entity'], 'tumble', 1, ['posts'])];
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
  it('give each line a look of its own and keep it', () => {
    const names = (n: number) => Array.from({ length: n }, (_, i) => `entity ${i}`);
    const c = new Colours();
    expect(c.of('entity 0')).toBeNull();
    expect(c.show(names(24))).toBe(true);
    const looks = names(24).map((n) => JSON.stringify(c.of(n)));
    expect(new Set(looks).size).toBe(24);
    expect(looks.slice(0, 8).every((l) => JSON.parse(l).dash.length === 0)).toBe(true);
    expect(c.show(names(24))).toBe(false);
    const again = new Colours(c.saved());
    again.show(names(24).toReversed());
    expect(names(24).map((n) => JSON.stringify(again.of(n)))).toEqual(looks);
  });
  it('give solid lines to what is shown, at the cost of what was longest out of sight', () => {
    const c = new Colours();
    c.show(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
    c.show(['a', 'c', 'd']);
    expect(c.show(['a', 'new'])).toBe(true);
    expect(c.of('new')?.dash).toEqual([]);
    expect(['a', 'c', 'd'].every((n) => c.of(n) !== null)).toBe(true);
    expect(c.of('b')).toBeNull();
  });
});

describe('problems', () => {
  const fine: Signs = { host: 'h:1', boot: null, views: ['v'], drawable: true, link: { state: 'live' }, notReady: null, refusal: null, now: 0 };
  const title = (more: Partial<Signs>) => problemOf({ ...fine, ...more })?.title ?? null;
  it('come one at a time, the greatest first, with advice', () => {
    expect(title({})).toBeNull();
    expect(title({ views: null })).toBeNull();
    expect(title({ views: null, boot: { error: 'e', starting: true, until: 3000 } })).toMatch(/is starting/);
    expect(title({ views: [], drawable: false })).toMatch(/no views/);
    expect(title({ drawable: false })).toMatch(/measures sentiment/);
    expect(title({ link: { state: 'reconnecting', until: 5, attempt: 1 } })).toBeNull();
    expect(title({ link: { state: 'reconnecting', until: 5, attempt: 2 }, notReady: 'x' })).toMatch(/h:1 is lost/);
    expect(title({ link: { state: 'offline', until: null, attempt: 0 } })).toMatch(/network is down/);
    expect(title({ notReady: '' })).toMatch(/not ready/);
    expect(title({ refusal: 'no view (x)' })).toMatch(/no view \(x\)/);
    expect(problemOf({ ...fine, boot: { error: 'e', starting: false, until: 3000 } })?.advice).toMatch(/Next try in 3 s/);
  });
});
