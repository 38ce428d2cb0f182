import { useState } from 'preact/hooks';
import { count, duration, rate } from '../model/format';
import { most, sum } from '../model/prom';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { AlertsPanel } from './alerts';
import { ChartPanel } from './chart-panel';
import { Facts, type Fact } from './facts';
import { FeedPanel } from './feed';
import { PageHead } from './page-head';
import { SeriesPanel } from './series';
import { Toolbar } from './toolbar';

/** How things stand: numbers, lines, their distribution, alerts and the newest posts. */
export function Overview({ session, s }: { session: Session; s: Snapshot }) {
  const [focus, setFocus] = useState<string | null>(null);
  return (
    <>
      <PageHead title="Overview">
        <Toolbar session={session} s={s} />
      </PageHead>
      <Facts label="How things stand" facts={overviewFacts(s)} />
      <div class="grid">
        <div class="column">
          <ChartPanel session={session} s={s} focus={focus} />
          <SeriesPanel session={session} s={s} setFocus={setFocus} title="Distribution now" />
        </div>
        <div class="column side">
          <AlertsPanel session={session} s={s} alerts={s.alerts} />
          <FeedPanel session={session} s={s} />
        </div>
      </div>
    </>
  );
}

/** The numbers above everything. */
function overviewFacts(s: Snapshot): Fact[] {
  const m = s.ops.metrics;
  const nothing = s.ops.forbidden ? 'not for this key' : undefined;
  const screen = s.screen && s.screen.posts > 0 ? s.screen : null;
  const lag = m && most(m, 'groundswell_source_lag_seconds');
  const unread = m && sum(m, 'groundswell_source_lag_records');
  const frontier = m && sum(m, 'groundswell_frontier_lag_seconds');
  const queue = m && sum(m, 'groundswell_scorer_queue_texts');
  const firing = s.alerts.filter((a) => a.state === 'firing').length;
  return [
    { id: 'rate', name: 'New posts', value: s.rate === null ? '–' : `${s.rateAtLeast ? '≥ ' : ''}${rate(s.rate)}`, more: 'a second', title: 'New posts per second over the last ten seconds' },
    {
      id: 'volume',
      name: 'Posts in range',
      value: screen ? count(screen.posts) : '–',
      title: 'Posts of the chosen range, counted once per entity they mention',
    },
    {
      id: 'scored',
      name: 'Scored',
      value: screen ? share(screen.scored, screen.posts) : '–',
      more: screen && screen.posts > screen.scored ? `${count(screen.posts - screen.scored)} waiting` : screen ? 'all' : undefined,
      title: 'Share of the posts in range that the model has scored',
    },
    { id: 'votes', name: 'Revised by votes', value: count(s.votesPerMinute), more: 'rows a minute', title: 'Rows that moved in the last minute because votes changed' },
    { id: 'lag', name: 'Source lag', value: seconds(lag), more: nothing ?? (unread ? `${count(unread)} unread` : unread === null ? undefined : 'nothing unread'), title: 'Age of the newest record read, of the slowest source', tone: (lag ?? 0) > 60 ? 'warn' : '' },
    { id: 'frontier', name: 'Frontier lag', value: seconds(frontier), title: 'Age of the last complete tick', tone: (frontier ?? 0) > 10 ? 'bad' : '' },
    { id: 'queue', name: 'Model queue', value: queue === null ? '–' : count(queue), more: queue === null ? nothing : 'texts', title: 'Texts waiting for the model' },
    { id: 'firing', name: 'Alerts firing', value: s.alertsLoaded ? count(firing) : '–', more: s.alertsLoaded ? `of ${count(s.alerts.length)}` : undefined, tone: firing > 0 ? 'bad' : '' },
  ];
}

/** A share in percent that says 100 % only when it is. */
export function share(part: number, whole: number): string {
  if (whole <= 0) return '–';
  const percent = (100 * part) / whole;
  if (part >= whole) return '100 %';
  return `${percent > 99 ? Math.floor(percent * 10) / 10 : Math.floor(percent)} %`;
}

/** Seconds as a reader wants them: tenths below ten, then as words. */
export function seconds(v: number | null): string {
  if (v === null) return '–';
  return v < 10 ? `${v.toFixed(1)} s` : duration(v * 1000);
}
