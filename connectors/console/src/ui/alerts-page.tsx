import { alertGroup, causeWords } from '../model/alerts';
import { clock, count, epoch, measure } from '../model/format';
import { hrefOf } from '../model/route';
import type { Alert } from '../model/types';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { AlertDetail } from './alert-detail';
import { ago, StatePill } from './alerts';
import { PageHead } from './page-head';

const STATES = ['all', 'firing', 'resolved', 'retracted'] as const;
/** Rows drawn at once. */
const MOST_ROWS = 300;

/** All alerts with what brought them about, and one of them in full. */
export function AlertsPage({ session, s }: { session: Session; s: Snapshot }) {
  const { query, item } = s.route;
  const state = query.state ?? 'all';
  const rule = query.rule ?? '';
  const rules = [...new Set(s.alerts.map((a) => a.rule))].sort();
  const ofRule = s.alerts.filter((a) => rule === '' || a.rule === rule);
  const list = ofRule.filter((a) => state === 'all' || a.state === state);
  const choose = (key: string, value: string) => {
    const { [key]: _, ...rest } = query;
    session.show({ ...s.route, query: value === '' || value === 'all' ? rest : { ...rest, [key]: value } });
  };
  return (
    <>
      <PageHead title="Alerts">
        <div class="toolbar" role="group" aria-label="Which alerts">
          {rules.length > 1 && (
            <label>
              <span>Rule</span>
              <select value={rule} onChange={(e) => choose('rule', e.currentTarget.value)}>
                <option value="">all {rules.length}</option>
                {rules.map((r) => (
                  <option key={r} value={r}>
                    {r}
                  </option>
                ))}
              </select>
            </label>
          )}
          <fieldset class="segments">
            <legend class="sr-only">State</legend>
            {STATES.map((name) => (
              <label key={name}>
                <input type="radio" name="state" value={name} checked={state === name} onChange={() => choose('state', name)} />
                <span>
                  {name} <small>{count(name === 'all' ? ofRule.length : ofRule.filter((a) => a.state === name).length)}</small>
                </span>
              </label>
            ))}
          </fieldset>
        </div>
      </PageHead>
      <div class={`grid alerts-grid ${item === null ? '' : 'open'}`}>
        <section class="panel alert-list" aria-labelledby="alert-list-title">
          <div class="panel-head">
            <h2 id="alert-list-title">{state === 'all' ? 'All alerts' : `Alerts, ${state}`}</h2>
            <p class="hint">firing first, then newest first</p>
          </div>
          {list.length === 0 ? (
            <p class="empty">
              {!s.alertsLoaded ? 'Loading…' : s.alerts.length === 0 ? 'No alerts. They appear here when a rule’s condition holds.' : 'No alert is in this state.'}
            </p>
          ) : (
            <div class="table-scroll" tabIndex={0} role="region" aria-label="Alerts">
              <table class="list">
                <thead>
                  <tr>
                    <th scope="col">State</th>
                    <th scope="col">About</th>
                    <th scope="col" class="n">
                      Value
                    </th>
                    <th scope="col" class="n wide-only">
                      Threshold
                    </th>
                    <th scope="col" class="n">
                      Posts
                    </th>
                    <th scope="col" class="wide-only">
                      Cause
                    </th>
                    <th scope="col" class="n">
                      When
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {list.slice(0, MOST_ROWS).map((a) => (
                    <AlertRow key={a.id} a={a} s={s} open={a.id === item} />
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </section>
        {item === null ? (
          <section class="panel detail nothing" aria-label="No alert is open">
            <p class="empty">Choose an alert to see what brought it about: the posts that carry it, and how it came and went.</p>
          </section>
        ) : (
          <AlertDetail session={session} s={s} id={item} back={hrefOf('alerts', null, query)} />
        )}
      </div>
    </>
  );
}

function AlertRow({ a, s, open }: { a: Alert; s: Snapshot; open: boolean }) {
  const at = epoch(a.at);
  const group = alertGroup(a);
  return (
    <tr class={`${a.state} ${open ? 'open' : ''}`} data-alert={a.id} data-state={a.state}>
      <td>
        <StatePill state={a.state} />
      </td>
      <th scope="row">
        <a class="name" href={hrefOf('alerts', a.id, s.route.query)} aria-current={open ? 'true' : undefined}>
          {group.join(' · ') || a.rule}
        </a>
        <small>{a.rule}</small>
      </th>
      <td class="n">
        <b>{measure(a.value)}</b>
      </td>
      <td class="n wide-only">{measure(a.threshold)}</td>
      <td class="n">{count(a.posts)}</td>
      <td class="wide-only">{causeWords(a)}</td>
      <td class="n">{at === null ? clock(null) : <time dateTime={new Date(at).toISOString()}>{ago(at, s)}</time>}</td>
    </tr>
  );
}
