import { useEffect, useRef } from 'preact/hooks';
import { PAGES } from '../model/route';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { AlertsPage } from './alerts-page';
import { Banner } from './banner';
import { EntitiesPage } from './entities-page';
import { EventsPage } from './events-page';
import { FeedPage } from './feed-page';
import { Header } from './header';
import { Overview } from './overview';
import { PipelinePage } from './pipeline-page';
import { RankedPage } from './ranked-page';
import { SignIn } from './sign-in';
import { ThreadsPage } from './threads-page';
import { TimesPage } from './times-page';

/** The whole: what stands on every page, and the page. */
export function App({ session, s }: { session: Session; s: Snapshot }) {
  const main = useRef<HTMLElement>(null);
  const { page, item } = s.route;
  const place = `${page}/${item ?? ''}`;
  const shown = useRef(place);
  const firing = s.alerts.filter((a) => a.state === 'firing').length;
  const label = PAGES.find((p) => p.id === page)?.label ?? '';
  // Threads and entities have names; alerts have ids.
  const name = page === 'threads' || page === 'entities' ? (item ?? label) : label;
  document.title = `${firing > 0 ? `(${firing}) ` : ''}${name} · Groundswell`;
  // Another page: reading begins at its top, also for those who listen.
  useEffect(() => {
    if (shown.current === place) return;
    shown.current = place;
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [place]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(e) => {
          e.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <Header s={s} firing={firing} signOut={() => session.signIn(null)} />
      <Banner problem={s.problem} retry={() => session.retry()} />
      <main id="main" ref={main} tabIndex={-1} class={`page page-${page}`} aria-label={name}>
        {s.locked !== null ? <SignIn why={s.locked} signIn={(key) => session.signIn(key)} /> : <Page key={place} session={session} s={s} />}
      </main>
      <p class="sr-only" role="status" aria-live="polite" id="alert-announcer">
        {s.announcement}
      </p>
    </>
  );
}

function Page({ session, s }: { session: Session; s: Snapshot }) {
  switch (s.route.page) {
    case 'overview':
      return <Overview session={session} s={s} />;
    case 'threads':
      return <ThreadsPage session={session} s={s} />;
    case 'entities':
      return <EntitiesPage session={session} s={s} />;
    case 'feed':
      return <FeedPage session={session} s={s} />;
    case 'alerts':
      return <AlertsPage session={session} s={s} />;
    case 'times':
      return <TimesPage session={session} s={s} />;
    case 'ranked':
      return <RankedPage session={session} s={s} />;
    case 'events':
      return <EventsPage session={session} s={s} />;
    case 'pipeline':
      return <PipelinePage session={session} s={s} />;
  }
}
