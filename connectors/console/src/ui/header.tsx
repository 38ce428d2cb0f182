import { useEffect, useState } from 'preact/hooks';
import { clock, duration, utc } from '../model/format';
import { PAGES, hrefOf, type PageId } from '../model/route';
import type { Snapshot } from '../state/snapshot';
import { viewsOfTimes } from './times-page';
import { onTheme, theme, toggleTheme } from './theme';

/** Whether this pipeline has anything for a page. */
function isThere(page: PageId, s: Snapshot): boolean {
  if (page === 'times') return viewsOfTimes(s.views).length > 0;
  if (page === 'ranked') return s.serves.includes('feeds');
  if (page === 'events') return s.serves.includes('events');
  return true;
}

/** Name, pages, connection, tick, theme. */
export function Header({ s, firing, signOut }: { s: Snapshot; firing: number; signOut: () => void }) {
  const open = s.locked === null;
  return (
    <header class="top">
      <a class="brand" href={hrefOf('overview')} aria-label="Groundswell, overview">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path d="M3 20c4.3 0 4.3-8 8.7-8s4.3 8 8.6 8 4.4-8 8.7-8" fill="none" stroke="currentColor" stroke-width="3.4" stroke-linecap="round" />
        </svg>
        <span>Groundswell</span>
      </a>
      {open && (
        <nav aria-label="Pages">
          {PAGES.filter((p) => isThere(p.id, s)).map((p) => (
            <a key={p.id} href={hrefOf(p.id)} aria-current={s.route.page === p.id ? 'page' : undefined}>
              {p.label}
              {p.id === 'alerts' && firing > 0 && (
                <span class="badge">
                  {firing}
                  <span class="sr-only"> firing</span>
                </span>
              )}
            </a>
          ))}
        </nav>
      )}
      {open && (
        <p class="tick" title={`Last complete tick: ${utc(s.tick)}`}>
          <span class="sr-only">Last complete tick </span>
          {clock(s.tick, { seconds: true, today: s.now })}
        </p>
      )}
      {open && <Connection s={s} />}
      {s.signedIn && open && (
        <button type="button" class="small sign-out" onClick={signOut}>
          Sign out
        </button>
      )}
      <ThemeButton />
    </header>
  );
}

/** The connection, in a word and a shape. Only changes of state are announced, not the countdown. */
function Connection({ s }: { s: Snapshot }) {
  const { link } = s;
  const words = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting', offline: 'Offline' }[link.state];
  const left = 'until' in link && link.until !== null ? link.until - s.now : null;
  const quiet = link.state === 'live' && s.quietMs > 10_000;
  return (
    <p class={`connection ${quiet ? 'quiet' : link.state}`} data-state={link.state}>
      <span class="dot" aria-hidden="true" />
      <span role="status">{words}</span>
      {left !== null && <span>{left > 0 ? `in ${duration(left)}` : 'now'}</span>}
      {quiet && <span>quiet for {duration(s.quietMs)}</span>}
      {link.state === 'connecting' && <span aria-hidden="true">…</span>}
    </p>
  );
}

function ThemeButton() {
  const [now, setNow] = useState(theme());
  useEffect(() => onTheme(() => setNow(theme())), []);
  const next = now === 'dark' ? 'light' : 'dark';
  return (
    <button type="button" class="icon" onClick={toggleTheme} aria-label={`Switch to ${next} theme`} title={`Switch to ${next} theme`}>
      <svg viewBox="0 0 20 20" aria-hidden="true">
        {now === 'dark' ? (
          <path d="M10 6a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM10 1v2.5M10 16.5V19M1 10h2.5M16.5 10H19M3.6 3.6l1.8 1.8M14.6 14.6l1.8 1.8M3.6 16.4l1.8-1.8M14.6 5.4l1.8-1.8" />
        ) : (
          <path d="M16.8 12.2A7.3 7.3 0 0 1 7.8 3.2a7.3 7.3 0 1 0 9 9Z" />
        )}
      </svg>
    </button>
  );
}
