import { epoch } from './format';
import type { Bounds, Frame, WireRow } from './types';

/**
 * Reads one WebSocket message. Returns `null` for frame types this page does not know (a newer engine may send them) and
 * throws on anything that is not a frame at all.
 */
export function parseFrame(text: string): Frame | null {
  const raw: unknown = JSON.parse(text);
  if (!isRecord(raw) || typeof raw.type !== 'string') throw new Error('not a frame: no "type"');
  switch (raw.type) {
    case 'snapshot':
      return { type: 'snapshot', id: name(raw), at: num(raw, 'at'), rows: rows(raw.rows) };
    case 'delta':
      return { type: 'delta', id: name(raw), at: num(raw, 'at'), rows: rows(raw.rows), gone: rows(raw.gone), bounds: bounds(raw) };
    case 'progress':
      return { type: 'progress', at: num(raw, 'at') };
    case 'resync':
      return { type: 'resync', id: name(raw) };
    case 'error':
      return { type: 'error', code: String(raw.code ?? 'error'), message: String(raw.message ?? 'no message'), id: typeof raw.id === 'string' ? raw.id : null };
    default:
      return null;
  }
}

/** Whether a value is a plain JSON object. */
export function isRecord(v: unknown): v is Record<string, unknown> {
  return typeof v === 'object' && v !== null && !Array.isArray(v);
}

/** The subscription a frame is about: its id, else its feed. */
function name(raw: Record<string, unknown>): string {
  return typeof raw.id === 'string' ? raw.id : str(raw, 'view');
}

function str(raw: Record<string, unknown>, field: string): string {
  const v = raw[field];
  if (typeof v !== 'string') throw new Error(`frame "${String(raw.type)}" has no "${field}"`);
  return v;
}

function num(raw: Record<string, unknown>, field: string): number {
  const v = raw[field];
  if (typeof v !== 'number') throw new Error(`frame "${String(raw.type)}" has no "${field}"`);
  return v;
}

function bounds(raw: Record<string, unknown>): Bounds | null {
  const [start, end] = [epoch(raw.window_start), epoch(raw.window_end)];
  return start === null || end === null ? null : { start, end };
}

function rows(v: unknown): WireRow[] {
  return Array.isArray(v) ? v.filter(isRecord) : [];
}
