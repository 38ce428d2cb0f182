import { windowKind } from './choose';
import type { Span } from './range';
import type { ViewInfo } from './types';

/** Points a line has at most when the page chooses the step. */
const MOST_POINTS = 30;
const MINUTE = 60_000;
const NICE = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080].map((m) => m * MINUTE);

/**
 * Width of the points on the chart in milliseconds: a whole number of windows, as few as leave a readable line. Joining
 * tumbling windows is exact for the weighted mean; windows that overlap or have no fixed size are never joined (`null`).
 */
export function stepOf(view: ViewInfo, span: Span | null, everyWindow: boolean): number | null {
  const size = windowKind(view) === 'tumble' ? (view.window?.size ?? 0) : 0;
  if (size <= 0 || span === null) return null;
  if (everyWindow) return size;
  const least = (span.to - span.from) / MOST_POINTS;
  if (least <= size) return size;
  return NICE.find((n) => n >= least && n <= 3 * least && n % size === 0) ?? size * Math.ceil(least / size);
}

/** Start of the step a window belongs to. */
export function stepStart(start: number, step: number | null): number {
  return step === null ? start : Math.floor(start / step) * step;
}
