import { windowKind } from '../model/choose';
import { count, duration } from '../model/format';
import { RANGES } from '../model/range';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';

/** View, thread and time range. */
export function Toolbar({ session, s }: { session: Session; s: Snapshot }) {
  const choosesThread = s.route.page === 'overview' || s.route.page === 'feed';
  const threads = choosesThread ? (s.screen?.threads ?? []) : [];
  return (
    <div class="toolbar" role="group" aria-label="What to show">
      <label>
        <span>View</span>
        <select value={s.view?.name ?? ''} disabled={s.choices.length === 0} onChange={(e) => session.selectView(e.currentTarget.value)}>
          {!s.view && <option value="">{s.views ? 'none' : 'loading…'}</option>}
          {s.choices.map((v) => (
            <option key={v.name} value={v.name}>
              {v.name}
            </option>
          ))}
        </select>
      </label>
      {threads.length > 0 && (
        <label>
          <span>Thread</span>
          <select value={s.screen?.thread ?? ''} onChange={(e) => session.selectThread(e.currentTarget.value || null)}>
            <option value="">{threads.length === 1 ? 'the only one' : `all ${threads.length}`}</option>
            {threads.map((t) => (
              <option key={t.name} value={t.name}>
                {t.name} ({count(t.posts)})
              </option>
            ))}
          </select>
        </label>
      )}
      {s.view && windowKind(s.view) === 'tumble' && (
        <label>
          <span>Step</span>
          <select value={s.everyWindow ? 'window' : 'auto'} onChange={(e) => session.drawEveryWindow(e.currentTarget.value === 'window')}>
            <option value="auto">{`auto${s.screen?.step && !s.everyWindow ? ` (${duration(s.screen.step)})` : ''}`}</option>
            <option value="window">{`every window (${duration(s.view.window?.size ?? 0)})`}</option>
          </select>
        </label>
      )}
      <fieldset class="segments">
        <legend class="sr-only">Time range</legend>
        {RANGES.map((r) => (
          <label key={r.id}>
            <input type="radio" name="range" value={r.id} checked={s.range === r.id} onChange={() => session.selectRange(r.id)} />
            <span>{r.label}</span>
          </label>
        ))}
      </fieldset>
    </div>
  );
}
