import { combine, type Total } from './combine';
import type { Row } from './table';

/** A phase of a thread, such as before, during and after it is on air, with what was said in it. */
export interface Phase extends Total {
  name: string;
  start: number;
  end: number;
}

/** The phases that rows of anchored windows lie in, in the order of time. */
export function phasesOf(rows: Iterable<Row>): Phase[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    if (row.phase === null) continue;
    const list = groups.get(row.phase);
    if (list) list.push(row);
    else groups.set(row.phase, [row]);
  }
  const phases = [...groups].map(([name, list]) => ({
    name,
    start: Math.min(...list.map((r) => r.start)),
    end: Math.max(...list.map((r) => r.end)),
    ...combine(list),
  }));
  return phases.sort((a, b) => a.start - b.start || a.end - b.end);
}
