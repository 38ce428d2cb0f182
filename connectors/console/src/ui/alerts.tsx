import { useEffect, useState } from 'preact/hooks';
import { alertGroup, causeWords } from '../model/alerts';
import { clock, duration, epoch, measure, plural, signed, utc } from '../model/format';
import { hrefOf } from '../model/route';
import type { Alert, Evidence } from '../model/types';
import { fetchPost } from '../net/api';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { Swatch } from './swatch';

/** Alerts drawn at once. */
const MOST = 50;

const ICONS: Record<Alert['state'], string> = {
  firing: 'M8 1.5 15 14H1L8 1.5ZM8 6v4M8 11.8v.4',
  resolved: 'M2.5 8.5 6.5 12.5 13.5 4.5',
  retracted: 'M6 3 2 7l4 4M2.5 7H10a3.5 3.5 0 0 1 0 7H7',
};

/** Alerts, firing first. */
export function AlertsPanel({ session, s, alerts }: { session: Session; s: Snapshot; alerts: readonly Alert[] }) {
  const firing = alerts.filter((a) => a.state === 'firing').length;
  return (
    <section class="panel alerts-panel" aria-labelledby="alerts-title">
      <div class="panel-head">
        <h2 id="alerts-title">Alerts</h2>
        <p class="hint">{alerts.length > 0 ? (firing > 0 ? `${firing} firing` : 'none firing') : ''}</p>
      </div>
      {alerts.length === 0 ? (
        <p class="empty">{s.alertsLoaded ? 'No alerts. They appear here when a rule’s condition holds.' : 'Loading…'}</p>
      ) : (
        <ul class="alerts" tabIndex={0} aria-label="Alerts, firing first">
          {alerts.slice(0, MOST).map((a) => (
            <AlertItem key={a.id} session={session} a={a} s={s} />
          ))}
        </ul>
      )}
    </section>
  );
}

function AlertItem({ session, a, s }: { session: Session; a: Alert; s: Snapshot }) {
  const [open, setOpen] = useState(false);
  const [first, ...rest] = alertGroup(a);
  const at = epoch(a.at);
  const shown = open ? a.evidence : a.evidence.slice(0, 1);
  return (
    <li class={`alert ${a.state}`}>
      <div class="alert-head">
        <StatePill state={a.state} />
        {first && (
          <b>
            <Swatch session={session} name={first} /> {first}
          </b>
        )}
        <a class="rule" href={hrefOf('alerts', a.id)}>
          {a.rule}
          <span class="sr-only"> for {first}, in full</span>
        </a>
        {at !== null && (
          <time dateTime={new Date(at).toISOString()} title={utc(at)}>
            {ago(at, s)}
          </time>
        )}
      </div>
      <p class={`numbers ${a.state}`}>
        <b>{measure(a.value)}</b> against a threshold of {measure(a.threshold)} · {plural(a.posts, 'post')} · {clock(epoch(a.window_start), { today: s.now })}–
        {clock(epoch(a.window_end), { today: epoch(a.window_start) ?? s.now })}
      </p>
      <p class="cause">
        {{ firing: 'Fired', resolved: 'Resolved', retracted: 'Withdrawn' }[a.state]} by {causeWords(a)}
        {a.state === 'retracted' && ': what had fired it is no longer in the data'}
        {rest.length > 0 && ` · ${rest.join(' · ')}`}
      </p>
      {shown.length > 0 && (
        <ul class="evidence">
          {shown.map((e) => (
            <EvidenceItem key={e.post} e={e} s={s} fetchIt={open || a.state !== 'retracted'} />
          ))}
        </ul>
      )}
      {a.evidence.length > 1 && (
        <button type="button" class="link" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? 'Show less' : `${a.evidence.length - 1} more pieces of evidence`}
          <span class="sr-only"> for {first}</span>
        </button>
      )}
    </li>
  );
}

/** The state of an alert, as a word and a shape. */
export function StatePill({ state }: { state: Alert['state'] }) {
  return (
    <span class={`state ${state}`}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d={ICONS[state]} />
      </svg>
      {state}
    </span>
  );
}

/** How long ago, seen from the engine's tick when it runs on recorded time. */
export function ago(at: number, s: Snapshot): string {
  const age = (s.tick ?? s.now) - at;
  return age < 86_400_000 ? (age < 5000 ? 'just now' : `${duration(age)} ago`) : clock(at, { today: s.now });
}

/** A post that carries the alert: from the feed if it is there, else asked for. */
function EvidenceItem({ e, s, fetchIt }: { e: Evidence; s: Snapshot; fetchIt: boolean }) {
  const held = s.feed.get(e.post)?.text ?? null;
  const [text, setText] = useState<string | null>(held);
  useEffect(() => {
    if (held !== null) setText(held);
    else if (fetchIt && text === null) {
      fetchPost(e.post).then(
        (post) => setText(post ? post.text : '(this post is gone)'),
        () => setText(`post ${e.post}`),
      );
    }
  }, [e.post, held, fetchIt]);
  return (
    <li>
      {text === null ? <span class="muted">post {e.post}</span> : <q>{text}</q>}
      <span class="muted">
        weight {e.weight.toFixed(1)} · {signed(e.sentiment)} · moves the mean by {signed(e.influence, 3)}
      </span>
    </li>
  );
}
