import { describe, expect, it } from 'vitest';
import { Feed } from '../src/model/feed';
import { phasesOf } from '../src/model/phases';
import { rangeOf } from '../src/model/range';
import { parseRoute } from '../src/model/route';
import { volume, type Marker } from '../src/model/series';
import { seriesColumn, Table } from '../src/model/table';
import { VoteLog } from '../src/model/votes';
import { Boards } from '../src/state/boards';
import { needsOf } from '../src/state/needs';
import { viewScreen } from '../src/state/screen';
import { row, table, view } from './rows';

const MINUTE = 60_000;
const cast = view('cast', ['thread', 'entity']);
const plain = view('plain', ['entity']);
const threads = view('threads', ['thread']);
const phases = { ...view('phases', ['thread', 'phase', 'entity'], 'anchored'), key: ['thread', 'phase', 'entity', 'window_start'] };
const bursts = view('bursts', ['thread', 'entity'], 'session');
const views = [cast, plain, threads, phases, bursts];

describe('what a page needs', () => {
  const needs = (hash: string, wanted: string | null = null) => {
    const n = needsOf(parseRoute(hash), views, wanted);
    return { main: n.main?.name ?? null, column: n.column, boards: n.boards.map((b) => [b.view.name, b.filter]), posts: n.posts };
  };
  it('is one view for the overview and the feed, as chosen', () => {
    expect(needs('#/overview')).toEqual({ main: 'cast', column: 'entity', boards: [['cast', {}]], posts: {} });
    expect(needs('#/feed', 'plain').main).toBe('plain');
  });
  it('is the thread with its phases', () => {
    expect(needs('#/threads')).toEqual({ main: 'threads', column: 'thread', boards: [['threads', {}]], posts: {} });
    expect(needs('#/threads/t%201')).toEqual({ main: 'cast', column: 'entity', boards: [['cast', { thread: 't 1' }], ['phases', { thread: 't 1' }]], posts: { thread: 't 1' } });
    expect(needs('#/threads/(none)').posts).toEqual({ thread: null });
  });
  it('is the entity in every view that has it', () => {
    expect(needs('#/entities/e')).toEqual({ main: 'cast', column: 'thread', boards: [['cast', { entity: 'e' }], ['plain', { entity: 'e' }]], posts: { entity: 'e' } });
    expect(needs('#/entities/e', 'plain')).toMatchObject({ main: 'plain', column: 'entity', boards: [['plain', { entity: 'e' }], ['cast', { entity: 'e' }]] });
  });
  it('is no view for alerts and the pipeline, nor where there is none', () => {
    expect(needs('#/alerts')).toMatchObject({ main: null, boards: [] });
    expect(needs('#/pipeline')).toMatchObject({ main: null, boards: [] });
    expect(needsOf(parseRoute('#/threads'), [plain], null)).toMatchObject({ main: null, choices: [] });
    expect(needsOf(parseRoute('#/threads/x'), [phases], null).main?.name).toBe('phases');
    expect(seriesColumn(phases)).toBe('entity');
    expect(seriesColumn(view('p', ['thread', 'phase'], 'anchored'))).toBe('thread');
  });
});

describe('boards', () => {
  it('stay while they are wanted, and take frames under their own name only', () => {
    const boards = new Boards(() => undefined);
    boards.want([{ view: cast, filter: {} }]);
    const [first] = boards.all();
    const frame = (id: string) => ({ type: 'snapshot' as const, id, at: 5, rows: [row('t', 'e', 1)] });
    expect(boards.fold(frame('v9'), null, 0)).toBe(false);
    expect(boards.fold(frame(first?.id ?? ''), null, 0)).toBe(true);
    expect([first?.loaded, first?.table.rows.size]).toEqual([true, 1]);
    boards.want([{ view: plain, filter: {} }, { view: cast, filter: {} }]);
    expect(boards.of(cast)).toBe(first);
    boards.want([{ view: cast, filter: { thread: 't' } }]);
    expect(boards.of(cast)).not.toBe(first);
    expect(boards.of(cast)?.loaded).toBe(false);
    expect(boards.fold(frame(first?.id ?? ''), null, 0)).toBe(false);
    expect(boards.subscriptions()).toEqual([{ id: boards.all()[0]?.id, view: 'cast', filter: { thread: 't' } }]);
  });
  it('say why they were refused, until a frame comes', () => {
    const boards = new Boards(() => undefined);
    boards.want([{ view: cast, filter: {} }]);
    const id = boards.all()[0]?.id ?? '';
    boards.fold({ type: 'error', id, code: 'UNKNOWN_VIEW', message: 'no such view' }, null, 0);
    expect(boards.all()[0]?.refusal).toBe('no such view (UNKNOWN_VIEW)');
    boards.fold({ type: 'delta', id, at: 6, rows: [], gone: [], bounds: null }, null, 0);
    expect(boards.all()[0]?.refusal).toBeNull();
  });
});

