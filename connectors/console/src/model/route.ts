/** The pages, in the order of the navigation; those that not every pipeline has are left out of it where there is nothing on them. */
export const PAGES = [
  { id: 'overview', label: 'Overview' },
  { id: 'threads', label: 'Threads' },
  { id: 'entities', label: 'Entities' },
  { id: 'feed', label: 'Feed' },
  { id: 'alerts', label: 'Alerts' },
  { id: 'times', label: 'Times' },
  { id: 'events', label: 'Events' },
  { id: 'ranked', label: 'Ranked' },
  { id: 'pipeline', label: 'Pipeline' },
] as const;

/** Name of one of them. */
export type PageId = (typeof PAGES)[number]['id'];

/**
 * Where the reader is: a page, what is open on it, and choices worth a link. Routes live behind the `#` of the address, so
 * that they work below any prefix of a proxy and with names that hold slashes and dots, and never reach the server.
 */
export interface Route {
  page: PageId;
  item: string | null;
  query: Readonly<Record<string, string>>;
}

/** Reads the part of the address from `#` on; what is no page is the overview. */
export function parseRoute(hash: string): Route {
  const [path = '', search = ''] = splitOnce(hash.replace(/^#\/?/, ''), '?');
  const [name = '', item = ''] = splitOnce(path, '/');
  const page = PAGES.find((p) => p.id === name)?.id ?? 'overview';
  const query: Record<string, string> = {};
  for (const [key, value] of new URLSearchParams(search)) query[key] = value;
  const known = page === name || name === '';
  return { page, item: known && item !== '' ? decoded(item) : null, query: known ? query : {} };
}

/** The address of a route, from `#` on. */
export function hrefOf(page: PageId, item: string | null = null, query: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(query).toString();
  return `#/${page}${item === null ? '' : `/${encodeURIComponent(item)}`}${search === '' ? '' : `?${search}`}`;
}

function splitOnce(text: string, at: string): [string, string] {
  const i = text.indexOf(at);
  return i < 0 ? [text, ''] : [text.slice(0, i), text.slice(i + at.length)];
}

/** A name that somebody mistyped stays as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
