/**
 * Sees the truth change in a real browser: `node e2e/revisions.mjs PROGRAM [SCREENSHOT.png]`.
 *
 * An engine follows files that this test appends to, so that what the page must show is known to the digit. A vote moves a
 * line by what the formula says; an alert appears and is retracted when its posts are deleted; a sink is paused and goes on;
 * the engine is stopped and started, and the page comes back by itself with the same numbers and those that are new.
 */
import { Engine, tested } from './engine.mjs';
import { nothingHappened, settled, until, violations, watch } from './pages.mjs';

const [program, screenshot] = process.argv.slice(2);
if (!program) {
  console.error('usage: node e2e/revisions.mjs PROGRAM [SCREENSHOT.png]');
  process.exit(2);
}
/** A name that an address has to carry through whole. */
const THREAD = 'finale 3/4? #1 & “more”';
const began = Date.now();
const engine = new Engine(
  program,
  'revisions',
  (port) => `name: revisions
state: {url: "file:./state"}
time: {clock: wall, tick: 100ms}
sources:
  posts: {type: file, path: posts.jsonl, into: posts, pace: follow, map: {sentiment: sentiment}}
  votes: {type: file, path: votes.jsonl, into: votes, pace: follow}
  things: {type: file, path: things.json, into: entities, format: json}
models: {live: given}
views:
  by_minute: {group_by: [entity], window: {tumble: 1m}, measures: [posts, weight, sentiment, sentiment_ci, positive, neutral, negative, scored]}
  threads: {group_by: [thread, entity], window: {tumble: 1m}, measures: [posts, weight, sentiment, positive, neutral, negative, scored]}
rules:
  souring: {view: by_minute, when: "sentiment < -0.3", min_posts: 3, clear: "sentiment > -0.1"}
sinks:
  alerts: {type: file, path: alerts.jsonl, from: rules}
serve: {http: "127.0.0.1:${port}"}
`,
);
engine.write('things.json', JSON.stringify([{ id: 'kettle', name: 'kettle', aliases: [] }, { id: 'toaster', name: 'toaster', aliases: [] }]));
engine.write('votes.jsonl', '');
engine.write('posts.jsonl', '');
append('posts', post('k1', 'a fine kettle', 0.8), post('k2', 'that kettle again', -0.2), post('t1', 'a toaster', 0.1), post('t2', 'my toaster', 0.1));

await tested('revisions', engine, screenshot, async (page) => {
  const seen = watch(page, engine.url);
  await voteMovesTheLine(page);
  await voteIsTold(page);
  await alertComesAndGoes(page);
  await sinkIsTold(page);
  await addressesHold(page);
  nothingHappened(seen);
  await comesBack(page);
  if (seen.strangers.size > 0) throw new Error(`requests to other hosts: ${[...seen.strangers].join(', ')}`);
  return 'a vote, an alert, a sink, addresses, a restart';
});

/** The mean of two posts, then with a hundred votes for the first: w = 1 + ln(1 + votes). */
async function voteMovesTheLine(page) {
  await page.goto(engine.url, { waitUntil: 'domcontentloaded' });
  await settled(page, 30_000);
  await shows(page, 'kettle', mean([0.8, 0], [-0.2, 0]));
  await until(page, 'the chart is drawn', () => document.querySelector('.chart canvas')?.width > 0);
  await page.waitForTimeout(800);
  const before = await drawing(page);
  append('votes', vote('k1', 99));
  await shows(page, 'kettle', mean([0.8, 99], [-0.2, 0]));
  await until(page, 'the revision is told', () => Number(document.querySelector('.revision').dataset.revisions) > 0 && /Votes revised kettle/.test(document.querySelector('.revision').textContent));
  if ((await drawing(page)) === before) throw new Error('the vote did not change the drawing');
  await page.getByRole('button', { name: 'Data table' }).click();
  await until(page, 'the table has the new value', (value) => [...document.querySelectorAll('table.data td')].some((td) => td.textContent.startsWith(value)), signed(mean([0.8, 99], [-0.2, 0])));
}

/** On the feed the change stands with its weight and with the line that it moved. */
async function voteIsTold(page) {
  await page.getByRole('link', { name: 'Feed' }).click();
  await settled(page, 30_000);
  await page.locator('li.post[data-post="k1"]').waitFor();
  append('votes', vote('k1', 9));
  await until(page, 'the change of votes is listed', () => {
    const item = document.querySelector('li.vote[data-moved="1"]');
    return item && /99 → 9 votes/.test(item.textContent) && /5\.61 → 3\.30/.test(item.textContent) && /kettle/.test(item.querySelector('.moved').textContent);
  });
}

/** Three bad posts fire an alert, with evidence; their deletion takes it back. */
async function alertComesAndGoes(page) {
  await page.getByRole('link', { name: 'Alerts' }).click();
  await page.getByText('No alerts.').waitFor();
  append('posts', ...['t3', 't4', 't5'].map((id) => post(id, `the toaster burns everything (${id})`, -0.9)));
  await page.locator('tr[data-state="firing"] a.name', { hasText: 'toaster' }).click();
  await until(page, 'the evidence is shown', () => [...document.querySelectorAll('.piece q')].slice(0, 3).filter((q) => /burns everything/.test(q.textContent)).length === 3);
  await until(page, 'the title counts it', () => document.title.startsWith('(1) '));
  const value = await page.locator('dd[data-value]').getAttribute('data-value');
  const expected = mean([0.1, 0], [0.1, 0], [-0.9, 0], [-0.9, 0], [-0.9, 0]);
  if (Math.abs(Number(value) - expected) > 1e-6) throw new Error(`the alert's value is ${value}, not ${expected}`);
  await page.locator('[data-again="true"]').waitFor();
  await page.getByRole('radio', { name: /^firing/ }).check();
  append('posts', ...['t3', 't4', 't5'].map((id) => ({ id, deleted: true })));
  await until(page, 'no alert is firing', () => document.querySelector('.alert-list .empty')?.textContent.includes('No alert is in this state'));
  await page.getByRole('radio', { name: /^retracted/ }).check();
  await page.locator('tr[data-state="retracted"]').waitFor();
  await until(page, 'the history tells both', () => document.querySelectorAll('.history li.firing').length === 1 && document.querySelectorAll('.history li.retracted').length === 1);
  await until(page, 'it is announced', () => /retracted/.test(document.querySelector('#alert-announcer').textContent));
}

