import { Alerts, announcement } from '../model/alerts';
import { pause } from '../model/backoff';
import { drawable } from '../model/choose';
import { Colours } from '../model/colours';
import { Feed } from '../model/feed';
import { rangeOf, type RangeId } from '../model/range';
import { Rate } from '../model/rate';
import { hrefOf, parseRoute, type PageId, type Route } from '../model/route';
import type { Alert, Frame, ViewInfo, WireRow } from '../model/types';
import { VoteLog } from '../model/votes';
import { ApiError, fetchReady, fetchServed, fetchViews, socketAddress } from '../net/api';
import { credential, hold } from '../net/credential';
import { BROWSER, Socket, type Link } from '../net/socket';
import { Boards, type Board } from './boards';
import { ItemPosts } from './item-posts';
import { needsOf, type Needs } from './needs';
import { Ops } from './ops';
import { recall, remember } from './prefs';
import { problemOf } from './problem';
import { MOST_LINES, viewScreen, type ViewScreen } from './screen';
import type { Snapshot } from './snapshot';

/** Least pause between two drawings. */
const DRAW_MS = 350;
/** After this long without a frame the page asks whether the engine is there at all. */
const QUIET_MS = 20_000;

/** How closely pages look at how the engine runs. */
const LOOKS: Partial<Record<PageId, 'close' | 'far'>> = { pipeline: 'close', overview: 'far' };

/** Holds the page's state: takes frames and choices in, gives {@link Snapshot}s out, at most three a second. */
export class Session {
  readonly colours = new Colours(recall<[string, number][]>('colours') ?? []);
  readonly ops = new Ops(() => this.soon());
  private readonly feed = new Feed();
  private readonly item = new ItemPosts(() => this.soon());
  private readonly alerts = new Alerts();
  private readonly votes = new VoteLog();
  private readonly rate = new Rate();
  private readonly boards = new Boards(() => this.resubscribe());
  private route: Route = parseRoute(location.hash);
  private needs: Needs | null = null;
  private views: ViewInfo[] | null = null;
  private main: Board | null = null;
  private socket: Socket | null = null;
  private readonly loaded = new Set<string>();
  private thread = recall<string>('thread');
  private everyWindow = recall<boolean>('everyWindow') ?? false;
  private picks: string[] | null = null;
  private auto: string[] = [];
  private link: Link = { state: 'connecting' };
  private wasLive = false;
  private tick: number | null = null;
  private lastFrame = Date.now();
  private lastAsked = 0;
  private screen: ViewScreen | null = null;
  private boot: { error: string; starting: boolean; until: number; timer: number } | null = null;
  private bootAttempt = 0;
  private locked: string | null = null;
  private notReady: string | null = null;
  private refusal: string | null = null;
  private withheld = false;
  private serves: readonly string[] = [];
  private asking = false;
  private moved: Alert[] = [];
  private said = '';
  private timer: number | null = null;
  private flooded = -Infinity;

  constructor(private readonly draw: (snapshot: Snapshot) => void) {}

  /** Loads the views, connects, and keeps going until the page closes. */
  start(): void {
    void this.loadViews();
    window.addEventListener('hashchange', () => this.routed());
    window.addEventListener('online', () => this.retry());
    window.addEventListener('offline', () => this.socket?.lostNetwork());
    document.addEventListener('visibilitychange', () => this.seen());
    window.setInterval(() => this.everySecond(), 1000);
    this.publish();
  }

  /** Shows what this credential may see; `null` signs out. */
  signIn(key: string | null): void {
    hold(key);
    this.locked = null;
    this.views = this.needs = this.main = null;
    this.loaded.clear();
    this.boards.clear();
    this.ops.stop();
    this.item.stop();
    this.socket?.close();
    this.socket = null;
    void this.loadViews();
    this.soon();
  }

  /** Tries at once what would be tried later. */
  retry(): void {
    if (this.locked !== null) return;
    if (this.boot) {
      window.clearTimeout(this.boot.timer);
      this.boot = null;
      void this.loadViews();
    } else {
      this.socket?.connect();
    }
    this.soon();
  }

  /** Opens another view on this page. */
  selectView(name: string): void {
    remember(`view.${this.route.page}`, name);
    this.show({ ...this.route, query: { ...this.route.query, view: name } });
  }

  /** Changes what the page shows without a new entry in the browser's history. */
  show(route: Route): void {
    history.replaceState(null, '', hrefOf(route.page, route.item, route.query));
    this.routed();
  }

  /** Shows one thread, or all for `null`. */
  selectThread(name: string | null): void {
    this.thread = name;
    remember('thread', name);
    this.publish();
  }

  /** Shows another time range. */
  selectRange(id: RangeId): void {
    remember(`range.${this.route.page}`, id);
    this.publish();
  }

  /** Draws every window, or joins some to keep long ranges readable. */
  drawEveryWindow(on: boolean): void {
    this.everyWindow = on;
    remember('everyWindow', on || null);
    this.publish();
  }

