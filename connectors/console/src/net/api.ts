import { isRecord } from '../model/frames';
import { headers } from './credential';
import { readPost } from '../model/feed';
import { epoch } from '../model/format';
import type { Post, ViewInfo } from '../model/types';
import { readView } from '../model/views';

/** A request that did not give what it should; the message says what and where. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number | null,
  ) {
    super(message);
  }
}

/** Address of a path of this engine, also below a proxy's prefix. */
export function address(path: string): string {
  return new URL(path, document.baseURI).href;
}

/** Address of the WebSocket. */
export function socketAddress(): string {
  return address('ws').replace(/^http/, 'ws');
}

/** The views of the pipeline. */
export async function fetchViews(): Promise<ViewInfo[]> {
  const { body } = await get('api/v1/views');
  if (!isRecord(body) || !Array.isArray(body.data)) throw new ApiError('/api/v1/views answered without "data"', null);
  return body.data.filter(isRecord).map(readView);
}

/** Start of the newest window of a view; `null` if it has no rows. */
export async function fetchNewestWindow(view: string): Promise<number | null> {
  const { body } = await get(`api/v1/views/${encodeURIComponent(view)}?limit=1&order=desc`);
  const row: unknown = isRecord(body) && Array.isArray(body.data) ? body.data[0] : null;
  return isRecord(row) ? epoch(row.window_start) : null;
}

/** A post by id; `null` if it is gone. */
export async function fetchPost(id: string): Promise<Post | null> {
  try {
    const { body } = await get(`api/v1/posts/${encodeURIComponent(id)}`);
    return isRecord(body) && isRecord(body.data) ? readPost(body.data) : null;
  } catch (e) {
    if (e instanceof ApiError && e.status === 404) return null;
    throw e;
  }
}

/** Whether the engine is ready, and if not, its own words why. */
export async function fetchReady(): Promise<{ ready: boolean; why: string }> {
  const { ok, body } = await get('health/ready', true);
  return { ready: ok, why: isRecord(body) ? reason(body) : '' };
}

/** The reasons in a health answer: `{"status":"not_ready","reasons":["restoring the snapshot"]}`. */
function reason(body: Record<string, unknown>): string {
  return Array.isArray(body.reasons) ? body.reasons.map(String).join('; ') : '';
}

async function get(path: string, anyStatus = false): Promise<{ ok: boolean; body: unknown }> {
  let answer: Response;
  try {
    answer = await fetch(address(path), { headers: { accept: 'application/json', ...headers() }, signal: AbortSignal.timeout(8000) });
  } catch {
    throw new ApiError(`${location.host} does not answer`, null);
  }
  const body: unknown = await answer.json().catch(() => null);
  if (!answer.ok && !anyStatus) {
    const message = isRecord(body) && isRecord(body.error) ? String(body.error.message) : answer.statusText;
    throw new ApiError(`/${path} answered ${answer.status} ${message}`.trim(), answer.status);
  }
  return { ok: answer.ok, body };
}
