import { useState } from 'preact/hooks';
import type { Session, Snapshot } from '../state/session';
import { AlertsPanel } from './alerts';
import { Banner } from './banner';
import { ChartPanel } from './chart-panel';
import { EntitiesPanel } from './entities';
import { FeedPanel } from './feed';
import { Header } from './header';
import { SignIn } from './sign-in';
import { Toolbar } from './toolbar';

/** The page. */
export function App({ session, s }: { session: Session; s: Snapshot }) {
  const [focus, setFocus] = useState<string | null>(null);
  const firing = s.alerts.filter((a) => a.state === 'firing').length;
  document.title = `${firing > 0 ? `(${firing}) ` : ''}Groundswell console`;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the chart
      </a>
      <Header s={s} signOut={() => session.signIn(null)} />
      <Banner problem={s.problem} retry={() => session.retry()} />
      {s.locked !== null && (
        <main id="main" tabIndex={-1}>
          <SignIn why={s.locked} signIn={(key) => session.signIn(key)} />
        </main>
      )}
      {s.locked === null && (
        <main id="main" tabIndex={-1}>
          <Toolbar session={session} s={s} />
          <div class="grid">
            <div class="column">
              <ChartPanel session={session} s={s} focus={focus} />
              <EntitiesPanel session={session} s={s} setFocus={setFocus} />
            </div>
            <div class="column side">
              <AlertsPanel session={session} s={s} />
              <FeedPanel session={session} s={s} />
            </div>
          </div>
        </main>
      )}
      <p class="sr-only" role="status" aria-live="polite" id="alert-announcer">
        {s.announcement}
      </p>
    </>
  );
}
