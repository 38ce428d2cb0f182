/** What browser tests know of the pages: where they are, and when they show something. */

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
  const [alert] = await get('api/v1/alerts?limit=1');
  return { thread: await top('thread'), entity: await top('entity'), alert: alert?.id ?? null };
}

/** Waits until the page says that it is connected and nothing on it says that it is loading. */
export async function settled(page, timeout) {
  await page.waitForFunction(
    () => document.querySelector('.connection')?.dataset.state === 'live' && ![...document.querySelectorAll('main .empty')].some((e) => e.textContent.includes('Loading')),
    undefined,
    { timeout, polling: 200 },
  );
}
