import { describe, expect, it } from 'vitest';
import { Alerts, announcement, causeWords, sentence } from '../src/model/alerts';
import { Feed } from '../src/model/feed';
import { Rate } from '../src/model/rate';
import { changeWords } from '../src/ui/feed';

const post = (id: string, at: number, more = {}) => ({ id, source: 's', thread: 't', author: 'a', text: id, created_at: new Date(at).toISOString(), votes: null, weight: 1, label: 'neutral', sentiment: 0, emotion: null, mentions: [], ...more });
const ids = (f: Feed) => f.list().map((p) => p.post.id);

describe('the feed', () => {
  it('is sorted newest first and keeps to its size', () => {
    const f = new Feed(3);
    f.snapshot([post('a', 1), post('b', 2)], 10);
    expect(f.delta([post('d', 4), post('c', 3)], [], 10, 0)).toBe(2);
    expect(ids(f)).toEqual(['d', 'c', 'b']);
    f.delta([], [{ id: 'c' }], 11, 0);
    expect(ids(f)).toEqual(['d', 'b']);
  });
  it('does not take the revision of a dropped post for a new one', () => {
    const f = new Feed(2);
    f.snapshot([post('a', 5), post('b', 6)], 10);
    expect(f.delta([post('old', 1)], [], 11, 0)).toBe(0);
    expect(ids(f)).toEqual(['b', 'a']);
  });
  it('does not let a post from the future stay on top', () => {
    const f = new Feed();
    f.snapshot([post('future', 9_000_000)], 10);
    f.delta([post('now', 20)], [], 20, 0);
    expect(ids(f)).toEqual(['now', 'future']);
  });
  it('says what an update changed', () => {
    const f = new Feed();
    f.snapshot([post('a', 1), post('b', 1, { label: null })], 10);
    const change = (more: object) => {
      f.delta([post('a', 1, more)], [], 11, 99);
      const c = f.list().find((p) => p.post.id === 'a')?.change;
      return c ? changeWords(c) : null;
    };
    expect(change({})).toBeNull();
    expect(change({ votes: 15 })).toBe('votes revealed: 15');
    expect(change({ votes: 12 })).toBe('votes 15 → 12');
    expect(change({ votes: 12, label: 'negative', text: 'x' })).toBe('neutral → negative · edited');
    f.delta([post('b', 1)], [], 12, 99);
    expect(f.list().find((p) => p.post.id === 'b')?.change).toBeNull();
  });
});

describe('alerts', () => {
  const alert = (id: string, state: string, at: number, more = {}) => ({ id, rule: 'backlash', state, cause: 'votes', view: 'v', key: { thread: 't', entity: 'Curry' }, window_start: '', window_end: '', value: -0.42, threshold: -0.3, posts: 3, at, evidence: [], ...more });
  it('puts firing first, then the newest', () => {
    const a = new Alerts();
    a.snapshot([alert('1', 'resolved', 5), alert('2', 'firing', 1), alert('3', 'retracted', 9)]);
    expect(a.list().map((x) => x.id)).toEqual(['2', '3', '1']);
  });
  it('reports transitions, not repetitions', () => {
    const a = new Alerts();
    expect(a.delta([alert('1', 'firing', 1)], [])).toHaveLength(1);
    expect(a.delta([alert('1', 'firing', 1, { value: -0.5 })], [])).toHaveLength(0);
    expect(a.delta([alert('1', 'retracted', 2)], [])).toHaveLength(1);
    a.delta([], [{ id: '1' }]);
    expect(a.list()).toEqual([]);
  });
  it('can be read aloud', () => {
    const a = new Alerts();
    const moved = a.delta([alert('1', 'firing', 1)], []);
    expect(moved.map(sentence)).toEqual(['Alert backlash for Curry, t is firing: value −0.42, threshold −0.30, because of a revision of votes.']);
    expect(announcement([...moved, ...moved, ...moved, ...moved])).toBe('4 alerts changed, 4 now firing.');
    expect(moved.map((m) => causeWords({ ...m, cause: 'moon' }))).toEqual(['moon']);
  });
});

describe('the rate', () => {
  it('covers ten seconds, and less at the start', () => {
    const r = new Rate();
    expect(r.at(0)).toBeNull();
    r.add(0, 0);
    r.add(4, 500);
    expect(r.at(2000)).toBe(2);
    r.add(16, 9000);
    expect(r.at(10_400)).toBe(2);
    expect(r.at(30_000)).toBe(0);
  });
});
