import { useState } from 'preact/hooks';
import { count, plusMinus, signed } from '../model/format';
import { phasesOf } from '../model/phases';
import { combine } from '../model/combine';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { AlertsPanel } from './alerts';
import { ChartPanel } from './chart-panel';
import { Facts } from './facts';
import { FeedPanel } from './feed';
import { share } from './overview';
import { PageHead } from './page-head';
import { PhasesPanel } from './phases';
import { SeriesPanel, tone } from './series';
import { Toolbar } from './toolbar';

/** All threads, or the one that is open. */
export function ThreadsPage({ session, s }: { session: Session; s: Snapshot }) {
  if (s.views && s.choices.length === 0) return <NoThreads />;
  return s.route.item === null ? <ThreadList session={session} s={s} /> : <Thread session={session} s={s} thread={s.route.item} />;
}

function NoThreads() {
  return (
    <>
      <PageHead title="Threads" />
      <div class="panel">
        <p class="empty">No view of this pipeline groups by thread. Add “thread” to the group_by of a view that measures sentiment.</p>
      </div>
    </>
  );
}

function ThreadList({ session, s }: { session: Session; s: Snapshot }) {
  const [focus, setFocus] = useState<string | null>(null);
  return (
    <>
      <PageHead title="Threads">
        <Toolbar session={session} s={s} />
      </PageHead>
      <div class="stack">
        <ChartPanel session={session} s={s} focus={focus} title="Sentiment of the busiest threads" />
        <SeriesPanel session={session} s={s} setFocus={setFocus} title="Threads" />
      </div>
    </>
  );
}

function Thread({ session, s, thread }: { session: Session; s: Snapshot; thread: string }) {
  const [focus, setFocus] = useState<string | null>(null);
  const anchored = s.boards.find((b) => [...b.table.rows.values()].some((r) => r.phase !== null));
  const phases = anchored ? phasesOf(anchored.table.rows.values()) : [];
  const all = combine(s.main?.table.rows.values() ?? []);
  const alerts = s.alerts.filter((a) => a.key.thread === thread);
  const firing = alerts.filter((a) => a.state === 'firing').length;
  return (
    <>
      <PageHead title={thread} back={{ page: 'threads', label: 'Threads' }}>
        <Toolbar session={session} s={s} />
      </PageHead>
      <Facts
        label="The thread in numbers"
        facts={[
          { id: 'sentiment', name: 'Sentiment', value: signed(all.sentiment), more: plusMinus(all.ci), tone: tone(all.sentiment), title: 'Vote-weighted mean over everything the view holds of this thread' },
          { id: 'posts', name: 'Posts', value: count(all.posts), title: 'Counted once per entity they mention' },
          { id: 'scored', name: 'Scored', value: share(all.scored, all.posts) },
          { id: 'series', name: 'Entities in range', value: count(s.screen?.series.length ?? 0) },
          { id: 'firing', name: 'Alerts firing', value: count(firing), more: `of ${count(alerts.length)}`, tone: firing > 0 ? 'bad' : '' },
        ]}
      />
      <div class="grid">
        <div class="column">
          <ChartPanel session={session} s={s} focus={focus} phases={phases} nothing={`Nothing of the thread “${thread}” is in this view. It may be older than what the view keeps.`} />
          {phases.length > 0 && <PhasesPanel s={s} phases={phases} />}
          <SeriesPanel session={session} s={s} setFocus={setFocus} title="Entities in this thread" />
        </div>
        <div class="column side">
          {alerts.length > 0 && <AlertsPanel session={session} s={s} alerts={alerts} />}
          <FeedPanel session={session} s={s} ofItem title="Newest posts of the thread" />
        </div>
      </div>
    </>
  );
}
