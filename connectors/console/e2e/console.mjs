/**
 * Opens every page of a running engine's console in a real browser and checks that it lives:
 *
 *     node e2e/console.mjs URL [SCREENSHOT.png] [--need-revision] [--need-alert] [--timeout SECONDS]
 *
 * Every page opens by its address and shows real data; axe-core finds no serious or critical fault on any, in light and in
 * dark; none is wider than a phone; the chart is drawn, has a tooltip and a table with the same numbers; a sentiment changes
 * while we watch (with `--need-revision`: by votes; with `--need-alert`: an alert comes and ends); nothing is written to the
 * error console and no request goes to another host. Exits 0, or 1 with the first thing that failed.
 */
import { openBrowser } from './browser.mjs';
import { busiest, drawn, nothingHappened, open, places, until, violations, watch } from './pages.mjs';

const { url, screenshot, needRevision, needAlert, timeout } = readArguments(process.argv.slice(2));
const patience = timeout * 1000;

await ready(url);
const { context, close } = await openBrowser();
let failure = null;
try {
  const page = context.pages()[0] ?? (await context.newPage());
  const seen = watch(page, url);
  try {
    await lives(page);
    if (screenshot) await page.screenshot({ path: screenshot });
    const count = await everyPage(page);
    nothingHappened(seen);
    console.log(`console ok at ${url}: ${count} pages, in light, in dark and on a phone`);
  } catch (e) {
    failure = e;
    if (screenshot) await page.screenshot({ path: screenshot }).catch(() => undefined);
  }
} catch (e) {
  failure ??= e;
} finally {
  await close();
}
if (failure) {
  console.error(`console test failed: ${failure.message}`);
  process.exit(1);
}

/** The overview shows life. */
async function lives(page) {
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  const wait = (what, condition, argument) => until(page, what, condition, argument, patience);
  await wait('the connection is live', () => document.querySelector('.connection')?.dataset.state === 'live');
  await wait('the chart has data', () => document.querySelectorAll('.chart canvas').length > 0 && document.querySelectorAll('[data-sentiment]').length > 0);
  await wait('a post with a label is shown', () => document.querySelector('.post:not([data-label=""]) .text')?.textContent);
  await wait('something is drawn on the chart', drawn);
  await page.locator('.chart').hover();
  await wait('the tooltip shows a value', () => /[+−]?\d\.\d\d/.test(document.querySelector('.tooltip')?.textContent ?? ''));
  await page.getByRole('radio', { name: '5 min' }).check();
  const shown = () => Object.fromEntries([...document.querySelectorAll('tr[data-entity]')].map((r) => [r.dataset.entity, r.querySelector('[data-sentiment]').textContent]));
  const before = await page.evaluate(shown);
  await wait(
    'a sentiment changes',
    (old) => [...document.querySelectorAll('tr[data-entity]')].some((r) => r.dataset.entity in old && old[r.dataset.entity] !== r.querySelector('[data-sentiment]').textContent),
    before,
  );
  const table = page.getByRole('button', { name: 'Data table' });
  await table.click();
  await wait('the data table shows the chart’s numbers', () => [...document.querySelectorAll('table.data td')].some((td) => /^[+−]?\d\.\d\d/.test(td.textContent)));
  await table.click();
  await wait('the chart is back', drawn);
  if (needRevision) await wait('a revision by votes is reported', () => Number(document.querySelector('.revision')?.dataset.revisions) > 0);
  if (needAlert) await wait('an alert has come and ended', () => document.querySelector('.alert.resolved, .alert.retracted'));
}

/** Opens all pages, three times. */
async function everyPage(page) {
  const all = places(await busiest(page, url));
  const broken = [];
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const [name, place] of Object.entries(all)) {
      await open(page, url, name, place, patience);
      const current = await page.locator('nav a[aria-current="page"]').getAttribute('href');
      if (current !== `#/${place.path.split('/')[0]}`) broken.push(`${name}: the navigation says ${current}`);
      broken.push(...(await violations(page, `${name}, ${colorScheme}`)));
    }
  }
  await page.setViewportSize({ width: 390, height: 844 });
  for (const [name, place] of Object.entries(all)) {
    await open(page, url, name, place, patience);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > 390) broken.push(`${name}: on a phone of 390 px the page is ${wide} px wide`);
  }
  if (broken.length > 0) throw new Error(broken.join('\n  '));
  return Object.keys(all).length;
}

/** Waits until the engine says it is ready, so that its start-up is no error of the page. */
async function ready(base) {
  const end = Date.now() + patience;
  let last = '';
  while (Date.now() < end) {
    try {
      const answer = await fetch(new URL('health/ready', base));
      if (answer.ok) return;
      last = `/health/ready answers ${answer.status}`;
    } catch (e) {
      last = e.cause?.message ?? e.message;
    }
    await new Promise((done) => setTimeout(done, 500));
  }
  console.error(`console test failed: no engine is ready at ${base} within ${timeout} s: ${last}`);
  process.exit(1);
}

function readArguments(args) {
  const at = args.indexOf('--timeout');
  const timeout = at >= 0 ? Number(args.splice(at, 2)[1]) : 60;
  const [url, screenshot] = args.filter((a) => !a.startsWith('--'));
  if (!url || !(timeout > 0)) {
    console.error('usage: node e2e/console.mjs URL [SCREENSHOT.png] [--need-revision] [--need-alert] [--timeout SECONDS]');
    process.exit(2);
  }
  return { url: url.endsWith('/') ? url : `${url}/`, screenshot, timeout, needRevision: args.includes('--need-revision'), needAlert: args.includes('--need-alert') };
}