/** Pause and resume, a dead letter, and a view as a file, on the pipeline's page. */
async function sinkIsTold(page) {
  await page.getByRole('link', { name: 'Pipeline' }).click();
  await settled(page, 30_000);
  await page.getByRole('button', { name: 'Pause alerts' }).click();
  await page.locator('tr[data-sink="alerts"][data-state="paused"]').waitFor();
  await page.locator('[data-node="sink alerts"].warn').waitFor({ state: 'attached' });
  const broken = await violations(page, 'pipeline with a paused sink');
  if (broken.length > 0) throw new Error(broken.join('; '));
  await page.getByRole('button', { name: 'Resume alerts' }).click();
  await page.locator('tr[data-sink="alerts"][data-state="running"]').waitFor();
  append('posts', { id: 'x' });
  await page.locator('tr[data-letters="missing_field"]').waitFor();
  const file = await page.getByRole('link', { name: 'csv of by_minute' }).evaluate((a) => a.href);
  const text = await (await page.request.get(file)).text();
  if (!/^entity,.*\r?\n.*kettle/s.test(text)) throw new Error(`the view as a file is ${text.slice(0, 80)}`);
}

/** Links with odd names, the back button, the keyboard, and a page opened by its address. */
async function addressesHold(page) {
  await page.getByRole('link', { name: 'Threads', exact: true }).click();
  await page.locator('tr[data-entity] a.name', { hasText: THREAD }).click();
  const isThread = (name) => document.querySelector('h1 .title')?.textContent === name && document.querySelectorAll('tr[data-entity="kettle"]').length === 1;
  await until(page, 'the thread is open', isThread, THREAD);
  await page.reload();
  await until(page, 'the thread is open by its address', isThread, THREAD);
  await page.locator('tr[data-entity="kettle"] a.name').click();
  await until(page, 'the entity is open', () => document.querySelector('h1 .title')?.textContent === 'kettle' && document.querySelectorAll('tr[data-view]').length === 2);
  await page.goBack();
  await until(page, 'the way back leads to the thread', isThread, THREAD);
  await page.locator('nav a', { hasText: 'Overview' }).focus();
  await page.keyboard.press('Enter');
  await until(page, 'the keyboard leads to the overview', () => document.querySelector('nav a[aria-current="page"]')?.textContent === 'Overview' && document.activeElement?.id === 'main');
}

/** Stops the engine and starts it again. */
async function comesBack(page) {
  await page.goto(new URL('#/feed', engine.url).href);
  await settled(page, 30_000);
  await engine.stop('SIGKILL');
  await until(page, 'the page says that it reconnects', () => ['reconnecting', 'offline'].includes(document.querySelector('.connection').dataset.state));
  await until(page, 'the page says what is wrong', () => /is lost/.test(document.querySelector('.banner')?.textContent ?? ''));
  if ((await page.locator('li.post[data-post="k1"]').count()) !== 1) throw new Error('what was known is gone while the engine is away');
  await engine.start();
  await until(page, 'the connection is live again', () => document.querySelector('.connection').dataset.state === 'live' && !document.querySelector('.banner'));
  append('posts', post('k3', 'the kettle is back', 0.4));
  await page.locator('li.post[data-post="k3"]').waitFor();
  await page.goto(new URL('#/overview', engine.url).href);
  await shows(page, 'kettle', mean([0.8, 9], [-0.2, 0], [0.4, 0]));
}

/** Waits until the row of an entity has this value. */
function shows(page, entity, value) {
  return until(page, `${entity} is at ${signed(value)}`, ([name, text]) => [...document.querySelectorAll('tr[data-entity]')].some((r) => r.dataset.entity === name && r.querySelector('[data-sentiment]').textContent === text), [entity, signed(value)]);
}

/** What the canvas shows, as one number. */
function drawing(page) {
  return page.evaluate(() => {
    const canvas = document.querySelector('.chart canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.reduce((sum, v, i) => (sum * 31 + v + i) % 4_294_967_291, 7);
  });
}

/** The weighted mean of posts given as sentiment and votes. */
function mean(...posts) {
  const weight = (votes) => 1 + Math.log(1 + Math.max(votes, 0));
  return posts.reduce((sum, [x, votes]) => sum + x * weight(votes), 0) / posts.reduce((sum, [, votes]) => sum + weight(votes), 0);
}

/** As the page writes it. */
function signed(v) {
  return `${v < 0 ? '−' : '+'}${Math.abs(v).toFixed(2)}`;
}

function post(id, text, sentiment) {
  return { id, source: 'test', thread: THREAD, author: `author of ${id}`, text, score: 0, created_at: began, sentiment };
}

function vote(id, score) {
  return { id, score, observed_at: Date.now() };
}

function append(file, ...records) {
  engine.write(`${file}.jsonl`, records.map((r) => `${JSON.stringify(r)}\n`).join(''), 'a');
}
