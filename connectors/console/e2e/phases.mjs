/**
 * A thread's phases, a promoted model and withheld posts in a real browser: `node e2e/phases.mjs PROGRAM [SCREENSHOT.png]`.
 *
 * An engine follows files that this test appends to. The page of a thread shows how many posts each phase has, and moves them
 * when the thread's record says that it is on air at another time; a shadow model is promoted and rolled back with the buttons
 * of the pipeline's page, and the engine says the same; started again with `k_anonymity`, the page says that posts are withheld.
 */
import { Engine, tested } from './engine.mjs';
import { nothingHappened, settled, until, violations, watch } from './pages.mjs';

const [program, screenshot] = process.argv.slice(2);
const MINUTE = 60_000;
/** On air an hour ago, for half an hour. */
const AIR = Math.floor(Date.now() / MINUTE) * MINUTE - 60 * MINUTE;
let anonymity = '';
const engine = new Engine(
  program,
  'phases',
  (port) => `name: phases
state: {url: "file:./state"}
time: {clock: wall, tick: 100ms}
sources:
  posts: {type: file, path: posts.jsonl, into: posts, pace: follow}
  threads: {type: file, path: threads.jsonl, into: threads, pace: follow}
  cast: {type: file, path: cast.json, into: entities, format: json}
models: {live: fixture, shadow: [{name: next, fixture: b}]}
views:
  by_minute: {group_by: [thread, entity], window: {tumble: 1m}}
  by_phase:
    group_by: [thread, entity]
    window: {anchored: {phases: {pre: {from: air_time - 24h, to: air_time}, live: {from: air_time, to: ends_at}, post: {from: ends_at, to: ends_at + 24h}}, lasts: 3h}}
serve: {http: "127.0.0.1:${port}"${anonymity}}
`,
);
engine.write('cast.json', JSON.stringify([{ id: 'ann', name: 'ann', aliases: [] }]));
engine.write('threads.jsonl', '');
engine.write('posts.jsonl', '');
onAir(0);
[-20, -10, 5, 40, 45, 50].forEach((minutes, i) => append('posts', { id: `p${i}`, source: 'test', thread: 'finale', author: `author ${i}`, text: `ann was great (${i})`, score: 1, created_at: AIR + minutes * MINUTE }));

await tested('phases', engine, screenshot, async (page) => {
  const seen = watch(page, engine.url);
  await phasesFollow(page);
  await modelsAreSwitched(page);
  nothingHappened(seen);
  await postsAreWithheld(page);
  return 'posts change their phase, a model is promoted and rolled back, posts are withheld';
});

/** On air 25 minutes earlier, two of the posts before it were said while it was. */
async function phasesFollow(page) {
  await page.goto(new URL('#/threads/finale', engine.url).href, { waitUntil: 'domcontentloaded' });
  await settled(page, 30_000);
  await posts(page, { pre: 2, live: 1, post: 3 });
  const serious = await violations(page, 'phases');
  if (serious.length > 0) throw new Error(serious.join('; '));
  if (screenshot) await page.screenshot({ path: screenshot.replace('.png', '-thread.png') });
  onAir(-25);
  await posts(page, { live: 2, post: 4 });
  onAir(0);
  await posts(page, { pre: 2, live: 1, post: 3 });
}

/** The buttons, the page and the engine agree on which model is live. */
async function modelsAreSwitched(page) {
  await page.getByRole('link', { name: 'Pipeline' }).click();
  await settled(page, 30_000);
  await page.locator('tr[data-model="next"][data-role="shadow"]').waitFor();
  await until(page, 'the shadow has scored everything', () => /100/.test(document.querySelector('tr[data-model="next"] td.n').textContent));
  await page.getByRole('button', { name: 'Promote next' }).click();
  await page.getByRole('group', { name: 'Make next live?' }).getByRole('button', { name: 'Promote' }).click();
  await page.getByText('Promoted: next is live').waitFor();
  await page.locator('tr[data-model="next"][data-role="live"]').waitFor();
  if ((await live()) !== 'next') throw new Error(`the engine's live model is ${await live()}, not next`);
  await page.getByRole('button', { name: /^Roll back/ }).click();
  await page.getByRole('group', { name: 'Go back to the model before?' }).getByRole('button', { name: 'Roll back' }).click();
  await page.locator('tr[data-model="next"]:not([data-role="live"])').waitFor();
  if ((await live()) === 'next') throw new Error('the engine did not go back');
}

/** Rows about few are not shown, and single posts neither; the page says why the list is empty. */
async function postsAreWithheld(page) {
  await engine.stop();
  anonymity = ', k_anonymity: 2';
  await engine.start();
  await page.goto(new URL('#/feed', engine.url).href, { waitUntil: 'domcontentloaded' });
  await page.reload();
  await page.getByText('Single posts are withheld here.').first().waitFor();
  await page.goto(new URL('#/threads/finale', engine.url).href);
  await posts(page, { pre: 2, post: 3 });
}

/** The phases that are shown, each with so many posts, and no others. */
async function posts(page, expected) {
  await until(
    page,
    `the phases have ${JSON.stringify(expected)}`,
    (expected) => {
      const rows = [...document.querySelectorAll('tr[data-phase]')].map((row) => [row.dataset.phase, Number(row.lastElementChild.textContent)]);
      return rows.length === Object.keys(expected).length && rows.every(([phase, count]) => expected[phase] === count);
    },
    expected,
  );
}

async function live() {
  const answer = await fetch(new URL('api/v1/models', engine.url));
  return (await answer.json()).data.find((m) => m.role === 'live').name;
}

function onAir(minutes) {
  const air = AIR + minutes * MINUTE;
  append('threads', { thread: 'finale', title: 'Finale', air_time: air, ends_at: air + 30 * MINUTE });
}

function append(file, ...records) {
  engine.write(`${file}.jsonl`, records.map((r) => `${JSON.stringify(r)}\n`).join(''), 'a');
}
