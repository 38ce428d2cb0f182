import type { Row } from './table';

/** Several rows seen as one. */
export interface Total {
  posts: number;
  scored: number;
  weight: number;
  sentiment: number | null;
  ci: number | null;
  positive: number;
  neutral: number;
  negative: number;
}

/**
 * Joins rows of disjoint posts: counts add up, means are weighted by the rows' weight. Half-widths of independent means
 * join as √Σ(w·h)² / Σw; a row without an interval (a single post) counts with the widest there is, 1, so that joining
 * never looks more certain than it is. Without any interval there is none.
 */
export function combine(rows: Iterable<Row>): Total {
  const total: Total = { posts: 0, scored: 0, weight: 0, sentiment: null, ci: null, positive: 0, neutral: 0, negative: 0 };
  let [sum, square, intervals] = [0, 0, 0];
  for (const row of rows) {
    total.posts += row.posts;
    total.scored += row.scored;
    total.positive += row.positive;
    total.neutral += row.neutral;
    total.negative += row.negative;
    const weight = row.weight ?? row.scored;
    if (row.sentiment === null || weight <= 0) continue;
    total.weight += weight;
    sum += weight * row.sentiment;
    square += (weight * (row.ci ?? 1)) ** 2;
    if (row.ci !== null) intervals += 1;
  }
  if (total.weight > 0) {
    total.sentiment = sum / total.weight;
    if (intervals > 0) total.ci = Math.sqrt(square) / total.weight;
  }
  return total;
}

/** Shares of the three labels among scored posts, in whole percent that add up to 100; zeros without any. */
export function shares(t: Pick<Total, 'positive' | 'neutral' | 'negative'>): { positive: number; neutral: number; negative: number } {
  const counts = [t.positive, t.neutral, t.negative];
  const n = counts.reduce((a, b) => a + b, 0);
  if (n === 0) return { positive: 0, neutral: 0, negative: 0 };
  const exact = counts.map((c) => (100 * c) / n);
  const whole = exact.map(Math.floor);
  const order = [0, 1, 2].sort((a, b) => frac(exact[b]) - frac(exact[a]));
  for (let left = 100 - whole.reduce((a, b) => a + b, 0), i = 0; left > 0; left -= 1, i += 1) {
    const at = order[i % 3] ?? 0;
    whole[at] = (whole[at] ?? 0) + 1;
  }
  return { positive: whole[0] ?? 0, neutral: whole[1] ?? 0, negative: whole[2] ?? 0 };
}

function frac(v: number | undefined): number {
  return (v ?? 0) % 1;
}
