import { isRecord } from './frames';
import type { ViewInfo, ViewWindow } from './types';

/** Reads a view as `/api/v1/views` describes it. */
export function readView(raw: Record<string, unknown>): ViewInfo {
  const group_by = strings(raw.group_by);
  return {
    name: String(raw.name),
    group_by,
    window: readWindow(raw.window),
    measures: strings(raw.measures),
    // The end of a window follows from its start.
    key: Array.isArray(raw.key) ? strings(raw.key).filter((c) => c !== 'window_end') : [...group_by, 'window_start'],
  };
}

/** Reads `{"kind":"tumble","size_ms":60000}`, and `{"tumble":60000}` as pipeline files write it. */
function readWindow(raw: unknown): ViewWindow | null {
  if (!isRecord(raw)) return null;
  if (typeof raw.kind === 'string') return { kind: raw.kind, size: number(raw.size_ms) };
  const [kind, spec] = Object.entries(raw)[0] ?? [];
  return kind === undefined ? null : { kind, size: number(isRecord(spec) ? spec.size : spec) };
}

function number(v: unknown): number {
  return typeof v === 'number' ? v : 0;
}

function strings(v: unknown): string[] {
  return Array.isArray(v) ? v.map(String) : [];
}
