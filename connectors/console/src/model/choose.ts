import type { ViewInfo } from './types';

/** Kind of window: `tumble`, `hop`, `sliding`, … or `none`. */
export function windowKind(view: ViewInfo): string {
  return view.window?.kind ?? 'none';
}

/** Whether the page can draw this view. */
export function drawable(view: ViewInfo): boolean {
  return view.measures.includes('sentiment') && view.group_by.length > 0;
}

/** The view to open with: grouped by `entity` in tumbling windows if there is one, else the first that can be drawn. */
export function chooseView(views: readonly ViewInfo[], wanted: string | null): ViewInfo | null {
  const usable = views.filter(drawable);
  const best = usable.find((v) => v.group_by.includes('entity') && windowKind(v) === 'tumble');
  return usable.find((v) => v.name === wanted) ?? best ?? usable.find((v) => v.group_by.includes('entity')) ?? usable[0] ?? null;
}

/**
 * The lines to draw when nobody has chosen: the busiest `max`, but a line once shown gives way only to one with half as
 * many posts again, so that the picture does not flicker between near equals.
 */
export function autoPick(shown: readonly string[], ranked: readonly { name: string; posts: number }[], max: number): string[] {
  const posts = new Map(ranked.map((r) => [r.name, r.posts]));
  const picked = shown.filter((name) => posts.has(name)).slice(0, max);
  for (const { name, posts: n } of ranked) {
    if (picked.includes(name)) continue;
    if (picked.length < max) {
      picked.push(name);
      continue;
    }
    const weakest = picked.reduce((a, b) => ((posts.get(b) ?? 0) < (posts.get(a) ?? 0) ? b : a));
    if (n > 1.5 * (posts.get(weakest) ?? 0)) picked[picked.indexOf(weakest)] = name;
  }
  return picked;
}
