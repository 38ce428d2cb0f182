import { epoch } from '../model/format';
import type { Alert } from '../model/types';
import type { ViewScreen } from '../state/screen';

/** An alert's place on the chart. */
export interface Flag {
  x: number;
  name: string;
  state: Alert['state'];
}

/** Alerts of the drawn lines, at the window that fired. */
export function chartFlags(alerts: readonly Alert[], view: string, screen: ViewScreen): Flag[] {
  const flags: Flag[] = [];
  for (const a of alerts) {
    const name = a.key[screen.column] ?? '';
    const start = epoch(a.window_start);
    if (a.view !== view || start === null || !screen.picked.includes(name)) continue;
    if (screen.thread !== null && a.key.thread !== screen.thread) continue;
    flags.push({ x: start / 1000, name, state: a.state });
  }
  return flags.slice(0, 60);
}
