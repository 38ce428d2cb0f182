import uPlot from 'uplot';
import { count } from '../model/format';
import type { Volume } from '../model/series';
import { NAMES, SYNC, WIDE, Y_AXIS } from './chart';
import { readInk, type Ink } from './ink';

/** Bars of posts under a {@link SentimentChart}: the scored part over all of them. */
export class VolumeChart {
  private plot: uPlot | null = null;
  private scene: { data: Volume; from: number; to: number } | null = null;
  private readonly resizer: ResizeObserver;

  constructor(private readonly host: HTMLElement) {
    this.resizer = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.resizer.observe(host);
  }

  /** Shows what came between two times (ms). */
  update(data: Volume, from: number, to: number): void {
    this.scene = { data, from, to };
    if (this.plot) this.plot.setData(columns(data));
    else this.build();
  }

  /** Reads the colours again. */
  restyle(): void {
    this.build();
  }

  /** Frees everything. */
  destroy(): void {
    this.resizer.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  private build(): void {
    if (!this.scene) return;
    this.plot?.destroy();
    this.plot = new uPlot(this.options(readInk(this.host)), columns(this.scene.data), this.host);
  }

  private size(): { width: number; height: number } {
    return { width: this.host.clientWidth, height: this.host.clientHeight };
  }

  private options(ink: Ink): uPlot.Options {
    const bars = uPlot.paths.bars?.({ size: [0.9, 400], align: 1, gap: 1 });
    const series = (fill: string): uPlot.Series => ({ ...(bars ? { paths: bars } : {}), fill, stroke: fill, width: 0, points: { show: false } });
    return {
      ...this.size(),
      legend: { show: false },
      padding: [6, () => (this.host.clientWidth > WIDE ? NAMES : 14), 2, 0],
      scales: {
        x: { time: true, range: () => this.xRange() },
        y: { range: (_, __, max) => [0, Math.max(1, max * 1.05)] },
      },
      axes: [
        { show: false },
        { stroke: ink.muted, font: ink.font, ticks: { show: false }, grid: { stroke: ink.grid, width: 1 }, size: Y_AXIS, space: 26, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6], values: (_, splits) => splits.map(short) },
      ],
      series: [{}, series(ink.waiting), series(ink.volume)],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false }, sync: { key: SYNC } },
    };
  }

  private xRange(): [number, number] {
    const { from, to } = this.scene ?? { from: 0, to: 1000 };
    return [from / 1000, Math.max(to, from + 1000) / 1000];
  }
}

function columns(v: Volume): uPlot.AlignedData {
  return [v.x, v.posts, v.scored];
}

/** A count that fits an axis. */
function short(n: number): string {
  return n >= 10_000 ? `${Math.round(n / 1000)}k` : count(n);
}
