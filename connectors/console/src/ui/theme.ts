import { recall, remember } from '../state/prefs';

/** Light or dark. */
export type Theme = 'light' | 'dark';

const system = window.matchMedia('(prefers-color-scheme: dark)');
const watchers = new Set<() => void>();

/** What is shown now: the reader's choice, else the system's. */
export function theme(): Theme {
  return recall<Theme>('theme') ?? systemTheme();
}

/** Switches to the other one. A choice that equals the system's is forgotten, so that the page follows the system again. */
export function toggleTheme(): void {
  const next: Theme = theme() === 'dark' ? 'light' : 'dark';
  remember('theme', next === systemTheme() ? null : next);
  applyTheme();
}

/** Puts the choice into the document and tells those who draw for themselves. */
export function applyTheme(): void {
  document.documentElement.dataset.theme = theme();
  for (const watcher of watchers) watcher();
}

/** Calls back when the theme changes; returns how to stop. */
export function onTheme(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

function systemTheme(): Theme {
  return system.matches ? 'dark' : 'light';
}

system.addEventListener('change', applyTheme);