describe('volume and phases', () => {
  it('add up what all series have in a step', () => {
    const t = table();
    t.snapshot([row('t', 'a', 0, { scored: 1 }), row('t', 'b', 0), row('t', 'a', 1), row('t', 'a', 3)]);
    expect(volume([...t.rows.values()], null)).toEqual({ x: [0, 60, 180], posts: [4, 2, 2], scored: [3, 2, 2] });
    expect(volume([...t.rows.values()], 2 * MINUTE)).toEqual({ x: [0, 120], posts: [6, 2], scored: [5, 2] });
  });
  it('stand in the order of time', () => {
    const t = new Table(['thread', 'phase'], ['thread', 'phase', 'window_start']);
    t.snapshot([row('t', 'x', 60, { phase: 'after', posts: 3 }), row('t', 'x', 0, { phase: 'before', sentiment: -0.5 }), row('t', 'x', 30, { phase: 'live' }), row('t', 'x', 31, { phase: 'live' })]);
    expect(phasesOf(t.rows.values()).map((p) => [p.name, p.start / MINUTE, p.end / MINUTE, p.posts, p.sentiment])).toEqual([['before', 0, 1, 2, -0.5], ['live', 30, 32, 4, 0.5], ['after', 60, 61, 3, 0.5]]);
    expect(phasesOf(table().rows.values())).toEqual([]);
  });
  it('do not let a few stray posts squeeze the rest to the edge', () => {
    const t = table();
    t.snapshot([row('t', 'a', 0, { posts: 1 }), ...Array.from({ length: 10 }, (_, i) => row('t', 'a', 50 + i, { posts: 10 }))]);
    const screen = (range: string) => viewScreen(cast, t.rows.values(), { thread: null, range: rangeOf(range), tick: 60 * MINUTE, picks: null, auto: [], everyWindow: true });
    expect([screen('1h').span?.from, screen('1h').early, screen('1h').posts]).toEqual([50 * MINUTE, 1, 101]);
    expect([screen('all').span?.from, screen('all').early]).toEqual([0, 0]);
  });
});

describe('changes of votes', () => {
  const post = (id: string, votes: number, weight: number) => ({ id, thread: 't', text: id, created_at: new Date(90_000).toISOString(), votes, weight, label: 'neutral', sentiment: 0, mentions: [{ entity: 'e', confidence: 1, method: 'exact' }] });
  const marker = (name: string, x: number, kind: Marker['kind'] = 'votes'): Marker => ({ name, x, from: 0.1, to: 0.2, kind });
  function log(): VoteLog {
    const feed = new Feed();
    feed.snapshot([post('p', 0, 1), post('q', 0, 1)], 100_000);
    feed.delta([post('p', 99, 5.61), { ...post('q', 0, 1), text: 'edited' }], [], 100_500, 1000);
    const votes = new VoteLog(2);
    votes.note(feed.changedAt(1000), 1000);
    return votes;
  }
  it('are listed with votes and weight before and after', () => {
    expect(log().all().map((v) => [v.post.post.id, v.votes, v.weight])).toEqual([['p', [0, 99], [1, 5.61]]]);
  });
  it('name the points that moved with them: of what the post mentions, where it was written, soon after', () => {
    const moved = (m: Marker, now = 1500) => {
      const votes = log();
      votes.moved([m], MINUTE, now);
      return votes.all()[0]?.moved.map((x) => x.name);
    };
    expect(moved(marker('e', 60))).toEqual(['e']);
    expect(moved(marker('t', 60))).toEqual(['t']);
    for (const other of [marker('other', 60), marker('e', 0), marker('e', 120), marker('e', 60, 'posts')]) expect(moved(other)).toEqual([]);
    expect(moved(marker('e', 60), 9000)).toEqual([]);
  });
  it('are kept up to a number, the newest first', () => {
    const votes = new VoteLog(1);
    votes.note(log().all().map((v) => v.post), 1);
    votes.note(log().all().map((v) => v.post), 2);
    expect(votes.all().map((v) => v.at)).toEqual([2]);
  });
});
