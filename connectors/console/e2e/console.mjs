/**
 * Opens the console of a running engine in a real browser and checks that it lives:
 *
 *     node e2e/console.mjs URL [SCREENSHOT.png] [--phone] [--dark] [--need-revision] [--timeout SECONDS]
 *
 * The chart has data, a labelled post is shown, a sentiment changes while we watch (with `--need-revision`: the page
 * reports a revision by votes), nothing is written to the error console, no request goes to another host, and axe-core
 * finds no serious or critical violation. Exits 0, or 1 with the first thing that failed; the screenshot is taken anyway.
 */
import axe from 'axe-core';
import { openBrowser } from './browser.mjs';

const { url, screenshot, phone, dark, needRevision, timeout } = readArguments(process.argv.slice(2));
const errors = [];
const strangers = new Set();

await ready(url);
const { context, close } = await openBrowser({ colorScheme: dark ? 'dark' : 'light', ...(phone ? { viewport: { width: 390, height: 844 } } : {}) });
let failure = null;
try {
  const page = context.pages()[0] ?? (await context.newPage());
  watch(page);
  try {
    await check(page);
  } catch (e) {
    failure = e;
  }
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: phone });
} catch (e) {
  failure ??= e;
} finally {
  await close();
}
if (failure) {
  console.error(`console test failed: ${failure.message}`);
  for (const e of errors.slice(0, 10)) console.error(`  console error: ${e}`);
  process.exit(1);
}

/** Everything that must be true, in order. */
async function check(page) {
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  await until(page, 'the connection is live', () => document.querySelector('.connection')?.dataset.state === 'live');
  await until(page, 'the chart has data', () => document.querySelectorAll('.chart canvas').length > 0 && document.querySelectorAll('[data-sentiment]').length > 0);
  await until(page, 'a post with a label is shown', () => document.querySelector('.post:not([data-label=""]) .text')?.textContent);
  await until(page, 'something is drawn on the chart', drawn);
  await page.locator('.chart').hover();
  await until(page, 'the tooltip shows a value', () => /[+−]?\d\.\d\d/.test(document.querySelector('.tooltip')?.textContent ?? ''));
  await page.getByRole('radio', { name: '5 min' }).check();
  const before = await sentiments(page);
  await until(
    page,
    'a sentiment changes',
    (old) => [...document.querySelectorAll('tr[data-entity]')].some((r) => r.dataset.entity in old && old[r.dataset.entity] !== r.querySelector('[data-sentiment]').textContent),
    before,
  );
  if (needRevision) await until(page, 'a revision by votes is reported', () => Number(document.querySelector('.revision')?.dataset.revisions) > 0);
  await tableAgrees(page);
  const revisions = await page.evaluate(() => document.querySelector('.revision')?.textContent);
  const broken = await violations(page);
  if (broken.length > 0) throw new Error(`axe-core: ${broken.join('; ')}`);
  if (strangers.size > 0) throw new Error(`requests to other hosts: ${[...strangers].join(', ')}`);
  if (errors.length > 0) throw new Error(`${errors.length} errors in the console`);
  console.log(`console ok at ${url}: ${Object.keys(before).length} entities; ${revisions}`);
}

/** Collects what must not happen. */
function watch(page) {
  const home = new URL(url).host;
  page.on('request', (r) => {
    const { protocol, host } = new URL(r.url());
    if (protocol !== 'data:' && protocol !== 'blob:' && host !== home) strangers.add(host);
  });
  page.on('websocket', (ws) => new URL(ws.url()).host !== home && strangers.add(new URL(ws.url()).host));
  page.on('pageerror', (e) => errors.push(String(e)));
  page.on('console', (m) => {
    // An alert's evidence may have been deleted meanwhile: the page asks for it, and the browser logs the 404.
    const gone = m.location().url.includes('/api/v1/posts/') && m.text().includes('404');
    if (m.type() === 'error' && !gone) errors.push(`${m.text()} (${m.location().url})`);
  });
}

/** Waits for a condition in the page, and says which one did not come. */
async function until(page, what, condition, argument) {
  const found = await page.waitForFunction(condition, argument, { timeout: timeout * 1000, polling: 300 }).catch((e) => e);
  if (found instanceof Error) throw new Error(`waited ${timeout} s until ${what}; ${found.name === 'TimeoutError' ? 'it did not happen' : found.message}`);
}

/** In the page: whether the canvas holds pixels with a colour, that is, lines and not only axes. */
function drawn() {
  const canvas = document.querySelector('.chart canvas');
  if (!canvas || canvas.width === 0) return false;
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 200 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 60) coloured += 1;
  }
  return coloured > 30;
}

/** The sentiments shown now, by entity. */
function sentiments(page) {
  return page.evaluate(() => Object.fromEntries([...document.querySelectorAll('tr[data-entity]')].map((r) => [r.dataset.entity, r.querySelector('[data-sentiment]').textContent])));
}

/** The data table opens, holds a window for each line, and closes again. */
async function tableAgrees(page) {
  const button = page.getByRole('button', { name: 'Data table' });
  await button.click();
  await until(page, 'the data table shows the chart’s numbers', () => [...document.querySelectorAll('table.data td')].some((td) => /^[+−]?\d\.\d\d/.test(td.textContent)));
  await button.click();
  await until(page, 'the chart is back', drawn);
}

/** Serious and critical findings of axe-core. */
async function violations(page) {
  await page.evaluate(axe.source);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return result.violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${v.id} (${v.impact}) at ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${n.any[0]?.message ?? ''}`).join(', ')}`);
}

/** Waits until the engine says it is ready, so that its start-up is no error of the page. */
async function ready(base) {
  const end = Date.now() + timeout * 1000;
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
    console.error('usage: node e2e/console.mjs URL [SCREENSHOT.png] [--phone] [--dark] [--need-revision] [--timeout SECONDS]');
    process.exit(2);
  }
  return { url: url.endsWith('/') ? url : `${url}/`, screenshot, timeout, phone: args.includes('--phone'), dark: args.includes('--dark'), needRevision: args.includes('--need-revision') };
}
