import { describe, expect, it } from 'vitest';
import { hrefOf, parseRoute } from '../src/model/route';

describe('addresses', () => {
  it('say page, item and choices, and read back', () => {
    const item = 'finale 3/4? #1 & “more” 100%';
    const href = hrefOf('threads', item, { view: 'a b', range: '5m' });
    expect(parseRoute(href)).toEqual({ page: 'threads', item, query: { view: 'a b', range: '5m' } });
    expect(parseRoute(hrefOf('alerts'))).toEqual({ page: 'alerts', item: null, query: {} });
    expect(parseRoute('#/alerts?state=firing')).toEqual({ page: 'alerts', item: null, query: { state: 'firing' } });
  });
  it('lead to the overview where they lead nowhere', () => {
    for (const hash of ['', '#', '#/', '#/nothing/here?view=x', '#main']) expect(parseRoute(hash)).toEqual({ page: 'overview', item: null, query: {} });
  });
  it('take a name as it is if nobody encoded it', () => {
    expect(parseRoute('#/entities/50%').item).toBe('50%');
    expect(parseRoute('#/threads/a/b').item).toBe('a/b');
    expect(parseRoute('#/threads/').item).toBeNull();
  });
});
