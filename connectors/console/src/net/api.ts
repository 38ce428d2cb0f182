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

/** What a path answers, whatever its shape. */
export async function fetchBody(path: string): Promise<unknown> {
  return (await get(path)).body;
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

/** The metrics, in the Prometheus text format. */
export async function fetchMetrics(): Promise<string> {
  const answer = await ask('metrics', {});
  if (!answer.ok) throw new ApiError(`/metrics answered ${answer.status}`, answer.status);
  return answer.text();
}

/** What a list of the API holds, as it comes. */
export async function fetchList(path: string): Promise<Record<string, unknown>[]> {
  const { body } = await get(path);
  return isRecord(body) && Array.isArray(body.data) ? body.data.filter(isRecord) : [];
}

/** One thing of the API, as it comes. */
export async function fetchOne(path: string): Promise<Record<string, unknown>> {
  const { body } = await get(path);
  if (!isRecord(body) || !isRecord(body.data)) throw new ApiError(`/${path} answered without "data"`, null);
  return body.data;
}

/** How the engine is, whatever it answers. */
export async function fetchHealth(): Promise<unknown> {
  return (await get('health', true)).body;
}

/** Which routes of the first systems this pipeline serves; none where that is not for this reader. */
export async function fetchServed(): Promise<string[]> {
  const { serves } = await fetchOne('api/v1/me');
  return Array.isArray(serves) ? serves.map(String) : [];
}

/** Whether this credential may tell sinks and models what to do. */
export async function fetchMayOperate(): Promise<boolean> {
  const { role } = await fetchOne('api/v1/me');
  return role === 'operate' || role === 'admin';
}

/** Tells the engine to do something; throws its own words if it does not. */
export async function tell(path: string, body?: unknown): Promise<Record<string, unknown>> {
  const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const answer = await ask(path, { method: 'POST', ...json }, 60_000);
  const said: unknown = await answer.json().catch(() => null);
  if (!answer.ok) throw refusal(path, answer, said);
  return isRecord(said) && isRecord(said.data) ? said.data : {};
}

/** Saves what a path answers as a file: a link brings no credential, so the page asks and hands the answer to the browser. */
export async function save(path: string, name: string): Promise<void> {
  const answer = await ask(path, {}, 600_000);
  if (!answer.ok) throw refusal(path, answer, await answer.json().catch(() => null));
  const link = document.createElement('a');
  // An answer that breaks off rejects here: what is saved is whole.
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  // The browser reads it after this turn.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function get(path: string, anyStatus = false): Promise<{ ok: boolean; body: unknown }> {
  const answer = await ask(path, {});
  const body: unknown = await answer.json().catch(() => null);
  if (!answer.ok && !anyStatus) throw refusal(path, answer, body);
  return { ok: answer.ok, body };
}

async function ask(path: string, init: RequestInit, patience = 8000): Promise<Response> {
  try {
    return await fetch(address(path), { ...init, headers: { accept: 'application/json', ...init.headers, ...headers() }, signal: AbortSignal.timeout(patience) });
  } catch {
    throw new ApiError(`${location.host} does not answer`, null);
  }
}

function refusal(path: string, answer: Response, body: unknown): ApiError {
  const message = isRecord(body) && isRecord(body.error) ? String(body.error.message) : answer.statusText;
  return new ApiError(`/${path} answered ${answer.status} ${message}`.trim(), answer.status);
}
