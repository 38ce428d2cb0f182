/**
 * Takes pictures of every page of a running console, for looking at and for the docs:
 *
 *     node e2e/shots.mjs URL FOLDER [--dark] [--phone] [--wait SECONDS]
 *
 * Goes to each page, opens the busiest thread and entity and the newest alert, and leaves one PNG a page.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openBrowser } from './browser.mjs';
import { busiest, settled } from './pages.mjs';

const args = process.argv.slice(2);
const at = args.indexOf('--wait');
const wait = at >= 0 ? Number(args.splice(at, 2)[1]) : 2;
const [url, folder] = args.filter((a) => !a.startsWith('--'));
if (!url || !folder) {
  console.error('usage: node e2e/shots.mjs URL FOLDER [--dark] [--phone] [--wait SECONDS]');
  process.exit(2);
}
const [dark, phone] = [args.includes('--dark'), args.includes('--phone')];
const tail = `${dark ? '-dark' : ''}${phone ? '-phone' : ''}`;
mkdirSync(folder, { recursive: true });

const { context, close } = await openBrowser({ colorScheme: dark ? 'dark' : 'light', ...(phone ? { viewport: { width: 390, height: 844 } } : {}) });
try {
  const page = context.pages()[0] ?? (await context.newPage());
  const { thread, entity, alert } = await busiest(page, url);
  const places = { overview: '', threads: 'threads', thread: `threads/${encodeURIComponent(thread)}`, entities: 'entities', entity: `entities/${encodeURIComponent(entity)}`, feed: 'feed', alerts: alert ? `alerts/${alert}` : 'alerts', pipeline: 'pipeline' };
  for (const [name, place] of Object.entries(places)) {
    await page.goto(new URL(`#/${place}`, url).href);
    await settled(page, 20_000);
    await page.waitForTimeout(wait * 1000);
    const file = join(folder, `${name}${tail}.png`);
    await page.screenshot({ path: file, fullPage: phone });
    console.log(file);
  }
} finally {
  await close();
}
