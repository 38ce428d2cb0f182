/** Events per second over the last ten seconds. */
export class Rate {
  private readonly marks: { at: number; n: number }[] = [];
  private since: number | null = null;

  constructor(private readonly width = 10_000) {}

  /** Counts `n` events at `now` (ms). */
  add(n: number, now: number): void {
    this.since ??= now;
    if (n > 0) this.marks.push({ at: now, n });
    this.trim(now);
  }

  /** The rate at `now`; `null` before anything was counted. A short history is divided by its own length, at least 1 s. */
  at(now: number): number | null {
    if (this.since === null) return null;
    this.trim(now);
    const n = this.marks.reduce((sum, m) => sum + m.n, 0);
    return (1000 * n) / Math.min(this.width, Math.max(1000, now - this.since));
  }

  private trim(now: number): void {
    while (this.marks[0] && this.marks[0].at <= now - this.width) this.marks.shift();
  }
}
