/**
 * Best times and keyword events in a real browser: `node e2e/insights.mjs PROGRAM [SCREENSHOT.png]`.
 *
 * An engine follows files that this test appends to. The map of the week shows the hours with posts, and moves when a post
 * is polled again with more likes; events show a keyword about a company, one that an exclusion suppresses only if asked for,
 * and vanish with their post; a like moves a post up in a feed, and taken back, down again. Pages that a pipeline has nothing for are not offered: `revisions.mjs` has neither.
 */
import { Engine, tested } from './engine.mjs';
import { nothingHappened, settled, until, violations, watch } from './pages.mjs';

const [program, screenshot] = process.argv.slice(2);
/** The Monday a week ago, at midnight UTC. */
const MONDAY = Math.floor((Date.now() - 345_600_000) / 604_800_000) * 604_800_000 + 345_600_000 - 604_800_000;
const HOUR = 3_600_000;
const engine = new Engine(
  program,
  'insights',
  (port) => `name: insights
state: {url: "file:./state"}
time: {clock: wall, tick: 100ms}
numbers: {posts: [likes]}
sources:
  ties: {type: file, path: ties.jsonl, into: interactions, pace: follow}
  posts: {type: file, path: posts.jsonl, into: posts, pace: follow}
  companies: {type: file, path: companies.json, into: entities, format: json}
keywords:
  launch: {phrases: [token launch, TGE], exclude: [rumor]}
events: {keep: 30d}
models: {live: given}
views:
  by_minute: {group_by: [entity], window: {tumble: 1m}}
  hours:
    group_by: [hour, weekday]
    window: {tumble: 1d}
    measures: [posts]
    columns: {likes_per_post: total(likes) / posts}
serve: {http: "127.0.0.1:${port}", routes: {events: true, feeds: {}}}
`,
);
engine.write('companies.json', JSON.stringify([{ id: 'acme', name: 'Acme', aliases: [] }]));
engine.write('posts.jsonl', '');
engine.write('ties.jsonl', '');
say('p1', 'Acme tells of its token launch', 9, 4);
say('p2', 'only a rumor of an Acme TGE', 9, 6);
say('p3', 'good evening', 6 * 24 + 20, 1);

await tested('insights', engine, screenshot, async (page) => {
  const seen = watch(page, engine.url);
  await page.goto(engine.url, { waitUntil: 'domcontentloaded' });
  await settled(page, 30_000);
  await timesFollow(page);
  await eventsFollow(page);
  await feedFollows(page);
  nothingHappened(seen);
  return 'the week moves with likes, events come, are suppressed and go, likes move a feed';
});

/** Five likes a post on Monday at nine; then Sunday evening is best. */
async function timesFollow(page) {
  await page.getByRole('link', { name: 'Times' }).click();
  await page.getByLabel('By').selectOption('likes_per_post');
  await cell(page, 'mon', 9, '5');
  await cell(page, 'sun', 20, '1');
  await until(page, 'the best hour is nine', () => document.querySelector('[data-fact="hours"] dd').textContent.startsWith('09:00, 20:00'));
  say('p3', 'good evening', 6 * 24 + 20, 50);
  await cell(page, 'sun', 20, '50');
  await until(page, 'the best hour is eight', () => document.querySelector('[data-fact="hours"] dd').textContent.startsWith('20:00, 09:00'));
  const serious = await violations(page, 'times');
  if (serious.length > 0) throw new Error(serious.join('; '));
  if (screenshot) await page.screenshot({ path: screenshot.replace('.png', '-times.png') });
}

/** What an exclusion suppresses is there for whoever asks, and a deleted post takes its events along. */
async function eventsFollow(page) {
  await page.getByRole('link', { name: 'Events', exact: true }).click();
  await shown(page, ['token launch']);
  await page.getByLabel('suppressed and repeated too').check();
  await shown(page, ['TGE', 'token launch']);
  await page.locator('li[data-suppressed="rumor"]').waitFor();
  const serious = await violations(page, 'events');
  if (serious.length > 0) throw new Error(serious.join('; '));
  if (screenshot) await page.screenshot({ path: screenshot.replace('.png', '-events.png') });
  await page.getByLabel('Company').fill('nobody');
  await page.getByLabel('Company').press('Enter');
  await page.getByText('No keyword was found').waitFor();
  await page.getByLabel('Company').fill('acme');
  await page.getByLabel('Company').press('Enter');
  engine.write('posts.jsonl', `${JSON.stringify({ id: 'p2', deleted: true })}\n`, 'a');
  await shown(page, ['token launch']);
}

/** By engagement: the post that somebody likes is first, until the like is taken back. */
async function feedFollows(page) {
  await page.getByRole('link', { name: 'Ranked' }).click();
  await page.getByLabel('Order').selectOption('engagement');
  await ranked(page, 'p3');
  like('p1', false);
  await ranked(page, 'p1');
  await page.getByText('1 like, 0 comments, 0 reposts').waitFor();
  const serious = await violations(page, 'ranked');
  if (serious.length > 0) throw new Error(serious.join('; '));
  if (screenshot) await page.screenshot({ path: screenshot.replace('.png', '-ranked.png') });
  like('p1', true);
  await ranked(page, 'p3');
}

async function ranked(page, first) {
  await until(page, `${first} is first in the feed`, (first) => document.querySelector('li[data-ranked]')?.dataset.ranked === first, first);
}

function like(post, deleted) {
  engine.write('ties.jsonl', `${JSON.stringify({ user: 'bob', post, kind: 'like', at: Date.now(), deleted })}\n`, 'a');
}

async function shown(page, expected) {
  await until(page, `the keywords are ${expected.join(', ')}`, (expected) => JSON.stringify([...document.querySelectorAll('ul.events mark')].map((m) => m.textContent).sort()) === JSON.stringify(expected), expected);
}

async function cell(page, day, hour, value) {
  await until(page, `${day} ${hour}:00 has ${value}`, ([day, hour, value]) => document.querySelectorAll(`tr[data-day="${day}"] td`)[hour]?.dataset.value === value, [day, hour, value]);
}

function say(id, text, hour, likes) {
  engine.write('posts.jsonl', `${JSON.stringify({ id, source: 'test', thread: 't', author: `author of ${id}`, text, score: 1, created_at: MONDAY + hour * HOUR, likes })}\n`, 'a');
}
