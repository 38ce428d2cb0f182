import { chooseView, drawable } from '../model/choose';
import type { Route } from '../model/route';
import { seriesColumn } from '../model/table';
import type { ViewInfo } from '../model/types';
import type { RowFilter } from '../net/socket';
import type { Wish } from './boards';

/** Views of an entity shown side by side at most. */
const MOST_VIEWS = 6;

/** What a page needs from the engine. */
export interface Needs {
  /** The view whose lines are drawn. */
  main: ViewInfo | null;
  /** The column whose values become lines. */
  column: string;
  /** Views the reader may choose for it. */
  choices: ViewInfo[];
  /** The main one first. */
  boards: Wish[];
  /** Which posts. */
  posts: RowFilter;
}

/** Says what a route needs; `wanted` is the view chosen for its page. */
export function needsOf(route: Route, views: readonly ViewInfo[], wanted: string | null): Needs {
  const usable = views.filter(drawable);
  if (route.page === 'threads') return threadNeeds(route.item, usable, wanted);
  if (route.page === 'entities') return entityNeeds(route.item, usable, wanted);
  const main = chooseView(views, wanted);
  const shown = route.page === 'overview' || route.page === 'feed';
  const boards = main && shown ? [{ view: main, filter: {} }] : [];
  return { main: shown ? main : null, column: main ? seriesColumn(main) : '', choices: usable, boards, posts: {} };
}

/** A value of a column as a filter: groups without a value are shown as "(none)". */
export function only(column: string, value: string): RowFilter {
  return { [column]: value === '(none)' ? null : value };
}

function threadNeeds(thread: string | null, usable: readonly ViewInfo[], wanted: string | null): Needs {
  const choices = usable.filter((v) => v.group_by.includes('thread') && regular(v));
  const phases = usable.find((v) => v.group_by.includes('thread') && anchored(v)) ?? null;
  const chosen = choices.find((v) => v.name === wanted);
  if (thread === null) {
    const plain = choices.find((v) => v.group_by.length === 1) ?? choices[0] ?? null;
    const main = chosen ?? plain ?? phases;
    return { main, column: 'thread', choices, boards: main ? [{ view: main, filter: {} }] : [], posts: {} };
  }
  const main = chosen ?? choices.find((v) => v.group_by.includes('entity')) ?? choices[0] ?? phases;
  const filter = only('thread', thread);
  const boards = [main, phases].filter((v, i, all): v is ViewInfo => v !== null && all.indexOf(v) === i).map((view) => ({ view, filter }));
  return { main, column: main ? seriesColumn(main) : '', choices, boards, posts: filter };
}

function entityNeeds(entity: string | null, usable: readonly ViewInfo[], wanted: string | null): Needs {
  const choices = usable.filter((v) => v.group_by.includes('entity') && regular(v));
  const main = chooseView(choices, wanted);
  if (entity === null) return { main, column: 'entity', choices, boards: main ? [{ view: main, filter: {} }] : [], posts: {} };
  const filter = only('entity', entity);
  const byThread = choices.find((v) => v.group_by.includes('thread')) ?? null;
  const others = [byThread, ...choices].filter((v): v is ViewInfo => v !== null && v !== main);
  const all = [...new Set(others)].slice(0, MOST_VIEWS - 1);
  const column = main?.group_by.includes('thread') ? 'thread' : 'entity';
  return { main, column, choices, boards: main ? [main, ...all].map((view) => ({ view, filter })) : [], posts: filter };
}

/** Whether windows lie side by side, so that their rows make a line. */
function regular(view: ViewInfo): boolean {
  return !anchored(view) && view.window?.kind !== 'session';
}

/** Whether the windows hang on the thread's air time, so that rows have a phase. */
export function anchored(view: ViewInfo): boolean {
  return view.window?.kind === 'anchored' || view.group_by.includes('phase') || view.key.includes('phase');
}
