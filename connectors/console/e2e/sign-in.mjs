/**
 * Signs in to the console of an engine that wants to know who asks, in a real browser:
 *
 *     node e2e/sign-in.mjs PROGRAM [SCREENSHOT.png]
 *
 * A pipeline with an API key is started. The page asks for a key and shows nothing before; a wrong one is refused with words;
 * with the right one the connection is live and the chart has data; the key is neither in the address nor kept in the
 * local storage; signing out asks again. axe-core finds no serious fault in the form.
 */
import axe from 'axe-core';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBrowser } from './browser.mjs';

const PATIENCE = 60_000;
const [program, screenshot] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'groundswell-sign-in-'));
const made = execFileSync(program, ['key']).toString();
const key = /key\s+(\S+)/.exec(made)[1];
const digest = /sha256\s+(\S+)/.exec(made)[1];
const port = await freePort();
writeFileSync(join(folder, 'words.json'), JSON.stringify([{ id: 'e1', name: 'the', aliases: ['the', 'a', 'this', 'it'] }]));
writeFileSync(
  join(folder, 'pipeline.yaml'),
  `name: locked
sources:
  g: {type: generator, posts_per_minute: 6000}
  e: {type: file, path: words.json, into: entities, format: json}
models: {live: fixture}
views:
  by_minute: {group_by: [entity], window: {tumble: 1m}, measures: [posts, weight, sentiment, scored]}
serve:
  http: "127.0.0.1:${port}"
  auth: {keys: {me: {sha256: ${digest}, role: read}}}
`,
);
const engine = spawn(program, ['run', join(folder, 'pipeline.yaml')], { stdio: ['ignore', 'inherit', 'inherit'] });
const { context, close } = await openBrowser();
let failure = null;
try {
  const page = context.pages()[0] ?? (await context.newPage());
  await check(page);
} catch (e) {
  failure = e;
} finally {
  await close();
  engine.kill('SIGTERM');
  await new Promise((ended) => (engine.exitCode === null ? engine.once('exit', ended) : ended()));
  rmSync(folder, { recursive: true, force: true });
}
if (failure) {
  console.error(`sign-in test failed: ${failure.message}`);
  process.exit(1);
}
console.log('sign-in ok: asked, refused, let in, signed out');

async function check(page) {
  const url = `http://127.0.0.1:${port}/`;
  await page.goto('about:blank');
  for (const end = Date.now() + PATIENCE; ; ) {
    const up = await fetch(new URL('health/ready', url)).then((a) => a.ok, () => false);
    if (up) break;
    if (Date.now() > end) throw new Error('the engine was not ready in time');
    await new Promise((done) => setTimeout(done, 200));
  }
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  const field = page.getByLabel('API key or token');
  await field.waitFor({ timeout: PATIENCE });
  if ((await page.locator('.chart').count()) > 0) throw new Error('the chart is there before anybody signed in');
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const serious = found.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  if (serious.length > 0) throw new Error(`axe-core: ${serious.map((v) => v.id).join(', ')}`);
  if (screenshot) await page.screenshot({ path: screenshot });
  await field.fill('gsk_wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('is not known here').waitFor({ timeout: PATIENCE });
  await field.fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  const live = () => document.querySelector('.connection')?.dataset.state === 'live' && document.querySelectorAll('[data-sentiment]').length > 0;
  await page.waitForFunction(live, undefined, { timeout: PATIENCE });
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }) + location.href);
  if (kept.includes(key)) throw new Error('the key is in the address or in the local storage');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await field.waitFor({ timeout: PATIENCE });
}

function freePort() {
  return new Promise((found, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
}
