import { OFFLINE_AFTER, pause } from '../model/backoff';
import { parseFrame } from '../model/frames';
import type { Frame } from '../model/types';
import { protocols } from './credential';

/** State of the connection. `until` is when the next attempt starts (epoch ms). */
export type Link =
  | { state: 'connecting' }
  | { state: 'live' }
  | { state: 'reconnecting'; until: number; attempt: number }
  | { state: 'offline'; until: number | null; attempt: number };

/** Which rows of a feed: values of its columns, `null` for rows without one; `since` for views. */
export type RowFilter = Readonly<Record<string, string | number | null>>;

/** A feed to follow: a view, `_posts` or `_alerts`, and which of its rows. Frames come under its `id`, which is never used again. */
export interface Subscription {
  id: string;
  view: string;
  filter: RowFilter;
}

/** What the socket needs from the world; tests bring their own. */
export interface World {
  open(url: string): WebSocket;
  now(): number;
  random(): number;
  after(ms: number, run: () => void): number;
  cancel(timer: number): void;
}

/** What the socket tells its owner. */
export interface Listener {
  link(link: Link): void;
  frame(frame: Frame): void;
  /** A message that is no frame. */
  garbled(message: string): void;
}

/**
 * One WebSocket that stays subscribed to a set of feeds. After a break it comes back by itself (see `backoff.ts`) and
 * resumes each of them after the last tick it has seen complete. An attempt counts as good at its first frame (or after two
 * quiet seconds), not when the socket opens, so that a server which accepts and drops does not get hammered.
 */
export class Socket {
  private ws: WebSocket | null = null;
  private timer: number | null = null;
  private attempt = 0;
  private seen: Map<string, number> = new Map();
  private proven = false;
  private open = false;

  constructor(
    private readonly url: string,
    private wanted: readonly Subscription[],
    private readonly listener: Listener,
    private readonly world: World,
  ) {}

  /** Connects now, whatever was planned. */
  connect(): void {
    this.drop();
    this.proven = false;
    this.listener.link(this.attempt === 0 ? { state: 'connecting' } : this.waiting(this.world.now()));
    const ws = this.world.open(this.url);
    this.ws = ws;
    ws.onopen = () => {
      this.open = true;
      for (const subscription of this.wanted) this.subscribe(subscription);
      this.timer = this.world.after(2000, () => this.prove());
    };
    ws.onmessage = (e) => this.receive(String(e.data));
    ws.onclose = () => this.retryLater();
  }

  /** Subscribes to something else: what stays goes on, the rest starts with a snapshot. */
  subscribeTo(wanted: readonly Subscription[]): void {
    const among = (list: readonly Subscription[], id: string) => list.some((w) => w.id === id);
    const [gone, fresh] = [this.wanted.filter((w) => !among(wanted, w.id)), wanted.filter((w) => !among(this.wanted, w.id))];
    this.wanted = wanted;
    for (const { id } of gone) this.seen.delete(id);
    if (!this.open) return;
    for (const { id } of gone) this.ws?.send(JSON.stringify({ op: 'unsubscribe', id }));
    for (const subscription of fresh) this.subscribe(subscription);
  }

  /** Gives up for good, until {@link connect}. */
  close(): void {
    this.drop();
    this.attempt = 0;
  }

  /** The browser lost its network: waits for {@link connect}. */
  lostNetwork(): void {
    this.drop();
    this.listener.link({ state: 'offline', until: null, attempt: this.attempt });
  }

  /** Gives the connection up as dead and starts over after the usual pause. */
  restart(): void {
    this.retryLater();
  }

  private receive(text: string): void {
    let frame: Frame | null;
    try {
      frame = parseFrame(text);
    } catch (e) {
      this.listener.garbled(e instanceof Error ? e.message : String(e));
      return;
    }
    if (!frame) return;
    if (frame.type !== 'error') this.prove();
    if (frame.type === 'snapshot' || frame.type === 'delta') this.seen.set(frame.id, frame.at);
    if (frame.type === 'progress') for (const [id, at] of this.seen) this.seen.set(id, Math.max(at, frame.at));
    // A snapshot follows by itself.
    if (frame.type === 'resync') this.seen.delete(frame.id);
    this.listener.frame(frame);
  }

  private prove(): void {
    if (this.proven) return;
    this.proven = true;
    this.attempt = 0;
    this.listener.link({ state: 'live' });
  }

  private subscribe({ id, view, filter }: Subscription): void {
    this.ws?.send(JSON.stringify({ op: 'subscribe', id, view, filter, from: this.seen.get(id) ?? null }));
  }

  private retryLater(): void {
    this.drop();
    const ms = pause(this.attempt, this.world.random());
    this.attempt += 1;
    this.listener.link(this.waiting(this.world.now() + ms));
    this.timer = this.world.after(ms, () => this.connect());
  }

  private waiting(until: number): Link {
    return { state: this.attempt > OFFLINE_AFTER ? 'offline' : 'reconnecting', until, attempt: this.attempt };
  }

  private drop(): void {
    if (this.timer !== null) this.world.cancel(this.timer);
    this.timer = null;
    this.open = false;
    if (!this.ws) return;
    this.ws.onopen = this.ws.onmessage = this.ws.onclose = null;
    this.ws.close();
    this.ws = null;
  }
}

/** The browser. */
export const BROWSER: World = {
  open: (url) => new WebSocket(url, protocols()),
  now: () => Date.now(),
  random: () => Math.random(),
  after: (ms, run) => window.setTimeout(run, ms),
  cancel: (timer) => window.clearTimeout(timer),
};
