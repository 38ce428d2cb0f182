/** Shortest and longest pause between two attempts, in milliseconds. */
const [FIRST, LONGEST] = [500, 30_000];

/** Attempts after which the page says "offline" instead of "reconnecting"; it goes on trying. */
export const OFFLINE_AFTER = 6;

/**
 * Pause before the next attempt: doubles from half a second to 30 s, spread by ±25 % (`random` in [0, 1)), so that many
 * consoles do not come back at the same instant.
 */
export function pause(attempt: number, random: number): number {
  const base = Math.min(LONGEST, FIRST * 2 ** Math.min(attempt, 16));
  return Math.round(base * (0.75 + 0.5 * random));
}
