/** The whole numbers an influence is computed from: of a post, and of all scored posts of the window. */
export interface Exact {
  weight: bigint;
  sentiment: bigint;
  influence: bigint;
}

/** Σw and Σw·x over the window. */
export interface Sums {
  weight: bigint;
  weighted: bigint;
  /** By which sentiments and influences are divided. */
  ppm: number;
}

/**
 * What leaving a post out does to the mean, in the engine's own arithmetic: w(xW − S) / (W(W − w)), towards zero. `null` for a
 * post that stands alone.
 */
export function influenceOf({ weight: w, sentiment: x }: Pick<Exact, 'weight' | 'sentiment'>, { weight: W, weighted: S }: Sums): bigint | null {
  const rest = W * (W - w);
  return rest === 0n ? null : (w * (x * W - S)) / rest;
}

/** The mean of the window. */
export function meanOf({ weight, weighted, ppm }: Sums): number | null {
  return weight === 0n ? null : Number((weighted * 1_000_000n) / weight) / 1e6 / ppm;
}

/** A whole number, written as one or as text; `null` for anything else. */
export function whole(v: unknown): bigint | null {
  const text = typeof v === 'number' && Number.isSafeInteger(v) ? String(v) : v;
  return typeof text === 'string' && /^-?\d{1,60}$/.test(text) ? BigInt(text) : null;
}