  /** Shows or hides a line. */
  toggle(name: string): void {
    const now = this.picks ?? this.auto;
    if (now.includes(name)) this.picks = now.filter((n) => n !== name);
    else if (now.length < MOST_LINES) this.picks = [...now, name];
    this.publish();
  }

  /** Back to the busiest entities. */
  pickAutomatically(): void {
    this.picks = null;
    this.publish();
  }

  private async loadViews(): Promise<void> {
    try {
      [this.views, this.serves] = await Promise.all([fetchViews(), fetchServed()]);
      this.bootAttempt = 0;
      this.routed();
      void this.askReady();
    } catch (e) {
      if (e instanceof ApiError && (e.status === 401 || e.status === 403)) {
        this.lock(e.status);
        return;
      }
      const starting = e instanceof ApiError && e.status === 503;
      const ms = starting ? 1500 : Math.max(1000, pause(this.bootAttempt, Math.random()));
      this.bootAttempt += 1;
      const timer = window.setTimeout(() => this.retry(), ms);
      this.boot = { error: e instanceof Error ? e.message : String(e), starting, until: Date.now() + ms, timer };
    }
    this.soon();
  }

  /** Nothing is tried again before somebody signs in. */
  private lock(status: number): void {
    this.socket?.close();
    this.socket = null;
    this.ops.stop();
    this.item.stop();
    if (status === 403) this.locked = 'This key or token may not read here.';
    else this.locked = credential() === null ? '' : 'This key or token is not known here, or has expired.';
    hold(null);
    this.soon();
  }

  /** The engine is another process perhaps, with other views; or it refuses the credential, which a socket does not tell. */
  private async lookAgain(): Promise<void> {
    try {
      const [views, serves] = await Promise.all([fetchViews(), fetchServed()]);
      if (JSON.stringify([views, serves]) === JSON.stringify([this.views, this.serves])) return;
      [this.views, this.serves] = [views, serves];
      this.boards.clear();
      this.routed();
    } catch (e) {
      if (e instanceof ApiError && (e.status === 401 || e.status === 403)) this.lock(e.status);
    }
  }

  /** The address says what to show: subscribes to it. */
  private routed(): void {
    const before = this.route;
    this.route = parseRoute(location.hash);
    if (this.views) {
      const wanted = this.route.query.view ?? recall<string>(`view.${this.route.page}`);
      this.needs = needsOf(this.route, this.views, wanted);
      this.boards.want(this.needs.boards);
      const main = this.boards.of(this.needs.main);
      if (main !== this.main || before.page !== this.route.page) {
        this.picks = null;
        this.auto = [];
        main?.revisions.clear();
      }
      this.main = main;
      this.refusal = null;
      this.item.follow(this.needs.posts);
      this.resubscribe();
      this.ops.watch(LOOKS[this.route.page] ?? 'off');
    }
    this.publish();
  }

  /** Tells the socket what is wanted now. */
  private resubscribe(): void {
    const feeds = [{ id: 'posts', view: '_posts', filter: {} }, { id: 'alerts', view: '_alerts', filter: {} }];
    const wanted = [...this.boards.subscriptions(), ...feeds];
    if (this.socket) {
      this.socket.subscribeTo(wanted);
      return;
    }
    const listener = {
      link: (link: Link) => this.linked(link),
      frame: (frame: Frame) => this.fold(frame),
      garbled: (message: string) => {
        this.refusal = `a message that is no frame (${message})`;
        this.soon();
      },
    };
    this.socket = new Socket(socketAddress(), wanted, listener, BROWSER);
    this.socket.connect();
  }

  private linked(link: Link): void {
    this.link = link;
    if (link.state === 'reconnecting' && link.attempt === 2) void this.lookAgain();
    if (link.state === 'live' && this.wasLive) {
      void this.lookAgain();
      this.ops.refresh();
    }
    if (link.state === 'live') this.wasLive = true;
    this.soon();
  }

  private fold(frame: Frame): void {
    const now = Date.now();
    this.lastFrame = now;
    this.notReady = null;
    const where = this.main && this.screen ? { board: this.main, column: this.screen.column, thread: this.screen.thread, step: this.screen.step } : null;
    this.boards.tick = this.tick;
    if (!this.boards.fold(frame, where, now)) this.foldFeeds(frame, now);
    if ('at' in frame && frame.at > 0) this.tick = Math.max(this.tick ?? 0, frame.at);
    this.soon();
  }

