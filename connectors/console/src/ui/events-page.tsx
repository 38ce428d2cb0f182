import { useState } from 'preact/hooks';
import { readEvents, type KeywordEvent } from '../model/events';
import { clock, epoch, plural } from '../model/format';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { PageHead } from './page-head';
import { useReading } from './use-reading';

/** Events on the page. */
const SHOWN = 100;

/** Keywords that were found: in what, about whom, how sure, and what spoke against them. */
export function EventsPage({ s }: { session: Session; s: Snapshot }) {
  const [company, setCompany] = useState('');
  const [least, setLeast] = useState('0');
  const [all, setAll] = useState(false);
  const query = new URLSearchParams({ limit: String(SHOWN), confidence_min: least });
  if (company.trim() !== '') query.set('company', company.trim());
  if (all) {
    query.set('suppressed', 'true');
    query.set('duplicates', 'true');
  }
  const reading = useReading(`api/v1/tge-events?${query}`);
  const events = readEvents(reading?.body);
  return (
    <>
      <PageHead title="Events">
        <div class="toolbar filters" role="group" aria-label="Which events">
          <label>
            <span>Company</span>
            <input type="search" placeholder="name or id" value={company} onChange={(e) => setCompany(e.currentTarget.value)} />
          </label>
          <label>
            <span>Confidence</span>
            <select value={least} onChange={(e) => setLeast(e.currentTarget.value)}>
              {['0', '0.85', '0.9', '0.95'].map((c) => (
                <option key={c} value={c}>
                  {c === '0' ? 'any' : `${c} or more`}
                </option>
              ))}
            </select>
          </label>
          <label>
            <input type="checkbox" checked={all} onChange={(e) => setAll(e.currentTarget.checked)} /> <span>suppressed and repeated too</span>
          </label>
        </div>
      </PageHead>
      <section class="panel" aria-labelledby="events-title">
        <div class="panel-head">
          <h2 id="events-title">Keywords in posts</h2>
          <p class="hint">{reading && !reading.missing ? plural(events.length, 'event') : ''}</p>
        </div>
        {reading?.problem && !reading.missing && <p class="problem">{reading.problem}</p>}
        {events.length === 0 ? (
          <p class="empty">{reading === null ? 'Loading…' : reading.missing ? 'This pipeline does not serve keyword events: serve.routes.events.' : 'No keyword was found in what is kept.'}</p>
        ) : (
          <ul class="events">
            {events.map((e) => (
              <Event key={e.id} e={e} now={s.now} />
            ))}
          </ul>
        )}
      </section>
    </>
  );
}

function Event({ e, now }: { e: KeywordEvent; now: number }) {
  return (
    <li data-event={e.id} data-suppressed={e.suppressedBy ?? undefined}>
      <p class="head">
        <b>{e.company ?? 'nobody in particular'}</b>
        <span class="pill-state calm">{e.keyword}</span>
        <span class="n" title="Confidence">
          {e.confidence.toFixed(2)}
        </span>
        {e.suppressedBy !== null && <span class="pill-state bad">suppressed by “{e.suppressedBy}”</span>}
        {e.duplicateOf !== null && <span class="pill-state calm">told before</span>}
        <time dateTime={e.at}>{clock(epoch(e.at), { today: now })}</time>
      </p>
      <p class="context">
        {e.before}
        <mark>{e.matched}</mark>
        {e.after}
      </p>
      <p class="foot">
        {e.url === null ? (
          e.source
        ) : (
          <a href={e.url} rel="noopener noreferrer" target="_blank">
            {e.source}
          </a>
        )}
      </p>
    </li>
  );
}
