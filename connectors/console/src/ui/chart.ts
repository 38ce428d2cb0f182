import uPlot from 'uplot';
import { signed } from '../model/format';
import type { Phase } from '../model/phases';
import { yLimits, type ChartData } from '../model/series';
import type { Look } from '../model/colours';
import type { TimedMarker } from '../state/revisions';
import type { Flag } from './chart-flags';
import { drawBack, drawFront, drawPhases, drawZero } from './chart-marks';
import { readInk, type Ink } from './ink';
import { timeLabels } from './time-axis';

/** What to draw. */
export interface Scene {
  data: ChartData;
  looks: Look[];
  from: number;
  to: number;
  tick: number | null;
  markers: TimedMarker[];
  flags: Flag[];
  phases: readonly Pick<Phase, 'name' | 'start' | 'end'>[];
  now: number;
}

/** Where the reader points: an index into `x` and a place in CSS pixels. */
export interface Cursor {
  index: number;
  left: number;
  width: number;
  byKey: boolean;
}

/** Room at the right for the names of the lines, where the chart is wide enough for them. */
export const NAMES = 116;
export const WIDE = 560;
/** Width of the axis at the left. */
export const Y_AXIS = 50;
/** Charts with this name point at the same time together. */
export const SYNC = 'time';

/** A uPlot chart that shows {@link Scene}s. Built anew only when the lines or the theme change. */
export class SentimentChart {
  private plot: uPlot | null = null;
  private scene: Scene | null = null;
  private ink: Ink | null = null;
  private identity = '';
  private byKey = false;
  private told = 'null';
  private focused: string | null = null;
  private readonly resizer: ResizeObserver;

  constructor(
    private readonly host: HTMLElement,
    private readonly point: (cursor: Cursor | null) => void,
  ) {
    this.resizer = new ResizeObserver(() => this.resize());
    this.resizer.observe(host);
  }

  /** Shows a scene. */
  update(scene: Scene): void {
    this.scene = scene;
    const identity = JSON.stringify([scene.data.lines.map((l) => l.name), scene.looks]);
    if (!this.plot || identity !== this.identity) {
      this.identity = identity;
      this.build();
    } else {
      this.plot.setData(columns(scene.data));
    }
  }

  /** Reads the colours again. */
  restyle(): void {
    if (this.scene) this.build();
  }

  /** Brings one line forward, or none. */
  focus(name: string | null): void {
    this.focused = name;
    this.plot?.redraw(false);
  }

  /** Steps through the windows: arrows, Home, End; Escape leaves. */
  key(e: KeyboardEvent): void {
    const n = this.scene?.data.x.length ?? 0;
    const steps: Record<string, (i: number | null) => number> = {
      ArrowLeft: (i) => (i === null ? n - 1 : Math.max(0, i - 1)),
      ArrowRight: (i) => (i === null ? n - 1 : Math.min(n - 1, i + 1)),
      Home: () => 0,
      End: () => n - 1,
    };
    if (e.key === 'Escape') this.leave();
    const step = steps[e.key];
    if (!step || !this.plot || n === 0) return;
    e.preventDefault();
    this.byKey = true;
    const index = step(this.plot.cursor.idx ?? null);
    this.plot.setCursor({ left: this.plot.valToPos(this.scene?.data.x[index] ?? 0, 'x'), top: 10 });
  }

  /** Takes the cursor off the chart. */
  leave(): void {
    this.plot?.setCursor({ left: -10, top: -10 });
    this.byKey = false;
  }

  /** Frees everything. */
  destroy(): void {
    this.resizer.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  private build(): void {
    const scene = this.scene;
    if (!scene) return;
    this.plot?.destroy();
    this.ink = readInk(this.host);
    this.plot = new uPlot(this.options(scene, this.ink), columns(scene.data), this.host);
  }

  private resize(): void {
    const size = this.size();
    if (this.plot && size.width > 0) this.plot.setSize(size);
  }

  private size(): { width: number; height: number } {
    return { width: this.host.clientWidth, height: this.host.clientHeight };
  }

  private options(scene: Scene, ink: Ink): uPlot.Options {
    const lines = scene.data.lines;
    const many = lines.length > 3;
    const faded = (name: string) => this.focused !== null && this.focused !== name && lines.some((l) => l.name === this.focused);
    const colour = (i: number, alpha: number) => ink.hue(scene.looks[i]?.hue ?? 0, alpha);
    const edge: uPlot.Series = { stroke: 'transparent', width: 0, points: { show: false } };
    const axis = { stroke: ink.muted, font: ink.font, ticks: { show: false } };
    return {
      ...this.size(),
      legend: { show: false },
      padding: [14, () => (this.host.clientWidth > WIDE ? NAMES : 14), 0, 0],
      scales: {
        x: { time: true, range: () => this.xRange() },
        y: { range: () => yLimits(this.scene?.data ?? { x: [], lines: [] }) },
      },
      axes: [
        { ...axis, grid: { show: false }, space: 70, size: 30, values: timeLabels },
        { ...axis, grid: { stroke: ink.grid, width: 1 }, size: Y_AXIS, space: 36, values: (_, splits) => splits.map((v) => signed(v)) },
      ],
      series: [
        {},
        ...lines.flatMap(() => [edge, edge]),
        ...lines.map(
          (line, i): uPlot.Series => ({
            label: line.name,
            stroke: () => colour(i, faded(line.name) ? 0.25 : 1),
            width: 2,
            dash: [...(scene.looks[i]?.dash ?? [])],
            spanGaps: true,
            points: { show: (u) => u.data[0].length <= 90, size: 5, fill: () => colour(i, faded(line.name) ? 0.25 : 1), width: 0 },
          }),
        ),
      ],
      bands: lines.map((line, i) => ({
        series: [1 + 2 * i, 2 + 2 * i] as [number, number],
        fill: () => colour(i, faded(line.name) ? 0.02 : this.focused === line.name ? 0.24 : many ? 0.1 : 0.15),
      })),
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 }, sync: { key: SYNC } },
      hooks: {
        drawClear: [(u) => this.scene && drawBack(u, this.scene, ink), (u) => this.scene && drawPhases(u, this.scene.phases, ink)],
        drawAxes: [(u) => drawZero(u, ink)],
        draw: [(u) => this.scene && drawFront(u, this.scene, ink, this.host.clientWidth > WIDE)],
        setCursor: [(u) => this.moved(u)],
      },
    };
  }

  private xRange(): [number, number] {
    const { from, to } = this.scene ?? { from: 0, to: 1000 };
    return [from / 1000, Math.max(to, from + 1000) / 1000];
  }

  private moved(u: uPlot): void {
    const { idx, left } = u.cursor;
    if (idx === null || idx === undefined || left === undefined || left < 0) {
      this.tell(null);
      return;
    }
    const box = u.over.getBoundingClientRect();
    const host = this.host.getBoundingClientRect();
    const at = u.valToPos(u.data[0][idx] ?? 0, 'x') + box.left - host.left;
    this.tell({ index: idx, left: at, width: host.width, byKey: this.byKey });
  }

  /** Tells the owner where the cursor is, if that is news: uPlot also calls at every new data. */
  private tell(cursor: Cursor | null): void {
    const text = JSON.stringify(cursor);
    if (text === this.told) return;
    this.told = text;
    this.point(cursor);
  }
}

/** uPlot's columns: x, then high and low of each line, then the lines themselves, so that lines lie over the bands. */
function columns(data: ChartData): uPlot.AlignedData {
  return [data.x, ...data.lines.flatMap((l) => [l.high, l.low]), ...data.lines.map((l) => l.mid)];
}
