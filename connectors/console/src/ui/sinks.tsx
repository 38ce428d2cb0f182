import { clock, plural } from '../model/format';
import type { SinkState } from '../model/ops';
import { sinkTone } from '../model/pipeline';
import { tell } from '../net/api';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { Confirm, Said, useAct } from './act';
import { seconds } from './overview';

const DONE: Record<string, string> = { pause: 'is told to pause', resume: 'is told to go on', resync: 'compares what is stored with what should be' };

/** The sinks, and what those who may can tell them. */
export function SinksPanel({ session, s }: { session: Session; s: Snapshot }) {
  const { busy, done, act } = useAct(() => session.ops.refresh());
  const sinks = s.ops.sinks ?? [];
  const tellSink = (sink: string, action: string) =>
    act(async () => {
      await tell(`api/v1/sinks/${encodeURIComponent(sink)}/${action}`);
      return `${sink} ${DONE[action] ?? action}.`;
    });
  return (
    <section class="panel sinks-panel" aria-labelledby="sinks-title">
      <div class="panel-head">
        <h2 id="sinks-title">Sinks</h2>
        <p class="hint">{s.ops.mayOperate === false ? 'this key may read only' : plural(sinks.length, 'sink')}</p>
      </div>
      {sinks.length === 0 ? (
        <p class="empty">{s.ops.sinks ? 'This pipeline has no sinks: what it knows is served here only.' : 'Loading…'}</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="Sinks">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Sink</th>
                <th scope="col">State</th>
                <th scope="col" class="n">
                  Behind
                </th>
                <th scope="col" class="n wide-only">
                  Committed
                </th>
                {s.ops.mayOperate === true && <th scope="col">Tell it</th>}
              </tr>
            </thead>
            <tbody>
              {sinks.map((sink) => (
                <tr key={sink.name} data-sink={sink.name} data-state={sink.state}>
                  <th scope="row">
                    {sink.name}
                    {sink.error && <small class="block neg-text">{sink.error}</small>}
                    {sink.resync && <small class="block">resync: {sink.resync}</small>}
                  </th>
                  <td>
                    <span class={`pill-state ${sinkTone(sink.state)}`}>{sink.state}</span>
                    {sink.failures > 0 && <small class="block">{plural(sink.failures, 'failure')} in a row</small>}
                  </td>
                  <td class="n">
                    {plural(sink.ticksBehind, 'tick')} <small>{seconds(sink.secondsBehind)}</small>
                  </td>
                  <td class="n wide-only">{sink.committed > 0 ? clock(sink.committed, { seconds: true, today: s.now }) : '–'}</td>
                  {s.ops.mayOperate === true && (
                    <td class="actions">
                      <SinkActions sink={sink} busy={busy} tellSink={tellSink} />
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Said done={done} />
    </section>
  );
}

function SinkActions({ sink, busy, tellSink }: { sink: SinkState; busy: boolean; tellSink: (sink: string, action: string) => void }) {
  const paused = sink.state === 'paused';
  const action = paused ? 'resume' : 'pause';
  return (
    <div class="buttons">
      <button type="button" class="small" disabled={busy} onClick={() => tellSink(sink.name, action)}>
        {paused ? 'Resume' : 'Pause'}
        <span class="sr-only"> {sink.name}</span>
      </button>
      <Confirm label="Resync" about={sink.name} question={`Compare all of ${sink.name}?`} yes="Resync" disabled={busy} run={() => tellSink(sink.name, 'resync')} />
    </div>
  );
}
