import { isRecord } from './frames';

/** An hour of the day or a day of the week, and how well posts did in it. */
export interface BestTime {
  name: string;
  value: number;
  posts: number;
}

/** When posting pays: the best hours and days, and the whole week, Monday first; `null` where nothing was posted. */
export interface Times {
  hours: BestTime[];
  weekdays: BestTime[];
  week: (number | null)[][];
  /** What was compared. */
  column: string;
  /** Where it is that hour. */
  zone: string;
}

/** The days of the week as the engine names them. */
export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

/** Reads an answer of `/api/analytics/{view}/best-times`; `null` if it is none. */
export function readTimes(body: unknown): Times | null {
  if (!isRecord(body) || !isRecord(body.data) || !isRecord(body.metadata)) return null;
  const { hours, weekdays, heatmap } = body.data;
  const week = list(heatmap).map((day) => list(day).map((v) => (typeof v === 'number' ? v : null)));
  if (week.length !== 7 || week.some((day) => day.length !== 24)) return null;
  return { hours: best(hours, 'hour'), weekdays: best(weekdays, 'weekday'), week, column: String(body.metadata.column ?? ''), zone: String(body.metadata.time_zone ?? 'UTC') };
}

/** How strong the colour of a value is among the others, from 0 to 1. */
export function strength(value: number, week: readonly (readonly (number | null)[])[]): number {
  const all = week.flat().filter((v): v is number => v !== null);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  return most > least ? (value - least) / (most - least) : 1;
}

function best(raw: unknown, name: string): BestTime[] {
  return list(raw)
    .filter(isRecord)
    .map((r) => ({ name: String(r[name]), value: Number(r.value), posts: Number(r.posts) }));
}

function list(v: unknown): unknown[] {
  return Array.isArray(v) ? v : [];
}
