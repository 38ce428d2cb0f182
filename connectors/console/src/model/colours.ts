/** Number of hues in the style sheet (`.hue-0` …) and of line patterns they are combined with. */
export const HUES = 8;
const PATTERNS: readonly (readonly number[])[] = [[], [7, 4], [2, 3]];

/** How a series looks everywhere: a hue and a line pattern. */
export interface Look {
  hue: number;
  dash: readonly number[];
}

/**
 * Gives every name a look and keeps it. A name prefers the slot its hash points at and takes the next free one, so two
 * names look alike only after all 24 combinations are taken; what was given is remembered through `saved`.
 */
export class Colours {
  private readonly slots = new Map<string, number>();

  constructor(saved: readonly (readonly [string, number])[] = []) {
    for (const [name, slot] of saved) if (Number.isInteger(slot) && slot >= 0) this.slots.set(name, slot);
  }

  /** The look of a name; gives it one if it has none. */
  of(name: string): Look {
    const slot = this.slots.get(name) ?? this.give(name);
    return { hue: slot % HUES, dash: PATTERNS[Math.floor(slot / HUES) % PATTERNS.length] ?? [] };
  }

  /** What was given, newest last, for the next visit. */
  saved(max = 300): [string, number][] {
    return [...this.slots].slice(-max);
  }

  private give(name: string): number {
    const taken = new Set(this.slots.values());
    const round = Math.floor(taken.size / HUES) % PATTERNS.length;
    const start = hash(name) % HUES;
    let slot = round * HUES + start;
    for (let i = 0; i < HUES * PATTERNS.length; i += 1) {
      const tried = ((round + Math.floor(i / HUES)) % PATTERNS.length) * HUES + ((start + i) % HUES);
      if (taken.has(tried)) continue;
      slot = tried;
      break;
    }
    this.slots.set(name, slot);
    return slot;
  }
}

/** FNV-1a. */
function hash(s: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < s.length; i += 1) h = Math.imul(h ^ s.charCodeAt(i), 0x01000193) >>> 0;
  return h;
}
