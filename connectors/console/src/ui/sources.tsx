import { count } from '../model/format';
import { sourcesOf } from '../model/ops';
import type { Snapshot } from '../state/snapshot';
import { seconds } from './overview';

/** The sources by their counters. */
export function SourcesPanel({ s, rate }: { s: Snapshot; rate: (name: string) => string }) {
  const sources = s.ops.metrics && sourcesOf(s.ops.metrics);
  return (
    <section class="panel sources-panel" aria-labelledby="sources-title">
      <div class="panel-head">
        <h2 id="sources-title">Sources</h2>
        <p class="hint">read = accepted + repeated + dead letters</p>
      </div>
      {!sources || sources.length === 0 ? (
        <p class="empty">{sources ? 'Nothing has been read yet.' : 'Loading…'}</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="Sources">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Source</th>
                <th scope="col" class="n">
                  A second
                </th>
                <th scope="col" class="n">
                  Read
                </th>
                <th scope="col" class="n wide-only">
                  Repeated
                </th>
                <th scope="col" class="n wide-only">
                  Late
                </th>
                <th scope="col" class="n">
                  Dead
                </th>
                <th scope="col" class="n">
                  Lag
                </th>
              </tr>
            </thead>
            <tbody>
              {sources.map((x) => (
                <tr key={x.name} data-source={x.name}>
                  <th scope="row">{x.name}</th>
                  <td class="n">{rate(`source ${x.name}`)}</td>
                  <td class="n">{count(x.read)}</td>
                  <td class="n wide-only">{count(x.duplicate)}</td>
                  <td class="n wide-only">{count(x.late)}</td>
                  <td class={`n ${x.dead > 0 ? 'warn' : ''}`}>{count(x.dead)}</td>
                  <td class="n">
                    {seconds(x.lag)} {x.waiting !== null && x.waiting > 0 && <small>{count(x.waiting)} unread</small>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
