import { describe, expect, it } from 'vitest';
import { readEvent, readEvents } from '../src/model/events';
import { readRanked } from '../src/model/ranked';
import { readTimes, strength } from '../src/model/times';

const week = (value: number | null) => Array.from({ length: 7 }, () => Array.from({ length: 24 }, () => value));

describe('best times', () => {
  it('are read with the whole week', () => {
    const heatmap = week(null);
    heatmap[6]![18] = 4;
    const times = readTimes({ data: { hours: [{ hour: '18', value: 4, posts: 2 }], weekdays: [{ weekday: 'sun', value: 4, posts: 2 }], heatmap }, metadata: { column: 'likes', time_zone: 'Europe/Berlin' } });
    expect(times?.hours).toEqual([{ name: '18', value: 4, posts: 2 }]);
    expect(times?.week[6]?.[18]).toBe(4);
    expect([times?.column, times?.zone]).toEqual(['likes', 'Europe/Berlin']);
  });

  it('are nothing if the week is not whole', () => {
    expect(readTimes({ data: { heatmap: [[1]] }, metadata: {} })).toBeNull();
    expect(readTimes(null)).toBeNull();
  });

  it('are as strong as they stand among the others', () => {
    const some = week(null);
    [some[0]![0], some[1]![1], some[2]![2]] = [-2, 0, 2];
    expect([strength(-2, some), strength(0, some), strength(2, some)]).toEqual([0, 0.5, 1]);
    expect(strength(3, week(3))).toBe(1);
  });
});

describe('keyword events', () => {
  const raw = { id: 'a', company: 'Example', keyword: 'tge', matched_text: 'TGE', context: 'its TGE in June', confidence: 0.9, suppressed_by: null, duplicate_of: null, post: 'p', source: 'outlet', url: 'https://example.com/x', created_at: '2025-06-10T04:00:00.000Z' };

  it('have their keyword apart from what stands around it', () => {
    const event = readEvent(raw);
    expect([event.before, event.matched, event.after]).toEqual(['its ', 'TGE', ' in June']);
    expect(event.url).toBe('https://example.com/x');
  });

  it('lead nowhere but to the web', () => {
    expect(readEvent({ ...raw, url: 'javascript:alert(1)' }).url).toBeNull();
    expect(readEvent({ ...raw, url: null }).url).toBeNull();
  });

  it('are none where there is no list', () => {
    expect(readEvents({ data: 'x' })).toEqual([]);
    expect(readEvents({ data: [raw, 1] })).toHaveLength(1);
  });
});

describe('ranked posts', () => {
  it('are read with what put them there', () => {
    const raw = { id: 'a', user_id: 'ann', content: 'x', created_at: '2016-06-20T02:31:00.000Z', likes_count: 2, comments_count: 1, reposts_count: 0, hashtags: ['nba'], moderation: { toxicity: 0.9, flagged: true }, score: { recency: 0.5, engagement: 0.25, affinity: 0, model: 1, final: 0.4 } };
    const [post] = readRanked({ data: [raw, null] });
    expect(post).toMatchObject({ id: 'a', author: 'ann', likes: 2, tags: ['nba'], flagged: true });
    expect(post?.parts?.final).toBe(0.4);
    expect(readRanked({ data: [{ ...raw, score: null }] })[0]?.parts).toBeNull();
    expect(readRanked(null)).toEqual([]);
  });
});
