/** Number of hues in the style sheet (`.hue-0` …) and of line patterns they are combined with. */
export const HUES = 8;
const PATTERNS: readonly (readonly number[])[] = [[], [7, 4], [2, 3]];

/** How a series looks everywhere: a hue and a line pattern. */
export interface Look {
  hue: number;
  dash: readonly number[];
}

/**
 * Gives the lines on the chart their looks, and remembers them. A name keeps its look as long as it can: it loses it only
 * to a line on the chart when all solid hues are taken, and then the one longest out of sight goes first. No two lines on
 * the chart look alike (up to 24); patterns come in after the eighth.
 */
export class Colours {
  /** Slot by name; the names seen last come last. */
  private readonly slots = new Map<string, number>();

  constructor(saved: readonly (readonly [string, number])[] = []) {
    const taken = new Set<number>();
    for (const [name, slot] of saved) {
      if (!Number.isInteger(slot) || slot < 0 || slot >= HUES * PATTERNS.length || taken.has(slot)) continue;
      taken.add(slot);
      this.slots.set(name, slot);
    }
  }

  /** The look of a name, `null` if it has none. */
  of(name: string): Look | null {
    const slot = this.slots.get(name);
    return slot === undefined ? null : { hue: slot % HUES, dash: PATTERNS[Math.floor(slot / HUES)] ?? [] };
  }

  /** Sees to it that each of these names has a look of its own; returns whether anything is new. */
  show(names: readonly string[]): boolean {
    const before = JSON.stringify(this.saved());
    for (const name of names) {
      const slot = this.slots.get(name) ?? this.free(name, names);
      this.slots.delete(name);
      this.slots.set(name, slot);
    }
    return JSON.stringify(this.saved()) !== before;
  }

  /** What was given, for the next visit. */
  saved(): [string, number][] {
    return [...this.slots];
  }

  /** A slot for a new name: a solid hue nobody has, else one from a name not shown, else a pattern. */
  private free(name: string, shown: readonly string[]): number {
    const holders = new Map([...this.slots].map(([n, slot]) => [slot, n]));
    const start = hash(name) % HUES;
    const solid = Array.from({ length: HUES }, (_, i) => (start + i) % HUES);
    const unused = solid.find((slot) => !holders.has(slot));
    if (unused !== undefined) return unused;
    for (const [other, slot] of this.slots) {
      if (slot >= HUES || shown.includes(other)) continue;
      this.slots.delete(other);
      return slot;
    }
    for (let slot = HUES; slot < HUES * PATTERNS.length; slot += 1) {
      const holder = holders.get(slot);
      if (holder !== undefined && shown.includes(holder)) continue;
      if (holder !== undefined) this.slots.delete(holder);
      return slot;
    }
    return start;
  }
}

/** FNV-1a. */
function hash(s: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < s.length; i += 1) h = Math.imul(h ^ s.charCodeAt(i), 0x01000193) >>> 0;
  return h;
}
