import { Alerts, announcement } from '../model/alerts';
import { pause } from '../model/backoff';
import { chooseView } from '../model/choose';
import { Colours } from '../model/colours';
import { Feed } from '../model/feed';
import { rangeOf, type RangeId } from '../model/range';
import { Rate } from '../model/rate';
import { Table } from '../model/table';
import type { Alert, Frame, ViewInfo, WireRow } from '../model/types';
import { ApiError, fetchNewestWindow, fetchReady, fetchViews, socketAddress } from '../net/api';
import { credential, hold } from '../net/credential';
import { BROWSER, Socket, type Link, type Subscription } from '../net/socket';
import { recall, remember } from './prefs';
import { problemOf, type Problem } from './problem';
import { Revisions, type TimedMarker } from './revisions';
import { MOST_LINES, viewScreen, type ViewScreen } from './screen';

/** Least pause between two drawings. */
const DRAW_MS = 350;
/** After this long without a frame the page asks whether the engine is there at all. */
const QUIET_MS = 20_000;
/** How far back to ask when a view is too large as a whole. */
const HISTORY_HOURS = [24, 6, 1];

/** All that the page shows; a new object at each drawing. */
export interface Snapshot {
  now: number;
  views: ViewInfo[] | null;
  view: ViewInfo | null;
  loaded: boolean;
  range: RangeId;
  screen: ViewScreen | null;
  automatic: boolean;
  everyWindow: boolean;
  link: Link;
  tick: number | null;
  quietMs: number;
  rate: number | null;
  /** Posts came faster than the feed shows them: the rate is at least this. */
  rateAtLeast: boolean;
  /** Hours of history asked for, where the whole view is too large. */
  history: number | null;
  feed: Feed;
  alerts: Alert[];
  alertsLoaded: boolean;
  postsLoaded: boolean;
  markers: TimedMarker[];
  lastRevision: TimedMarker | null;
  votesPerMinute: number;
  problem: Problem | null;
  /** Why nothing is shown before somebody signs in; `null` where nobody has to, or has. */
  locked: string | null;
  signedIn: boolean;
  announcement: string;
}

/** Holds the page's state: takes frames and choices in, gives {@link Snapshot}s out, at most three a second. */
export class Session {
  readonly colours = new Colours(recall<[string, number][]>('colours') ?? []);
  private readonly feed = new Feed();
  private readonly alerts = new Alerts();
  private readonly rate = new Rate();
  private readonly revisions = new Revisions();
  private table = new Table([], []);
  private socket: Socket | null = null;

  private views: ViewInfo[] | null = null;
  private view: ViewInfo | null = null;
  private loaded = new Set<string>();
  private thread = recall<string>('thread');
  private range = rangeOf(recall<string>('range'));
  private everyWindow = recall<boolean>('everyWindow') ?? false;
  private picks: string[] | null = null;
  private auto: string[] = [];
  private link: Link = { state: 'connecting' };
  private tick: number | null = null;
  private lastFrame = Date.now();
  private lastAsked = 0;
  private screen: ViewScreen | null = null;
  private boot: { error: string; starting: boolean; until: number; timer: number } | null = null;
  private bootAttempt = 0;
  private locked: string | null = null;
  private history: number | null = null;
  private notReady: string | null = null;
  private refusal: string | null = null;
  private asking = false;
  private moved: Alert[] = [];
  private said = '';
  private timer: number | null = null;
  private flooded = -Infinity;

  constructor(private readonly draw: (snapshot: Snapshot) => void) {}

  /** Loads the views, connects, and keeps going until the page closes. */
  start(): void {
    void this.loadViews();
    window.addEventListener('online', () => this.retry());
    window.addEventListener('offline', () => this.socket?.lostNetwork());
    document.addEventListener('visibilitychange', () => this.soon());
    window.setInterval(() => this.everySecond(), 1000);
    this.publish();
  }

