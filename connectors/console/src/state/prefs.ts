/** What the page remembers between visits. Storage may be forbidden or full: then it remembers nothing. */
const PREFIX = 'groundswell.';

/** A remembered value, `null` if there is none. */
export function recall<T>(name: string): T | null {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? null : (JSON.parse(text) as T);
  } catch {
    return null;
  }
}

/** Remembers a value; `null` forgets it. */
export function remember(name: string, value: unknown): void {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // nothing to do: see above
  }
}
