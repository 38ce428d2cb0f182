import { useState } from 'preact/hooks';
import { windowKind } from '../model/choose';
import { combine } from '../model/combine';
import { clock, count, duration, plusMinus, signed } from '../model/format';
import { hrefOf } from '../model/route';
import type { Row } from '../model/table';
import type { Board } from '../state/boards';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { AlertsPanel } from './alerts';
import { ChartPanel } from './chart-panel';
import { Facts } from './facts';
import { FeedPanel } from './feed';
import { share } from './overview';
import { PageHead } from './page-head';
import { DistributionBar, SeriesPanel, tone } from './series';
import { Toolbar } from './toolbar';

/** Threads listed at most beside an entity. */
const MOST_THREADS = 40;

/** All entities, or the one that is open. */
export function EntitiesPage({ session, s }: { session: Session; s: Snapshot }) {
  if (s.views && s.choices.length === 0) {
    return (
      <>
        <PageHead title="Entities" />
        <div class="panel">
          <p class="empty">No view of this pipeline groups by entity. Add “entity” to the group_by of a view that measures sentiment.</p>
        </div>
      </>
    );
  }
  return s.route.item === null ? <EntityList session={session} s={s} /> : <Entity session={session} s={s} entity={s.route.item} />;
}

function EntityList({ session, s }: { session: Session; s: Snapshot }) {
  const [focus, setFocus] = useState<string | null>(null);
  return (
    <>
      <PageHead title="Entities">
        <Toolbar session={session} s={s} />
      </PageHead>
      <div class="stack">
        <ChartPanel session={session} s={s} focus={focus} title="Sentiment of the busiest entities" />
        <SeriesPanel session={session} s={s} setFocus={setFocus} title="Entities" />
      </div>
    </>
  );
}

function Entity({ session, s, entity }: { session: Session; s: Snapshot; entity: string }) {
  const [focus, setFocus] = useState<string | null>(null);
  const alerts = s.alerts.filter((a) => a.key.entity === entity);
  const firing = alerts.filter((a) => a.state === 'firing').length;
  const all = combine(newestOnly(s.main));
  const byThread = s.boards.find((b) => b.view.group_by.includes('thread'));
  const threads = new Set([...(byThread?.table.rows.values() ?? [])].map((r) => r.group.thread ?? '')).size;
  const threadsDrawn = s.screen?.column === 'thread';
  return (
    <>
      <PageHead title={entity} back={{ page: 'entities', label: 'Entities' }}>
        <Toolbar session={session} s={s} />
      </PageHead>
      <Facts
        label="The entity in numbers"
        facts={[
          { id: 'sentiment', name: 'Sentiment', value: signed(all.sentiment), more: plusMinus(all.ci), tone: tone(all.sentiment), title: 'Vote-weighted mean over everything the chosen view holds' },
          { id: 'posts', name: 'Posts', value: count(all.posts), title: 'In everything the chosen view holds' },
          { id: 'scored', name: 'Scored', value: share(all.scored, all.posts) },
          { id: 'threads', name: 'Threads', value: byThread ? count(threads) : '–' },
          { id: 'firing', name: 'Alerts firing', value: count(firing), more: `of ${count(alerts.length)}`, tone: firing > 0 ? 'bad' : '' },
        ]}
      />
      <div class="grid">
        <div class="column">
          <ChartPanel session={session} s={s} focus={focus} nothing={`“${entity}” is not mentioned in anything this view holds.`} title={threadsDrawn ? 'Sentiment over time, by thread' : undefined} />
          <div class="pair">
            <ViewsPanel s={s} entity={entity} />
            {threadsDrawn ? <SeriesPanel session={session} s={s} setFocus={setFocus} title="By thread" /> : byThread && <ThreadsPanel board={byThread} />}
          </div>
        </div>
        <div class="column side">
          {alerts.length > 0 && <AlertsPanel session={session} s={s} alerts={alerts} />}
          <FeedPanel session={session} s={s} ofItem title="Newest posts that mention it" />
        </div>
      </div>
    </>
  );
}

