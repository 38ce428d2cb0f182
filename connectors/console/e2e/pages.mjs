/** What browser tests know of the pages: where they are, when they show something, and what must never happen on them. */
import axe from 'axe-core';

/** The busiest thread and entity and the newest alert, as the API gives them. */
export async function busiest(page, url) {
  const get = async (path) => (await (await page.request.get(new URL(path, url).href)).json()).data;
  const views = (await get('api/v1/views')).filter((v) => v.measures.includes('sentiment'));
  const top = async (column) => {
    const view = views.find((v) => v.group_by.includes(column));
    if (!view) return '';
    const counts = new Map();
    for (const row of await get(`api/v1/views/${encodeURIComponent(view.name)}?limit=1000&order=desc`)) {
      if (row[column] !== null) counts.set(row[column], (counts.get(row[column]) ?? 0) + row.posts);
    }
    return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? '';
  };
  const alerts = await get('api/v1/alerts?limit=100');
  return { thread: await top('thread'), entity: await top('entity'), alert: (alerts.find((a) => a.evidence.length > 0) ?? alerts[0])?.id ?? null };
}

/**
 * Every page by its name: the address behind `#/`, and selectors each of which finds something once the page shows real data.
 */
export function places({ thread, entity, alert }) {
  const chart = ['.chart canvas', 'tr[data-entity] [data-sentiment]'];
  return {
    overview: { path: 'overview', shows: [...chart, '.volume canvas', '[data-fact="lag"] dd:not(:has(> b:text-is("–")))', '.post .text', '.alert .rule'] },
    threads: { path: 'threads', shows: [...chart, 'tr[data-entity] a.name'] },
    thread: { path: `threads/${encodeURIComponent(thread)}`, shows: [...chart, '.post .text', `h1 .title:text-is("${thread}")`] },
    entities: { path: 'entities', shows: [...chart, 'tr[data-entity] a.name'] },
    entity: { path: `entities/${encodeURIComponent(entity)}`, shows: ['.chart canvas', 'tr[data-view] b:text-matches("^[+−0]")', '.post .text', `h1 .title:text-is("${entity}")`] },
    feed: { path: 'feed', shows: ['.chart canvas', '.post:not([data-label=""]) .text', 'li.vote .shift'] },
    alerts: { path: 'alerts', shows: ['tr[data-alert] a.name'] },
    ...(alert ? { alert: { path: `alerts/${alert}`, shows: ['tr[data-alert].open', '.piece .numbers', '.history time'] } } : {}),
    pipeline: { path: 'pipeline', shows: ['[data-node="record"]', '[data-node="score"]', 'tr[data-sink]', 'tr[data-source]', 'tr[data-model]', '[data-fact="read"] dd:not(:has(> b:text-is("…")))'] },
  };
}

/** Goes to a page and waits until it shows what it should; says what did not come. */
export async function open(page, url, name, place, timeout) {
  await page.goto(new URL(`#/${place.path}`, url).href);
  await settled(page, timeout);
  for (const selector of place.shows) {
    await page
      .locator(selector)
      .first()
      .waitFor({ state: 'attached', timeout })
      .catch(() => {
        throw new Error(`the page ${name} does not show ${selector} within ${timeout / 1000} s`);
      });
  }
}

/** Waits until the page says that it is connected and nothing on it says that it is loading. */
export async function settled(page, timeout) {
  await page.waitForFunction(
    () => document.querySelector('.connection')?.dataset.state === 'live' && ![...document.querySelectorAll('main .empty')].some((e) => e.textContent.includes('Loading')),
    undefined,
    { timeout, polling: 200 },
  );
}

/** Serious and critical findings of axe-core, with their place. */
export async function violations(page, name) {
  await page.evaluate(axe.source);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return result.violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${name}: ${v.id} (${v.impact}) at ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${n.any[0]?.message ?? ''}`).join(', ')}`);
}

/** Collects what must not happen: errors in the console (but those that `expected` names), and requests to other hosts. */
export function watch(page, home, expected = []) {
  const seen = { errors: [], strangers: new Set() };
  const { host } = new URL(home);
  page.on('request', (r) => {
    const { protocol, host: to } = new URL(r.url());
    if (protocol !== 'data:' && protocol !== 'blob:' && to !== host) seen.strangers.add(to);
  });
  page.on('websocket', (ws) => new URL(ws.url()).host !== host && seen.strangers.add(new URL(ws.url()).host));
  page.on('pageerror', (e) => seen.errors.push(String(e)));
  page.on('console', (m) => {
    const where = m.location().url;
    // An alert's evidence may have been deleted meanwhile: the page asks for it, and the browser logs the 404.
    const gone = where.includes('/api/v1/posts/') && m.text().includes('404');
    if (m.type() === 'error' && !gone && !expected.some((e) => `${m.text()} ${where}`.includes(e))) seen.errors.push(`${m.text()} (${where})`);
  });
  return seen;
}

/** Fails if any of it has happened. */
export function nothingHappened({ errors, strangers }) {
  if (strangers.size > 0) throw new Error(`requests to other hosts: ${[...strangers].join(', ')}`);
  if (errors.length > 0) throw new Error(`${errors.length} errors in the console: ${errors.slice(0, 5).join('; ')}`);
}

/** Waits for a condition in the page, and says which one did not come. */
export async function until(page, what, condition, argument, timeout = 60_000) {
  const found = await page.waitForFunction(condition, argument, { timeout, polling: 200 }).catch((e) => e);
  if (found instanceof Error) throw new Error(`waited ${timeout / 1000} s until ${what}; ${found.name === 'TimeoutError' ? 'it did not happen' : found.message}`);
}

/** In the page: whether the canvas holds pixels with a colour, that is, lines and not only axes. */
export function drawn() {
  const canvas = document.querySelector('.chart canvas');
  if (!canvas || canvas.width === 0) return false;
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 200 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 60) coloured += 1;
  }
  return coloured > 30;
}
