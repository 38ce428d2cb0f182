import type uPlot from 'uplot';
import { MARKED_MS, type TimedMarker } from '../state/revisions';
import type { Scene } from './chart';
import { withAlpha, type Ink } from './ink';

/** Behind everything: the window that is still open. */
export function drawBack(u: uPlot, scene: Scene, ink: Ink): void {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  const last = scene.data.x.at(-1);
  const open = last !== undefined && scene.tick !== null && scene.tick < scene.to;
  if (!open) return;
  const x = Math.max(left, u.valToPos(last, 'x', true));
  ctx.save();
  ctx.fillStyle = ink.shade;
  ctx.fillRect(x, top, left + width - x, height);
  ctx.restore();
}

/** Behind everything: where a phase of the thread begins, with its name; every second one is shaded. */
export function drawPhases(u: uPlot, phases: Scene['phases'], ink: Ink): void {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  const px = devicePixelRatio;
  ctx.save();
  ctx.font = ink.font.replace(/^\d+px/, `${11 * px}px`);
  ctx.textBaseline = 'top';
  ctx.textAlign = 'left';
  phases.forEach((p, i) => {
    const [from, to] = [u.valToPos(p.start / 1000, 'x', true), u.valToPos(p.end / 1000, 'x', true)];
    const [a, b] = [Math.max(left, from), Math.min(left + width, to)];
    if (b - a < px) return;
    ctx.fillStyle = ink.shade;
    if (i % 2 === 1) ctx.fillRect(a, top, b - a, height);
    if (from >= left) {
      ctx.fillStyle = ink.grid;
      ctx.fillRect(a, top, px, height);
    }
    ctx.fillStyle = ink.muted;
    if (b - a > 24 * px) ctx.fillText(fit(ctx, p.name, b - a - 8 * px), a + 5 * px, top + 4 * px);
  });
  ctx.restore();
}

/** Over the grid, under the lines: zero. */
export function drawZero(u: uPlot, ink: Ink): void {
  const { ctx } = u;
  const { left, width } = u.bbox;
  ctx.save();
  const zero = Math.round(u.valToPos(0, 'y', true)) + 0.5;
  ctx.strokeStyle = ink.zero;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(left, zero);
  ctx.lineTo(left + width, zero);
  ctx.stroke();
  ctx.restore();
}

/** Over the lines: revisions, alerts, and at the right the names. */
export function drawFront(u: uPlot, scene: Scene, ink: Ink, named: boolean): void {
  u.ctx.save();
  for (const marker of scene.markers) drawRevision(u, scene, ink, marker);
  for (const flag of scene.flags) {
    const x = u.valToPos(flag.x, 'x', true);
    if (x >= u.bbox.left - 1 && x <= u.bbox.left + u.bbox.width + 1) drawFlag(u, x, flag.state === 'firing' ? ink.firing : ink.muted, flag.state === 'firing');
  }
  if (named) drawNames(u, scene, ink);
  u.ctx.restore();
}

/** A hollow ring where the value was, a stroke to where it is, and a ring there; it fades within seconds. */
function drawRevision(u: uPlot, scene: Scene, ink: Ink, m: TimedMarker): void {
  const i = scene.data.lines.findIndex((l) => l.name === m.name);
  const age = (scene.now - m.at) / MARKED_MS;
  if (i < 0 || age >= 1) return;
  const { ctx } = u;
  const px = devicePixelRatio;
  const x = u.valToPos(m.x, 'x', true);
  if (x < u.bbox.left) return;
  const [from, to] = [u.valToPos(m.from, 'y', true), u.valToPos(m.to, 'y', true)];
  ctx.globalAlpha = 1 - age ** 2;
  ctx.strokeStyle = ink.hue(scene.looks[i]?.hue ?? 0, 1);
  ctx.fillStyle = ink.surface;
  ctx.lineWidth = 1.5 * px;
  ctx.setLineDash([2 * px, 2 * px]);
  ctx.beginPath();
  ctx.moveTo(x, from);
  ctx.lineTo(x, to);
  ctx.stroke();
  ctx.setLineDash([]);
  circle(ctx, x, from, 3 * px, true);
  circle(ctx, x, to, 6 * px, false);
  ctx.globalAlpha = 1;
}

function circle(ctx: CanvasRenderingContext2D, x: number, y: number, r: number, filled: boolean): void {
  ctx.beginPath();
  ctx.arc(x, y, r, 0, 2 * Math.PI);
  if (filled) ctx.fill();
  ctx.stroke();
}

/** A small flag on the time axis at the window that fired. */
function drawFlag(u: uPlot, x: number, colour: string, solid: boolean): void {
  const { ctx } = u;
  const px = devicePixelRatio;
  const base = u.bbox.top + u.bbox.height;
  ctx.beginPath();
  ctx.moveTo(x - 5 * px, base);
  ctx.lineTo(x + 5 * px, base);
  ctx.lineTo(x, base - 9 * px);
  ctx.closePath();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1.5 * px;
  ctx.fillStyle = solid ? colour : withAlpha(colour, 0.15);
  ctx.fill();
  ctx.stroke();
}

/** The names beside the lines' ends, pushed apart so that none covers another. */
function drawNames(u: uPlot, scene: Scene, ink: Ink): void {
  const { ctx } = u;
  const px = devicePixelRatio;
  const gap = 16 * px;
  const right = u.bbox.left + u.bbox.width;
  const [top, bottom] = [u.bbox.top + gap / 2, u.bbox.top + u.bbox.height - gap / 2];
  const ends = scene.data.lines.flatMap((line, i) => {
    const at = line.mid.findLastIndex((v) => v !== null);
    const value = line.mid[at];
    if (at < 0 || value === null || value === undefined) return [];
    const y = u.valToPos(value, 'y', true);
    return [{ line, i, x: u.valToPos(scene.data.x[at] ?? 0, 'x', true), end: y, y }];
  });
  ends.sort((a, b) => a.y - b.y);
  let least = top;
  for (const e of ends) {
    e.y = Math.max(e.y, least);
    least = e.y + gap;
  }
  let most = bottom;
  for (const e of ends.toReversed()) {
    e.y = Math.min(e.y, most);
    most = e.y - gap;
  }
  ctx.font = ink.font.replace(/^\d+px/, `${12 * px}px`);
  ctx.textBaseline = 'middle';
  ctx.textAlign = 'left';
  for (const e of ends) {
    const colour = ink.hue(scene.looks[e.i]?.hue ?? 0, 1);
    ctx.strokeStyle = ink.hue(scene.looks[e.i]?.hue ?? 0, 0.4);
    ctx.lineWidth = px;
    ctx.beginPath();
    ctx.moveTo(e.x, e.end);
    ctx.lineTo(right + 3 * px, e.end);
    ctx.lineTo(right + 10 * px, e.y);
    ctx.stroke();
    ctx.fillStyle = colour;
    ctx.beginPath();
    ctx.arc(e.x, e.end, 3.5 * px, 0, 2 * Math.PI);
    ctx.fill();
    ctx.fillStyle = ink.text;
    ctx.fillText(fit(ctx, e.line.name, 96 * px), right + 14 * px, e.y);
  }
}

/** A text cut to a width. */
function fit(ctx: CanvasRenderingContext2D, text: string, width: number): string {
  if (ctx.measureText(text).width <= width) return text;
  let n = text.length;
  while (n > 1 && ctx.measureText(`${text.slice(0, n)}…`).width > width) n -= 1;
  return `${text.slice(0, n)}…`;
}
