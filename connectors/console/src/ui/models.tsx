import { useState } from 'preact/hooks';
import { shares } from '../model/combine';
import { count, plural, signed } from '../model/format';
import { readComparison, type Comparison, type LabelCounts, type ModelState } from '../model/ops';
import { hrefOf } from '../model/route';
import { fetchOne, tell } from '../net/api';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { Confirm, Said, useAct } from './act';
import { share } from './overview';
import { DistributionBar } from './series';

/** Entities of a comparison that are shown. */
const ENTITIES = 25;

/** The models: which is live, how far the others are, and how their answers differ. */
export function ModelsPanel({ session, s }: { session: Session; s: Snapshot }) {
  const { busy, done, act } = useAct(() => session.ops.refresh());
  const [compared, setCompared] = useState<Comparison | null>(null);
  const models = s.ops.models ?? [];
  const several = models.length > 1;
  const switched = (verb: string, path: string) =>
    act(async () => {
      const { live, missing } = await tell(path);
      const name = models.find((m) => m.key === live)?.name ?? String(live).slice(0, 8);
      return `${verb}: ${name} is live${typeof missing === 'number' && missing > 0 ? `; ${plural(missing, 'text')} are still to be scored by it` : ''}.`;
    });
  const compare = (m: ModelState) =>
    act(async () => {
      setCompared(readComparison(await fetchOne(`api/v1/models/${encodeURIComponent(m.key)}/comparison?limit=${ENTITIES}`)));
      return '';
    });
  return (
    <section class="panel models-panel" aria-labelledby="models-title">
      <div class="panel-head">
        <h2 id="models-title">Models</h2>
        <p class="hint">{plural(models.length, 'model')}</p>
        {s.ops.mayOperate === true && several && (
          <Confirm label="Roll back" about="to the model that was live before" question="Go back to the model before?" yes="Roll back" disabled={busy} run={() => switched('Rolled back', 'api/v1/models/rollback')} />
        )}
      </div>
      {models.length === 0 ? (
        <p class="empty">{s.ops.models ? 'No model runs: posts bring their sentiment along.' : 'Loading…'}</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="Models">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Model</th>
                <th scope="col">Role</th>
                <th scope="col" class="n">
                  Scored
                </th>
                {several && (
                  <>
                    <th scope="col" class="n">
                      Agreement
                    </th>
                    <th scope="col" class="n wide-only">
                      Drift
                    </th>
                    <th scope="col">Do</th>
                  </>
                )}
              </tr>
            </thead>
            <tbody>
              {models.map((m) => (
                <tr key={m.key} data-model={m.name ?? m.key} data-role={m.role}>
                  <th scope="row">
                    {m.name ?? 'unnamed'} <small title={m.key}>{m.key.slice(0, 8)}</small>
                  </th>
                  <td>
                    <span class={`pill-state ${m.role === 'live' ? 'good' : 'calm'}`}>{m.role}</span>
                    {m.role === 'shadow' && m.share < 1 && <small class="block">{Math.round(100 * m.share)} % of authors</small>}
                  </td>
                  <td class="n">
                    {share(m.scored, m.texts)} <small>{m.wanted > 0 ? `${count(m.wanted)} waiting` : count(m.scored)}</small>
                  </td>
                  {several && (
                    <>
                      <td class="n">{m.agreement === null ? '–' : `${(100 * m.agreement).toFixed(1)} %`}</td>
                      <td class="n wide-only" title="Population stability index of the labels">
                        {m.drift === null ? '–' : m.drift.toFixed(3)}
                      </td>
                      <td class="actions">
                        {m.role !== 'live' && (
                          <div class="buttons">
                            <button type="button" class="small" disabled={busy || m.compared === 0} onClick={() => compare(m)}>
                              Compare
                              <span class="sr-only"> {m.name ?? m.key} with the live model</span>
                            </button>
                            {s.ops.mayOperate === true && (
                              <Confirm label="Promote" about={m.name ?? m.key} question={`Make ${m.name ?? m.key.slice(0, 8)} live?`} yes="Promote" disabled={busy} run={() => switched('Promoted', `api/v1/models/${encodeURIComponent(m.key)}/promote`)} />
                            )}
                          </div>
                        )}
                      </td>
                    </>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Said done={done} />
      {compared && <ComparisonView c={compared} close={() => setCompared(null)} />}
    </section>
  );
}

/** Two models side by side. */
function ComparisonView({ c, close }: { c: Comparison; close: () => void }) {
  const [live, other] = [c.live ?? 'live', c.model.name ?? c.model.key.slice(0, 8)];
  return (
    <div class="comparison" role="region" aria-label={`${other} compared with ${live}`}>
      <div class="panel-head">
        <h3>
          {other} against {live}
        </h3>
        <p class="hint">
          {plural(c.all.posts, 'post')}, the same label for {(100 * c.all.agreement).toFixed(1)} %, drift {c.drift.toFixed(3)}
        </p>
        <button type="button" class="small" onClick={close}>
          Close<span class="sr-only"> the comparison</span>
        </button>
      </div>
      <dl class="labels">
        <Labels name={live} of={c.liveLabels} />
        <Labels name={other} of={c.labels} />
      </dl>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="By entity">
        <table class="list">
          <thead>
            <tr>
              <th scope="col">Entity</th>
              <th scope="col" class="n">
                {live}
              </th>
              <th scope="col" class="n">
                {other}
              </th>
              <th scope="col" class="n">
                Difference
              </th>
              <th scope="col" class="n">
                Same label
              </th>
              <th scope="col" class="n wide-only">
                Posts
              </th>
            </tr>
          </thead>
          <tbody>
            {c.entities.map((d) => (
              <tr key={d.entity}>
                <th scope="row">{d.entity === null ? '(none)' : <a href={hrefOf('entities', d.entity)}>{d.entity}</a>}</th>
                <td class="n">{signed(d.live)}</td>
                <td class="n">{signed(d.other)}</td>
                <td class="n">
                  <b>{signed(d.difference, 3)}</b>
                </td>
                <td class="n">{Math.round(100 * d.agreement)} %</td>
                <td class="n wide-only">{count(d.posts)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function Labels({ name, of }: { name: string; of: LabelCounts }) {
  const all = of.positive + of.neutral + of.negative;
  return (
    <div>
      <dt title={`${shares(of).positive} % positive`}>{name}</dt>
      <dd>
        <DistributionBar of={{ ...of, scored: all }} />
      </dd>
    </div>
  );
}
