import type { Feed } from '../model/feed';
import type { RangeId } from '../model/range';
import type { Route } from '../model/route';
import type { Alert, ViewInfo } from '../model/types';
import type { VoteChange } from '../model/votes';
import type { Link } from '../net/socket';
import type { Board } from './boards';
import type { ItemPosts } from './item-posts';
import type { OpsState } from './ops';
import type { Problem } from './problem';
import type { TimedMarker } from './revisions';
import type { ViewScreen } from './screen';

/** All that the page shows; a new object at each drawing. */
export interface Snapshot {
  now: number;
  route: Route;
  views: ViewInfo[] | null;
  /** Views that may be chosen on this page. */
  choices: ViewInfo[];
  /** The one that is drawn. */
  view: ViewInfo | null;
  main: Board | null;
  /** All that the page holds rows of. */
  boards: readonly Board[];
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
  /** Posts of the thread or entity that is open. */
  item: Pick<ItemPosts, 'feed' | 'loaded' | 'problem'>;
  votes: readonly VoteChange[];
  alerts: Alert[];
  alertsLoaded: boolean;
  postsLoaded: boolean;
  /** The engine shows no single posts: so few wrote them that they would be known. */
  postsWithheld: boolean;
  /** Routes of the first systems that the pipeline serves. */
  serves: readonly string[];
  markers: TimedMarker[];
  lastRevision: TimedMarker | null;
  votesPerMinute: number;
  ops: OpsState;
  problem: Problem | null;
  /** Why nothing is shown before somebody signs in; `null` where nobody has to, or has. */
  locked: string | null;
  signedIn: boolean;
  announcement: string;
}
