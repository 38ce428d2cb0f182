import { useState } from 'preact/hooks';
import { count, measure, plural } from '../model/format';
import { WEEKDAYS, readTimes, strength, type BestTime, type Times } from '../model/times';
import type { ViewInfo } from '../model/types';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { Facts } from './facts';
import { PageHead } from './page-head';
import { useReading } from './use-reading';

/** Views that say in which hour of which day of the week a post was written. */
export function viewsOfTimes(views: readonly ViewInfo[] | null): ViewInfo[] {
  return (views ?? []).filter((v) => v.group_by.includes('hour') && v.group_by.includes('weekday'));
}

/** When posting pays: the week as a map, its best hours and days. */
export function TimesPage({ s }: { session: Session; s: Snapshot }) {
  const views = viewsOfTimes(s.views);
  const [chosen, choose] = useState<{ view: string; column: string }>({ view: '', column: '' });
  const view = views.find((v) => v.name === chosen.view) ?? views[0];
  const column = view?.measures.includes(chosen.column) ? `?column=${encodeURIComponent(chosen.column)}` : '';
  const reading = useReading(view ? `api/analytics/${encodeURIComponent(view.name)}/best-times${column}` : null);
  const times = readTimes(reading?.body);
  return (
    <>
      <PageHead title="Best times">
        {view && (
          <div class="toolbar">
            <label>
              <span>View</span>
              <select value={view.name} onChange={(e) => choose({ view: e.currentTarget.value, column: '' })}>
                {views.map((v) => (
                  <option key={v.name}>{v.name}</option>
                ))}
              </select>
            </label>
            <label>
              <span>By</span>
              <select value={times?.column ?? ''} onChange={(e) => choose({ view: view.name, column: e.currentTarget.value })}>
                {view.measures.map((m) => (
                  <option key={m}>{m}</option>
                ))}
              </select>
            </label>
          </div>
        )}
      </PageHead>
      {reading?.problem && <p class="problem">{reading.problem}</p>}
      {times && <Best times={times} />}
      <section class="panel" aria-labelledby="week-title">
        <div class="panel-head">
          <h2 id="week-title">The week</h2>
          {times && <p class="hint">{`${times.column} by hour, ${times.zone}`}</p>}
        </div>
        {times ? <Week times={times} /> : <p class="empty">{view ? (reading ? 'Nothing was posted yet.' : 'Loading…') : 'No view of this pipeline groups by hour and weekday.'}</p>}
      </section>
    </>
  );
}

function Best({ times }: { times: Times }) {
  const words = (best: readonly BestTime[], name: (t: BestTime) => string) => best.map(name).join(', ') || '–';
  const more = (best: readonly BestTime[]) => (best[0] ? `${measure(best[0].value)} over ${plural(best[0].posts, 'post')}` : '');
  return (
    <Facts
      label="The best times"
      facts={[
        { id: 'hours', name: 'Best hours', value: words(times.hours, (t) => `${t.name}:00`), more: more(times.hours) },
        { id: 'days', name: 'Best days', value: words(times.weekdays, (t) => t.name), more: more(times.weekdays) },
      ]}
    />
  );
}

function Week({ times }: { times: Times }) {
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label="The week by hour">
      <table class="week">
        <thead>
          <tr>
            <th scope="col">
              <span class="sr-only">Day</span>
            </th>
            {times.week[0]?.map((_, hour) => (
              <th key={hour} scope="col">
                {String(hour).padStart(2, '0')}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {times.week.map((day, i) => (
            <tr key={i} data-day={WEEKDAYS[i]}>
              <th scope="row">{WEEKDAYS[i]}</th>
              {day.map((value, hour) => (
                <td key={hour} data-value={value ?? ''} title={`${WEEKDAYS[i]} ${hour}:00 · ${value === null ? 'nothing posted' : measure(value)}`} style={value === null ? {} : { '--strength': `${Math.round(8 + 84 * strength(value, times.week))}%` }} class={value === null ? '' : 'some'}>
                  <span class="sr-only">{value === null ? 'nothing' : measure(value)}</span>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <p class="foot">{`${count(times.week.flat().filter((v) => v !== null).length)} of 168 hours have posts; the darker, the more.`}</p>
    </div>
  );
}
