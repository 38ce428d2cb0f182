import { describe, expect, it } from 'vitest';
import { readPost } from '../src/model/feed';
import { fits, ItemPosts } from '../src/state/item-posts';

const post = (thread: string, ...entities: string[]) => readPost({ id: 'p', thread, author: null, source: 's', mentions: entities.map((entity) => ({ entity, confidence: 1, method: 'exact' })) });

describe('posts of a thread or an entity', () => {
  it('have the values asked for; no value is one too', () => {
    expect([{ thread: 't' }, { entity: 'b' }, { thread: 't', entity: 'a' }, { author: null }, {}].map((f) => fits(post('t', 'a', 'b'), f))).toEqual([true, true, true, true, true]);
    expect([{ thread: 'u' }, { entity: 'c' }, { entity: null }, { thread: null }, { source: 'x' }].map((f) => fits(post('t', 'a'), f))).toEqual([false, false, false, false, false]);
    expect(fits(post('t'), { entity: null })).toBe(true);
  });
  it('are nobody’s while nothing is open', () => {
    const posts = new ItemPosts(() => undefined);
    posts.take([{ id: 'p', thread: 't' }], 5, 5);
    expect([posts.feed.size, posts.loaded]).toEqual([0, false]);
  });
});
