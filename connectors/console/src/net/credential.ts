/**
 * The API key or token that requests bring, where the server wants one. It lives as long as the tab: closing it signs out, and
 * it never stands in an address. Storage may be forbidden: then it lives as long as the page.
 */
const NAME = 'groundswell.credential';
let held: string | null = null;

/** The credential, `null` where none was given. */
export function credential(): string | null {
  try {
    held ??= sessionStorage.getItem(NAME);
  } catch {
    // Forbidden: what is held is all there is.
  }
  return held;
}

/** Signs in with one, or out with `null`. */
export function hold(next: string | null): void {
  held = next;
  try {
    if (next === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, next);
  } catch {
    // Forbidden: it lives as long as the page.
  }
}

/** What it adds to a request. */
export function headers(): Record<string, string> {
  const key = credential();
  return key === null ? {} : { authorization: `Bearer ${key}` };
}

/** What it adds to a WebSocket, which can bring no headers. */
export function protocols(): string[] {
  const key = credential();
  return key === null ? [] : ['groundswell', `bearer.${key}`];
}

/** Whether a text could be one: keys and tokens are written in these characters only. */
export function plausible(text: string): boolean {
  return /^[A-Za-z0-9._~+/=-]{1,8000}$/.test(text);
}
