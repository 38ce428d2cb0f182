import { useState } from 'preact/hooks';
import { clock, count, duration, plural, signed } from '../model/format';
import type { Phase } from '../model/phases';
import { rangeOf } from '../model/range';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { ChartTable } from './chart-table';
import { ChartView } from './chart-view';
import { VolumeView } from './volume-view';

interface Props {
  session: Session;
  s: Snapshot;
  focus: string | null;
  title?: string | undefined;
  phases?: readonly Phase[];
  /** What to say when the view is there and holds nothing. */
  nothing?: string;
}

/** Sentiment over time and the volume below it: as a chart, or as the table that holds the same numbers. */
export function ChartPanel({ session, s, focus, title = 'Sentiment over time', phases = [], nothing }: Props) {
  const [asTable, setAsTable] = useState(false);
  const screen = s.screen;
  const empty = !screen || screen.chart.x.length === 0;
  return (
    <section class="panel chart-panel" aria-labelledby="chart-title">
      <div class="panel-head">
        <h2 id="chart-title">{title}</h2>
        <p class="hint">vote-weighted mean per {screen?.step ? duration(screen.step) : 'window'}, 95 % interval · {rangeOf(s.range).words}</p>
        <button type="button" class="small" aria-pressed={asTable} disabled={empty} onClick={() => setAsTable(!asTable)}>
          Data table
        </button>
      </div>
      <div class="chart-body">
        {empty ? (
          <Empty s={s} nothing={nothing} />
        ) : asTable ? (
          <ChartTable session={session} data={screen.chart} volume={screen.volume} />
        ) : screen.picked.length === 0 ? (
          <p class="empty">No line is chosen. Tick some in the list.</p>
        ) : (
          <>
            <ChartView session={session} s={s} screen={screen} focus={focus} phases={phases} />
            <VolumeView screen={screen} />
          </>
        )}
      </div>
      <RevisionLine s={s} />
    </section>
  );
}

function Empty({ s, nothing }: { s: Snapshot; nothing: string | undefined }) {
  const words = s.view && s.loaded ? (nothing ?? 'Waiting for the first posts…') : s.problem ? 'Nothing to show yet.' : 'Loading…';
  return (
    <div class="empty waiting">
      <svg viewBox="0 0 120 40" aria-hidden="true">
        <path d="M2 26c14 0 14-14 29-14s14 14 29 14 15-14 29-14 15 14 29 14" />
      </svg>
      <p>{words}</p>
    </div>
  );
}

/** The newest revision by votes, in words: what the marks on the chart mean. */
function RevisionLine({ s }: { s: Snapshot }) {
  const m = s.lastRevision;
  const skipped = s.screen?.span?.future ?? 0;
  return (
    <p class="revision" data-revisions={s.votesPerMinute}>
      <svg class="key" viewBox="0 0 12 22" aria-hidden="true">
        <circle cx="6" cy="4" r="2.6" />
        <path d="M6 7v6" stroke-dasharray="2 1.6" />
        <circle cx="6" cy="16" r="4.6" />
        <circle cx="6" cy="16" r="1.4" fill="currentColor" />
      </svg>
      {m ? (
        <span>
          Votes revised <b>{m.name}</b> at {clock(m.x * 1000, { today: s.now })}: {signed(m.from)} → <b>{signed(m.to)}</b>
        </span>
      ) : (
        <span>When votes are revised, the line moves and the old value stays marked for a moment.</span>
      )}
      {s.votesPerMinute > 0 && <span class="muted">{plural(s.votesPerMinute, 'row')} revised by votes in the last minute</span>}
      {s.history !== null && <span class="muted">the view is too large to send at once: only its newest {s.history} h are shown</span>}
      {s.screen && s.screen.early > 0 && <span class="muted">{plural(s.screen.early, 'post')} long before the others are counted and not drawn</span>}
      {skipped > 0 && <span class="muted">{count(skipped)} rows lie in the future (clock skew) and are not drawn</span>}
    </p>
  );
}
