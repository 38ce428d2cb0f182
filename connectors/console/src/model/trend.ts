/** Counters over time: what was read when. */
export class Trend {
  private readonly points: { at: number; values: ReadonlyMap<string, number> }[] = [];

  /** Keeps `most` readings; rates are taken over `width` milliseconds. */
  constructor(
    private readonly most = 90,
    private readonly width = 10_000,
  ) {}

  /** Notes what the counters stand at. A counter that went back means that the process is another: then all begins anew. */
  add(values: ReadonlyMap<string, number>, at: number): void {
    const last = this.points.at(-1);
    if (last && [...values].some(([name, v]) => v < (last.values.get(name) ?? 0))) this.points.length = 0;
    this.points.push({ at, values });
    if (this.points.length > this.most) this.points.shift();
  }

  /** A counter's rate per second over the last while; `null` before there are two readings. */
  rate(name: string): number | null {
    const last = this.points.at(-1);
    if (!last) return null;
    const from = this.points.find((p) => p.at >= last.at - this.width - 500);
    return from && from !== last ? per(from, last, name) : null;
  }

  /** Its rates between one reading and the next, oldest first. */
  history(name: string): number[] {
    return this.points.slice(1).map((p, i) => per(this.points[i] ?? p, p, name));
  }

  /** Forgets everything. */
  clear(): void {
    this.points.length = 0;
  }
}

type Point = { at: number; values: ReadonlyMap<string, number> };

function per(from: Point, to: Point, name: string): number {
  const seconds = (to.at - from.at) / 1000;
  const grown = (to.values.get(name) ?? 0) - (from.values.get(name) ?? 0);
  return seconds > 0 ? grown / seconds : 0;
}