/** What each view says of the entity: its newest window, and all it holds. */
function ViewsPanel({ s, entity }: { s: Snapshot; entity: string }) {
  return (
    <section class="panel views-panel" aria-labelledby="views-title">
      <div class="panel-head">
        <h2 id="views-title">Across views</h2>
        <p class="hint">newest window of each</p>
      </div>
      <div class="table-scroll" tabIndex={0} role="region" aria-label={`What each view says of ${entity}`}>
        <table class="list">
          <thead>
            <tr>
              <th scope="col">View</th>
              <th scope="col">Window</th>
              <th scope="col" class="n">
                Sentiment
              </th>
              <th scope="col" class="n">
                Posts
              </th>
            </tr>
          </thead>
          <tbody>
            {s.boards.map((b) => {
              const rows = newestWindow(b, s.tick);
              const newest = combine(rows);
              const size = b.view.window?.size ?? 0;
              return (
                <tr key={b.view.name} data-view={b.view.name}>
                  <th scope="row">{b.view.name}</th>
                  <td>
                    {rows[0] ? clock(rows[0].start, { today: s.now, seconds: size < 60_000 }) : '–'} <small class="wide-only">{`${windowKind(b.view)} ${duration(size)}`}</small>
                  </td>
                  <td class="n">
                    <b class={tone(newest.sentiment)}>{b.loaded ? signed(newest.sentiment) : '…'}</b> <small>{plusMinus(newest.ci)}</small>
                  </td>
                  <td class="n">{b.loaded ? count(newest.posts) : '…'}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** Where the entity is talked about. */
function ThreadsPanel({ board }: { board: Board }) {
  const threads = new Map<string, Row[]>();
  for (const row of board.table.rows.values()) {
    const name = row.group.thread ?? '';
    threads.set(name, [...(threads.get(name) ?? []), row]);
  }
  const list = [...threads].map(([name, rows]) => ({ name, ...combine(rows) })).sort((a, b) => b.posts - a.posts || (a.name < b.name ? -1 : 1));
  return (
    <section class="panel by-thread" aria-labelledby="by-thread-title">
      <div class="panel-head">
        <h2 id="by-thread-title">By thread</h2>
        <p class="hint">
          {board.view.name}, {list.length > MOST_THREADS ? `busiest ${MOST_THREADS} of ${count(list.length)}` : count(list.length)}
        </p>
      </div>
      {list.length === 0 ? (
        <p class="empty">{board.loaded ? 'No thread mentions it.' : 'Loading…'}</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="By thread">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Thread</th>
                <th scope="col" class="n">
                  Sentiment
                </th>
                <th scope="col" class="wide">
                  Distribution
                </th>
                <th scope="col" class="n">
                  Posts
                </th>
              </tr>
            </thead>
            <tbody>
              {list.slice(0, MOST_THREADS).map((t) => (
                <tr key={t.name}>
                  <th scope="row">
                    <a class="name" href={hrefOf('threads', t.name)} title={t.name}>
                      {t.name}
                    </a>
                  </th>
                  <td class="n">
                    <b class={tone(t.sentiment)}>{signed(t.sentiment)}</b>
                  </td>
                  <td class="wide">
                    <DistributionBar of={t} />
                  </td>
                  <td class="n">{count(t.posts)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** Rows of disjoint posts: all where windows stand side by side, the newest where they overlap. */
function newestOnly(board: Board | null): Row[] {
  if (!board) return [];
  const kind = windowKind(board.view);
  return kind === 'hop' || kind === 'sliding' ? newestWindow(board, null) : [...board.table.rows.values()];
}

/** Rows of the newest window that does not begin after the tick. */
function newestWindow(board: Board, tick: number | null): Row[] {
  const rows = [...board.table.rows.values()].filter((r) => tick === null || r.start <= tick);
  const start = rows.reduce((most, r) => Math.max(most, r.start), -Infinity);
  return rows.filter((r) => r.start === start);
}
