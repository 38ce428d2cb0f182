import { bytes, clock, count, duration, plural } from '../model/format';
import { deadLettersOf, sourcesOf } from '../model/ops';
import { graphOf, graphWords, perSecond } from '../model/pipeline';
import { most, sum } from '../model/prom';
import { save } from '../net/api';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { Said, useAct } from './act';
import { Facts, type Fact } from './facts';
import { GraphView } from './graph-view';
import { ModelsPanel } from './models';
import { seconds } from './overview';
import { PageHead } from './page-head';
import { SinksPanel } from './sinks';
import { SourcesPanel } from './sources';
import { Spark } from './spark';

/** What a view can be had as. */
const FILES = ['csv', 'jsonl', 'parquet'];

/** How the engine runs: the graph with its numbers, and everything an operator may tell it. */
export function PipelinePage({ session, s }: { session: Session; s: Snapshot }) {
  const { ops } = s;
  const rate = (name: string) => session.ops.trend.rate(name);
  if (ops.forbidden) {
    return (
      <>
        <PageHead title="Pipeline" />
        <div class="panel">
          <p class="empty">This key sees one tenant’s data only; how the pipeline runs concerns all of them.</p>
        </div>
      </>
    );
  }
  const parts = ops.metrics && {
    metrics: ops.metrics,
    sources: sourcesOf(ops.metrics),
    sinks: ops.sinks ?? [],
    models: ops.models ?? [],
    views: ops.views ?? [],
    alerts: { firing: s.alerts.filter((a) => a.state === 'firing').length, all: s.alerts.length },
    rate,
  };
  return (
    <>
      <PageHead title="Pipeline">
        <p class="as-of" role="status">
          {ops.problem !== null && `Numbers are from ${clock(ops.at, { seconds: true, today: s.now })}: ${ops.problem}`}
        </p>
      </PageHead>
      <Facts label="The engine in numbers" facts={pipelineFacts(session, s)} />
      <section class="panel graph-panel" aria-labelledby="graph-title">
        <div class="panel-head">
          <h2 id="graph-title">From sources to sinks</h2>
          <p class="hint">moving lines carry something just now</p>
        </div>
        {parts ? <GraphView graph={graphOf(parts)} words={graphWords(parts)} /> : <p class="empty">Loading…</p>}
      </section>
      <div class="tables">
        <div class="column">
          <SinksPanel session={session} s={s} />
          <ModelsPanel session={session} s={s} />
          <PartsPanel s={s} />
        </div>
        <div class="column">
          <SourcesPanel s={s} rate={(name) => perSecond(rate(name))} />
          <DeadLettersPanel s={s} />
          <ViewsPanel s={s} />
        </div>
      </div>
    </>
  );
}

function pipelineFacts(session: Session, s: Snapshot): Fact[] {
  const { trend } = session.ops;
  const { metrics: m, health } = s.ops;
  const of = (name: string) => (m ? sum(m, `groundswell_${name}`) : null);
  const frontier = of('frontier_lag_seconds');
  const lag = m && most(m, 'groundswell_source_lag_seconds');
  const [ticks, spent] = [of('tick_duration_seconds_count'), of('tick_duration_seconds_sum')];
  const status = health ? (health.ready ? health.status : 'not ready') : '–';
  return [
    { id: 'health', name: 'Engine', value: status, more: health?.reasons.join('; ') || undefined, tone: health && (!health.ready || health.status !== 'healthy') ? 'bad' : '' },
    { id: 'read', name: 'Records read', value: perSecond(trend.rate('read')), more: <Spark values={trend.history('read')} />, title: 'Records read per second over the last ten seconds; the line shows the last three minutes' },
    { id: 'scored', name: 'Texts scored', value: perSecond(trend.rate('scored')), more: <Spark values={trend.history('scored')} /> },
    { id: 'frontier', name: 'Frontier lag', value: seconds(frontier), title: 'Age of the last complete tick', tone: (frontier ?? 0) > 10 ? 'bad' : '' },
    { id: 'lag', name: 'Source lag', value: seconds(lag), tone: (lag ?? 0) > 60 ? 'warn' : '' },
    { id: 'tick', name: 'Mean tick', value: ticks && spent !== null ? `${((1000 * spent) / ticks).toFixed(1)} ms` : '–', more: perSecond(trend.rate('ticks')), title: 'Mean time from minting a tick to its changes being handed over' },
    { id: 'store', name: 'Store', value: bytes(of('store_bytes') ?? 0) },
    { id: 'clients', name: 'Sockets', value: count(of('websocket_clients') ?? 0), more: `${perSecond(trend.rate('frames'))} frames` },
  ];
}