  /** Takes a frame that is about posts or alerts. */
  private foldFeeds(frame: Frame, now: number): void {
    if (frame.type === 'error' && frame.id === 'posts' && frame.code === 'UNKNOWN_VIEW') this.withheld = true;
    else if (frame.type === 'error' && (frame.id === null || frame.id === 'posts' || frame.id === 'alerts')) this.refusal = `${frame.message} (${frame.code})`;
    if (frame.type === 'snapshot' && frame.id === 'posts') {
      this.loaded.add('_posts');
      this.withheld = false;
      this.feed.snapshot(frame.rows, frame.at);
    }
    if (frame.type === 'snapshot' && frame.id === 'alerts') {
      this.loaded.add('_alerts');
      this.alerts.snapshot(frame.rows);
    }
    if (frame.type === 'delta' && frame.id === 'posts') this.takePosts(frame.rows, frame.gone, frame.at, now);
    if (frame.type === 'delta' && frame.id === 'alerts') this.moved.push(...this.alerts.delta(frame.rows, frame.gone));
  }

  /** A delta that replaces the whole feed may stand for more posts than it holds. */
  private takePosts(rows: readonly WireRow[], gone: readonly WireRow[], at: number, now: number): void {
    const fresh = this.feed.delta(rows, gone, at, now);
    this.item.take(rows, at, now);
    this.rate.add(fresh, now);
    this.votes.note(this.feed.changedAt(now), now);
    if (fresh >= Math.max(50, this.feed.size)) this.flooded = now;
  }

  private everySecond(): void {
    const now = Date.now();
    if (this.loaded.has('_posts')) this.rate.add(0, now);
    if (this.link.state === 'live' && now - Math.max(this.lastFrame, this.lastAsked) > QUIET_MS) void this.askReady();
    this.soon();
  }

  /** Asks for the engine's own word; no answer at all means that the connection is dead. */
  private async askReady(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      const { ready, why } = await fetchReady();
      this.notReady = ready ? null : why;
    } catch {
      this.socket?.restart();
    }
    this.lastAsked = Date.now();
    this.asking = false;
    this.soon();
  }

  /** The tab came to the front. */
  private seen(): void {
    if (!document.hidden) this.ops.refresh();
    this.soon();
  }

  /** Draws soon: at most every {@link DRAW_MS}, and not while nobody looks. */
  private soon(): void {
    if (this.timer !== null || document.hidden) return;
    this.timer = window.setTimeout(() => {
      this.timer = null;
      this.publish();
    }, DRAW_MS);
  }

  private publish(): void {
    const now = Date.now();
    const { main, needs, route, tick, picks, auto, everyWindow } = this;
    // Votes move the newest windows: over an hour nobody would see it.
    const range = rangeOf(recall<string>(`range.${route.page}`) ?? (route.page === 'feed' ? '5m' : null));
    const thread = route.page === 'overview' || route.page === 'feed' ? this.thread : null;
    const column = needs?.column ?? '';
    this.screen = main && viewScreen(main.view, main.table.rows.values(), { thread, range, tick, picks, auto, everyWindow, column });
    if (this.screen && !picks) this.auto = this.screen.picked;
    const context = JSON.stringify([route.page, route.item, main?.id, this.screen?.thread, range.id, this.screen?.step]);
    const revised = main?.revisions.next(context, this.screen?.chart ?? { x: [], lines: [] }, now) ?? { markers: [], last: null, votesPerMinute: 0 };
    this.votes.moved(revised.markers.filter((m) => m.at === now), this.screen?.step ?? main?.view.window?.size ?? 0, now);
    if (this.screen && this.colours.show(this.screen.picked)) remember('colours', this.colours.saved());
    if (this.moved.length > 0) {
      this.said = announcement(this.moved);
      this.moved = [];
    }
    const refusal = this.refusal ?? this.boards.all().find((b) => b.refusal !== null)?.refusal ?? null;
    const signs = { boot: this.boot, link: this.link, notReady: this.notReady, refusal, now, host: location.host };
    const usable = this.views === null || this.views.some(drawable);
    this.draw({
      now,
      route,
      views: this.views,
      choices: needs?.choices ?? [],
      view: main?.view ?? null,
      main,
      boards: this.boards.all(),
      loaded: main?.loaded ?? false,
      range: range.id,
      screen: this.screen,
      automatic: picks === null,
      everyWindow,
      link: this.link,
      tick,
      quietMs: now - this.lastFrame,
      rate: this.rate.at(now),
      rateAtLeast: now - this.flooded < 10_000,
      history: main?.history ?? null,
      feed: this.feed,
      item: this.item,
      votes: this.votes.all(),
      alerts: this.alerts.list(),
      alertsLoaded: this.loaded.has('_alerts'),
      postsLoaded: this.loaded.has('_posts'),
      postsWithheld: this.withheld,
      serves: this.serves,
      markers: revised.markers,
      lastRevision: revised.last,
      votesPerMinute: revised.votesPerMinute,
      ops: this.ops.state,
      problem: this.locked !== null ? null : problemOf({ ...signs, views: this.views?.map((v) => v.name) ?? null, drawable: usable }),
      locked: this.locked,
      signedIn: credential() !== null,
      announcement: this.said,
    });
  }
}
