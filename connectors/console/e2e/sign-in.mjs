/**
 * Signs in to the console of an engine that wants to know who asks, in a real browser:
 *
 *     node e2e/sign-in.mjs PROGRAM [SCREENSHOT.png]
 *
 * A pipeline with two API keys is started. The page asks for a key and shows nothing before; a wrong one is refused with words;
 * with the right one the connection is live and the chart has data; the key is neither in the address nor kept in the
 * local storage; whoever may only read sees how sinks are and no buttons, an operator sees the buttons and saves a view as a file; signing out asks again,
 * at the address that was open. axe-core finds no serious fault in the form.
 */
import { readFile } from 'node:fs/promises';
import { Engine, newKey, tested } from './engine.mjs';
import { until, violations } from './pages.mjs';

const PATIENCE = 60_000;
const [program, screenshot] = process.argv.slice(2);
const [reader, operator] = [newKey(program), newKey(program)];
const engine = new Engine(
  program,
  'sign-in',
  (port) => `name: locked
sources:
  g: {type: generator, posts_per_minute: 6000}
  e: {type: file, path: words.json, into: entities, format: json}
models: {live: fixture}
views:
  by_minute: {group_by: [entity], window: {tumble: 1m}, measures: [posts, weight, sentiment, scored]}
sinks:
  dead: {type: file, path: dead.jsonl, from: dead_letters}
serve:
  http: "127.0.0.1:${port}"
  auth: {keys: {me: {sha256: ${reader.digest}, role: read}, op: {sha256: ${operator.digest}, role: operate}}}
`,
);
engine.write('words.json', JSON.stringify([{ id: 'e1', name: 'the', aliases: ['the', 'a', 'this', 'it'] }]));
await tested('sign-in', engine, null, async (page) => {
  await check(page);
  return 'asked, refused, let in, shown what the role allows, signed out';
});

async function check(page) {
  await page.goto(engine.url, { waitUntil: 'domcontentloaded' });
  const field = page.getByLabel('API key or token');
  await field.waitFor({ timeout: PATIENCE });
  if ((await page.locator('.chart').count()) > 0) throw new Error('the chart is there before anybody signed in');
  const serious = await violations(page, 'the form');
  if (serious.length > 0) throw new Error(serious.join(', '));
  if (screenshot) await page.screenshot({ path: screenshot });
  await signIn(page, field, 'gsk_wrong');
  await page.getByText('is not known here').waitFor({ timeout: PATIENCE });
  await signIn(page, field, reader.key);
  await until(page, 'the chart has data', () => document.querySelector('.connection')?.dataset.state === 'live' && document.querySelectorAll('[data-sentiment]').length > 0);
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }) + location.href);
  if (kept.includes(reader.key)) throw new Error('the key is in the address or in the local storage');
  await page.getByRole('link', { name: 'Pipeline' }).click();
  await page.getByText('this key may read only').waitFor({ timeout: PATIENCE });
  await page.locator('tr[data-sink="dead"]').waitFor({ timeout: PATIENCE });
  if ((await page.getByRole('button', { name: /Pause|Resync/ }).count()) > 0) throw new Error('a key that may only read is shown buttons');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await signIn(page, field, operator.key);
  await page.getByRole('button', { name: 'Pause dead' }).waitFor({ timeout: PATIENCE });
  const [file] = await Promise.all([page.waitForEvent('download', { timeout: PATIENCE }), page.getByRole('link', { name: 'csv of by_minute' }).click()]);
  const text = await readFile(await file.path(), 'utf8');
  if (file.suggestedFilename() !== 'by_minute.csv' || !text.startsWith('entity,window_start,')) throw new Error(`the file ${file.suggestedFilename()} is ${text.slice(0, 80)}`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await field.waitFor({ timeout: PATIENCE });
}

async function signIn(page, field, key) {
  await field.fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
}