  /** Shows what this credential may see; `null` signs out. */
  signIn(key: string | null): void {
    hold(key);
    this.locked = null;
    this.views = this.view = null;
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

  /** Opens another view. */
  selectView(name: string): void {
    const view = this.views?.find((v) => v.name === name);
    if (!view || view === this.view) return;
    remember('view', name);
    this.open(view);
  }

  /** Shows one thread, or all for `null`. */
  selectThread(name: string | null): void {
    this.thread = name;
    remember('thread', name);
    this.publish();
  }

  /** Shows another time range. */
  selectRange(id: RangeId): void {
    this.range = rangeOf(id);
    remember('range', id);
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
      this.views = await fetchViews();
      this.bootAttempt = 0;
      const view = chooseView(this.views, recall<string>('view'));
      if (view) this.open(view);
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
    if (status === 403) this.locked = 'This key or token may not read here.';
    else this.locked = credential() === null ? '' : 'This key or token is not known here, or has expired.';
    hold(null);
    this.soon();
  }

  /** A connection that does not come back may have been refused for its credential, which a browser does not tell. */
  private async askWhetherLocked(): Promise<void> {
    try {
      await fetchViews();
    } catch (e) {
      if (e instanceof ApiError && (e.status === 401 || e.status === 403)) this.lock(e.status);
    }
  }

  private open(view: ViewInfo): void {
    if (this.view) this.loaded.delete(this.view.name);
    this.view = view;
    this.table = new Table(view.group_by, view.key);
    this.revisions.clear();
    this.refusal = null;
    this.history = null;
    this.picks = null;
    this.auto = [];
    this.follow(view, {});
    this.soon();
  }

  /** Subscribes to the view, as far back as `filter` says, and to posts and alerts. */
  private follow(view: ViewInfo, filter: Subscription['filter']): void {
    const wanted = [{ view: view.name, filter }, { view: '_posts', filter: {} }, { view: '_alerts', filter: {} }];
    if (this.socket) {
      this.socket.subscribeTo(wanted);
    } else {
      this.socket = new Socket(
        socketAddress(),
        wanted,
        {
          link: (link) => {
            this.link = link;
            if (link.state === 'reconnecting' && link.attempt === 2) void this.askWhetherLocked();
            this.soon();
          },
          frame: (frame) => this.fold(frame),
          garbled: (message) => {
            this.refusal = `a message that is no frame (${message})`;
            this.soon();
          },
        },
        BROWSER,
      );
      this.socket.connect();
    }
  }

  private fold(frame: Frame): void {
    const now = Date.now();
    this.lastFrame = now;
    this.notReady = null;
    if (frame.type === 'error') this.refused(frame);
    if (frame.type === 'snapshot') {
      this.loaded.add(frame.view);
      if (frame.view === '_posts') this.feed.snapshot(frame.rows, frame.at);
      else if (frame.view === '_alerts') this.alerts.snapshot(frame.rows);
      else if (frame.view === this.view?.name) {
        this.table.snapshot(frame.rows);
        this.revisions.clear();
        this.refusal = null;
      }
    }
    if (frame.type === 'delta') {
      if (frame.view === '_posts') this.takePosts(frame.rows, frame.gone, frame.at, now);
      else if (frame.view === '_alerts') this.moved.push(...this.alerts.delta(frame.rows, frame.gone));
      else if (frame.view === this.view?.name) {
        const changes = this.table.delta(frame.rows, frame.gone);
        if (frame.bounds) this.table.slide(frame.bounds);
        this.refusal = null;
        if (this.screen) this.revisions.note(changes, this.screen, frame.at, now);
      }
    }
    if ('at' in frame && frame.at > 0) this.tick = Math.max(this.tick ?? 0, frame.at);
    this.soon();
  }

  /** A delta that replaces the whole feed may stand for more posts than it holds. */
  private takePosts(rows: readonly WireRow[], gone: readonly WireRow[], at: number, now: number): void {
    const fresh = this.feed.delta(rows, gone, at, now);
    this.rate.add(fresh, now);
    if (fresh >= Math.max(50, this.feed.size)) this.flooded = now;
  }

  /** A view may be larger than the engine sends at once: then its newest part has to do. */
  private refused(frame: Extract<Frame, { type: 'error' }>): void {
    const { view } = this;
    const hours = HISTORY_HOURS.find((h) => h < (this.history ?? Infinity));
    if (frame.code !== 'SNAPSHOT_TOO_LARGE' || !view || frame.id !== view.name || hours === undefined) {
      this.refusal = `${frame.message} (${frame.code})`;
      return;
    }
    this.history = hours;
    fetchNewestWindow(view.name).then(
      (newest) => this.view === view && this.follow(view, { since: Math.min(newest ?? Date.now(), this.tick ?? Date.now()) - hours * 3_600_000 }),
      (e: unknown) => {
        this.refusal = e instanceof Error ? e.message : String(e);
        this.soon();
      },
    );
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
    const { view, tick, picks, auto, thread, range, everyWindow } = this;
    this.screen = view && viewScreen(view, this.table.rows.values(), { thread, range, tick, picks, auto, everyWindow });
    if (this.screen && !picks) this.auto = this.screen.picked;
    const context = JSON.stringify([view?.name, this.screen?.thread, range.id, this.screen?.step]);
    const revised = this.revisions.next(context, this.screen?.chart ?? { x: [], lines: [] }, now);
    if (this.screen && this.colours.show(this.screen.picked)) remember('colours', this.colours.saved());
    if (this.moved.length > 0) {
      this.said = announcement(this.moved);
      this.moved = [];
    }
    const signs = { boot: this.boot, link: this.link, notReady: this.notReady, refusal: this.refusal, now, host: location.host };
    this.draw({
      now,
      views: this.views,
      view,
      loaded: view !== null && this.loaded.has(view.name),
      range: range.id,
      screen: this.screen,
      automatic: picks === null,
      everyWindow,
      link: this.link,
      tick,
      quietMs: now - this.lastFrame,
      rate: this.rate.at(now),
      rateAtLeast: now - this.flooded < 10_000,
      history: this.history,
      feed: this.feed,
      alerts: this.alerts.list(),
      alertsLoaded: this.loaded.has('_alerts'),
      postsLoaded: this.loaded.has('_posts'),
      markers: revised.markers,
      lastRevision: revised.last,
      votesPerMinute: revised.votesPerMinute,
      problem: this.locked !== null ? null : problemOf({ ...signs, views: this.views?.map((v) => v.name) ?? null, drawable: view !== null }),
      locked: this.locked,
      signedIn: credential() !== null,
      announcement: this.said,
    });
  }
}
