import { useEffect, useState } from 'preact/hooks';
import { ApiError, fetchBody } from '../net/api';

/** Pause between two readings. */
const AGAIN_MS = 5000;

/** What a path answered last, and what went wrong since. */
export interface Reading {
  body: unknown;
  problem: string | null;
  /** The pipeline does not serve it. */
  missing: boolean;
}

/** Reads a path of the API now and every few seconds while the page is seen; `null` reads nothing. */
export function useReading(path: string | null): Reading | null {
  const [reading, setReading] = useState<Reading | null>(null);
  useEffect(() => {
    setReading(null);
    if (path === null) return;
    let timer = 0;
    let over = false;
    const read = async () => {
      if (!document.hidden) {
        const next = await answer(path);
        if (over) return;
        setReading((last) => (next.problem !== null && last ? { ...last, problem: next.problem } : next));
      }
      timer = window.setTimeout(() => void read(), AGAIN_MS);
    };
    void read();
    return () => {
      over = true;
      window.clearTimeout(timer);
    };
  }, [path]);
  return reading;
}

async function answer(path: string): Promise<Reading> {
  try {
    return { body: await fetchBody(path), problem: null, missing: false };
  } catch (e) {
    return { body: null, problem: e instanceof Error ? e.message : String(e), missing: e instanceof ApiError && e.status === 404 };
  }
}
