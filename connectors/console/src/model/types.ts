/** The shapes the engine sends, as docs and `/openapi.json` give them. */

/** How a view cuts time: `tumble`, `hop`, `sliding`, `anchored` or `session`, with size and step in milliseconds. */
export interface ViewWindow {
  kind: string;
  size: number;
}

/** A view as `/api/v1/views` describes it. */
export interface ViewInfo {
  name: string;
  group_by: string[];
  window: ViewWindow | null;
  measures: string[];
  /** Columns that identify a row. */
  key: string[];
}

/** A view row on the wire: group columns, window bounds and measures side by side. */
export type WireRow = Record<string, unknown>;

/** An entity found in a post. */
export interface Mention {
  entity: string;
  confidence: number;
  method: string;
}

/** The model's label. */
export type Label = 'positive' | 'neutral' | 'negative';

/** A post as it is now. */
export interface Post {
  id: string;
  source: string;
  thread: string;
  author: string | null;
  text: string;
  created_at: string;
  /** `null` is hidden or unknown. */
  votes: number | null;
  weight: number;
  /** `null` until the model has answered. */
  label: Label | null;
  sentiment: number | null;
  emotion: string | null;
  mentions: Mention[];
}

/** A post that carries an alert. */
export interface Evidence {
  post: string;
  weight: number;
  sentiment: number;
  influence: number;
}

/** State of an alert. */
export type AlertState = 'firing' | 'resolved' | 'retracted';

/** The newest transition of an alert. */
export interface Alert {
  id: string;
  rule: string;
  state: AlertState;
  cause: string;
  view: string;
  key: Record<string, string>;
  window_start: string;
  window_end: string;
  value: number | null;
  threshold: number | null;
  posts: number;
  at: string | number;
  evidence: Evidence[];
}

/** Where the window of a sliding view is now, for all of its rows. */
export interface Bounds {
  start: number;
  end: number;
}

/** A frame of the WebSocket. `at` is a tick: epoch milliseconds; `id` names the subscription. */
export type Frame =
  | { type: 'snapshot'; id: string; at: number; rows: WireRow[] }
  | { type: 'delta'; id: string; at: number; rows: WireRow[]; gone: WireRow[]; bounds: Bounds | null }
  | { type: 'progress'; at: number }
  | { type: 'resync'; id: string }
  | { type: 'error'; code: string; message: string; id: string | null };
