import { beforeEach, describe, expect, it } from 'vitest';
import { OFFLINE_AFTER, pause } from '../src/model/backoff';
import { Socket, type Link, type World } from '../src/net/socket';

/** A socket without a network. */
class Fake {
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  sent: { op: string; view: string; from: number | null }[] = [];
  closed = false;
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  say(frame: object) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

let made: Fake[];
let timers: { ms: number; run: () => void }[];
let links: Link[];
let frames: string[];
let garbled: string[];
const last = () => made[made.length - 1] as Fake;
const subscriptions = () => last().sent.map((s) => [s.view, s.from]);

function open(): Socket {
  const world: World = {
    open: () => {
      made.push(new Fake());
      return last() as unknown as WebSocket;
    },
    now: () => 1000,
    random: () => 0.5,
    after: (ms, run) => timers.push({ ms, run }) - 1,
    cancel: (i) => {
      timers[i] = { ms: -1, run: () => undefined };
    },
  };
  const socket = new Socket('ws://x/ws', [feed('v'), feed('_posts')], { link: (l) => links.push(l), frame: (f) => frames.push(f.type), garbled: (m) => garbled.push(m) }, world);
  socket.connect();
  return socket;
}

/** A subscription to all of a feed. */
function feed(view: string) {
  return { id: view, view, filter: {} };
}

/** Runs the newest timer. */
function later() {
  timers[timers.length - 1]?.run();
}

beforeEach(() => {
  [made, timers, links, frames, garbled] = [[], [], [], [], []];
});

describe('the pause between attempts', () => {
  it('doubles up to half a minute, and spreads', () => {
    expect([0, 1, 2, 5, 6, 7, 50].map((n) => pause(n, 0.5))).toEqual([500, 1000, 2000, 16_000, 30_000, 30_000, 30_000]);
    expect(pause(3, 0)).toBe(3000);
    expect(pause(3, 0.999)).toBeLessThanOrEqual(5000);
  });
});

describe('the socket', () => {
  it('subscribes to everything and is live at the first frame', () => {
    open();
    last().onopen?.();
    expect(subscriptions()).toEqual([['v', null], ['_posts', null]]);
    expect(links.at(-1)).toEqual({ state: 'connecting' });
    last().say({ type: 'snapshot', view: 'v', at: 5, rows: [] });
    expect(links.at(-1)).toEqual({ state: 'live' });
  });
  it('resumes after the last complete tick', () => {
    open();
    last().onopen?.();
    last().say({ type: 'snapshot', view: 'v', at: 5, rows: [] });
    last().say({ type: 'delta', view: 'v', at: 7, rows: [], gone: [] });
    last().say({ type: 'progress', at: 9 });
    last().onclose?.();
    expect(links.at(-1)).toEqual({ state: 'reconnecting', until: 1500, attempt: 1 });
    later();
    last().onopen?.();
    expect(subscriptions()).toEqual([['v', 9], ['_posts', null]]);
  });
  it('does not resume from before a resync, and does not ask twice', () => {
    open();
    last().onopen?.();
    last().say({ type: 'snapshot', view: 'v', at: 5, rows: [] });
    last().say({ type: 'resync', view: 'v' });
    expect(subscriptions()).toHaveLength(2);
    last().onclose?.();
    later();
    last().onopen?.();
    expect(subscriptions()).toEqual([['v', null], ['_posts', null]]);
  });
  it('never goes back in time with a progress frame of a slower feed', () => {
    open();
    last().onopen?.();
    last().say({ type: 'delta', view: 'v', at: 9, rows: [], gone: [] });
    last().say({ type: 'progress', at: 7 });
    last().onclose?.();
    later();
    last().onopen?.();
    expect(subscriptions()).toEqual([['v', 9], ['_posts', null]]);
  });
  it('waits longer each time, also when the server accepts and drops', () => {
    open();
    const waits: number[] = [];
    for (let i = 0; i < OFFLINE_AFTER + 1; i += 1) {
      last().onopen?.();
      last().onclose?.();
      waits.push(timers[timers.length - 1]?.ms ?? 0);
      later();
    }
    expect(waits.slice(0, 4)).toEqual([500, 1000, 2000, 4000]);
    expect(links.at(-1)).toMatchObject({ state: 'offline' });
    last().say({ type: 'progress', at: 1 });
    last().onclose?.();
    expect(links.at(-1)).toMatchObject({ state: 'reconnecting', attempt: 1 });
  });
  it('is live after two quiet seconds', () => {
    open();
    last().onopen?.();
    expect(timers.at(-1)?.ms).toBe(2000);
    later();
    expect(links.at(-1)).toEqual({ state: 'live' });
  });
  it('changes subscriptions on the open connection, and resumes after a break what stayed', () => {
    const socket = open();
    last().onopen?.();
    last().say({ type: 'snapshot', id: '_posts', view: '_posts', at: 4, rows: [] });
    last().say({ type: 'snapshot', id: 'v', view: 'v', at: 4, rows: [] });
    socket.subscribeTo([feed('w'), feed('_posts')]);
    expect(made).toHaveLength(1);
    expect(last().sent.slice(2)).toEqual([{ op: 'unsubscribe', id: 'v' }, { op: 'subscribe', id: 'w', view: 'w', filter: {}, from: null }]);
    last().onclose?.();
    socket.subscribeTo([feed('_posts'), { id: 'v2', view: 'v', filter: { thread: 't' } }]);
    later();
    expect(last().sent).toEqual([]);
    last().onopen?.();
    expect(subscriptions()).toEqual([['_posts', 4], ['v', null]]);
  });
  it('reports a message that is no frame, and goes on', () => {
    open();
    last().onopen?.();
    last().onmessage?.({ data: '<html>' });
    last().say({ type: 'progress', at: 1 });
    expect(garbled).toHaveLength(1);
    expect(frames).toEqual(['progress']);
  });
});