function DeadLettersPanel({ s }: { s: Snapshot }) {
  const letters = s.ops.metrics ? deadLettersOf(s.ops.metrics) : null;
  return (
    <section class="panel letters-panel" aria-labelledby="letters-title">
      <div class="panel-head">
        <h2 id="letters-title">Dead letters</h2>
        <p class="hint">since the engine started</p>
      </div>
      {!letters || letters.length === 0 ? (
        <p class="empty">{letters ? 'Every record was accepted.' : 'Loading…'}</p>
      ) : (
        <>
          <div class="table-scroll" tabIndex={0} role="region" aria-label="Dead letters">
            <table class="list">
              <thead>
                <tr>
                  <th scope="col">Code</th>
                  <th scope="col">Stage</th>
                  <th scope="col">Source</th>
                  <th scope="col" class="n">
                    Records
                  </th>
                </tr>
              </thead>
              <tbody>
                {letters.map((d) => (
                  <tr key={`${d.source} ${d.stage} ${d.code}`} data-letters={d.code}>
                    <th scope="row">
                      <code>{d.code}</code>
                    </th>
                    <td>{d.stage}</td>
                    <td>{d.source}</td>
                    <td class="n">{count(d.n)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <p class="foot">
            <code>groundswell dlq list PIPELINE.yaml</code> shows them, <code>dlq replay</code> reads them again.
          </p>
        </>
      )}
    </section>
  );
}

function fileOf(view: string, format: string): string {
  return `api/v1/views/${encodeURIComponent(view)}/export?format=${format}`;
}

function ViewsPanel({ s }: { s: Snapshot }) {
  const states = new Map((s.ops.views ?? []).map((v) => [v.name, v]));
  const { done, act } = useAct(() => undefined);
  /** A link brings no key: where one is needed, the page asks in its place. */
  const withKey = (e: Event, view: string, format: string) => {
    if (!s.signedIn) return;
    e.preventDefault();
    act(() => save(fileOf(view, format), `${view}.${format}`).then(() => `${view}.${format} is here.`));
  };
  return (
    <section class="panel" aria-labelledby="all-views-title">
      <div class="panel-head">
        <h2 id="all-views-title">Views</h2>
        <p class="hint">{s.views ? plural(s.views.length, 'view') : ''}</p>
      </div>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Views">
        <table class="list">
          <thead>
            <tr>
              <th scope="col">View</th>
              <th scope="col">By</th>
              <th scope="col" class="wide-only">
                Window
              </th>
              <th scope="col" class="n">
                Rows
              </th>
              <th scope="col" class="n wide-only">
                Changed
              </th>
              <th scope="col">As a file</th>
            </tr>
          </thead>
          <tbody>
            {(s.views ?? []).map((v) => {
              const state = states.get(v.name);
              return (
                <tr key={v.name}>
                  <th scope="row">{v.name}</th>
                  <td>{v.group_by.join(', ') || 'everything'}</td>
                  <td class="wide-only">{v.window ? `${v.window.kind} ${v.window.size > 0 ? duration(v.window.size) : ''}` : '–'}</td>
                  <td class="n">{state?.rows == null ? '–' : count(state.rows)}</td>
                  <td class="n wide-only">{state && state.version > 0 ? clock(state.version, { seconds: true, today: s.now }) : '–'}</td>
                  <td class="files">
                    {FILES.map((format) => (
                      <a key={format} href={`./${fileOf(v.name, format)}`} download onClick={(e) => withKey(e, v.name, format)}>
                        {format}
                        <span class="sr-only"> of {v.name}</span>
                      </a>
                    ))}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <Said done={done} />
    </section>
  );
}

/** The parts by the engine's own word. */
function PartsPanel({ s }: { s: Snapshot }) {
  const parts = s.ops.health?.services ?? [];
  return (
    <section class="panel" aria-labelledby="parts-title">
      <div class="panel-head">
        <h2 id="parts-title">Health</h2>
        <p class="hint">{parts.length > 0 ? `${parts.filter((p) => p.healthy).length} of ${parts.length} parts are well` : ''}</p>
      </div>
      {parts.length === 0 ? (
        <p class="empty">Loading…</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="Health of the parts">
          <table class="list">
            <tbody>
              {parts.map((p) => (
                <tr key={p.name}>
                  <th scope="row">{p.name}</th>
                  <td>
                    <span class={`pill-state ${p.healthy ? 'good' : 'bad'}`}>{p.healthy ? 'well' : 'unwell'}</span>
                  </td>
                  <td class="words">{tickWords(p.status, s.now)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** A status with its tick as a time of day. */
function tickWords(status: string, now: number): string {
  return status.replace(/\b1\d{12}\b/g, (tick) => clock(Number(tick), { seconds: true, today: now }));
}
