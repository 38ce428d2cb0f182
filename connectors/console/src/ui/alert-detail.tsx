import { useEffect, useState } from 'preact/hooks';
import { causeWords } from '../model/alerts';
import { readExplanation, type Explanation, type Piece } from '../model/explain';
import { clock, epoch, measure, plural, signed, utc } from '../model/format';
import { meanOf } from '../model/influence';
import { hrefOf, type PageId } from '../model/route';
import { fetchOne } from '../net/api';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { StatePill } from './alerts';
import { Swatch } from './swatch';

const PAGE_OF: Record<string, PageId> = { entity: 'entities', thread: 'threads' };

/** One alert in full: asked for again whenever it changes. */
export function AlertDetail({ session, s, id, back }: { session: Session; s: Snapshot; id: string; back: string }) {
  const [found, setFound] = useState<Explanation | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const held = s.alerts.find((a) => a.id === id);
  const version = `${held?.at ?? ''} ${s.link.state === 'live'}`;
  useEffect(() => {
    let asked = true;
    fetchOne(`api/v1/alerts/${encodeURIComponent(id)}/explain`).then(
      (raw) => {
        if (!asked) return;
        setFound(readExplanation(raw));
        setProblem(null);
      },
      (e: unknown) => asked && setProblem(e instanceof Error ? e.message : String(e)),
    );
    return () => {
      asked = false;
    };
  }, [id, version]);
  return (
    <section class="panel detail" aria-labelledby="detail-title">
      <div class="panel-head">
        <a class="close" href={back}>
          All alerts
        </a>
        <h2 id="detail-title">{found ? found.alert.rule : 'Alert'}</h2>
        {found && <StatePill state={found.alert.state} />}
      </div>
      {found?.alert.id === id ? <Detail session={session} s={s} e={found} /> : <p class="empty">{problem ?? 'Loading…'}</p>}
    </section>
  );
}

function Detail({ session, s, e }: { session: Session; s: Snapshot; e: Explanation }) {
  const { alert } = e;
  const window = (start: number | null, end: number | null) => (
    <span title={`${utc(start)} – ${utc(end)}`}>
      {clock(start, { today: s.now, seconds: true })}–{clock(end, { today: start ?? s.now, seconds: true })}
    </span>
  );
  return (
    <div class="detail-body" tabIndex={0} role="region" aria-label="The alert in full">
      <dl class="pairs">
        {Object.entries(alert.key).map(([column, value]) => (
          <div key={column}>
            <dt>{column}</dt>
            <dd>
              <Swatch session={session} name={value} />{' '}
              {PAGE_OF[column] ? <a href={hrefOf(PAGE_OF[column], value)}>{value}</a> : value}
            </dd>
          </div>
        ))}
        <div>
          <dt>value</dt>
          <dd data-value={alert.value ?? ''}>
            <b>{measure(alert.value)}</b> against {measure(alert.threshold)}, over {plural(alert.posts, 'post')}
          </dd>
        </div>
        <div>
          <dt>cause</dt>
          <dd>
            {causeWords(alert)}
            {e.muted && ' (kept from sinks)'}
          </dd>
        </div>
        <div>
          <dt>view</dt>
          <dd>{alert.view}</dd>
        </div>
        <div>
          <dt>window</dt>
          <dd>{window(epoch(alert.window_start), epoch(alert.window_end))}</dd>
        </div>
        {e.resolved && (
          <div>
            <dt>resolved in</dt>
            <dd>{window(e.resolved.start, e.resolved.end)}</dd>
          </div>
        )}
      </dl>
      <Scale value={alert.value} threshold={alert.threshold} />
      <h3>Evidence</h3>
      {e.evidence.length === 0 ? (
        <p class="muted">No post carries it: what had fired it is gone, or nothing was said.</p>
      ) : (
        <>
          <Recomputed e={e} />
          <ol class="pieces">
            {e.evidence.map((p) => (
              <PieceItem key={p.post} p={p} most={Math.max(...e.evidence.map((o) => Math.abs(o.influence)))} s={s} />
            ))}
          </ol>
        </>
      )}
      <h3>History</h3>
      <ol class="history">
        {e.history.map((h, i) => (
          <li key={`${h.at}${i}`} class={h.state}>
            <StatePill state={h.state} />
            <span>
              by {causeWords({ ...alert, cause: h.cause })}: <b>{measure(h.value)}</b> over {plural(h.posts, 'post')}
            </span>
            <time dateTime={new Date(h.at ?? 0).toISOString()}>{clock(h.at, { seconds: true, today: s.now })}</time>
          </li>
        ))}
      </ol>
    </div>
  );
}

/** What the influences are of, and whether they come out the same when computed here. */
function Recomputed({ e }: { e: Explanation }) {
  if (e.sums === null || e.again.n === 0) return null;
  const words = e.again.agree ? 'Computed again on this page from whole numbers, every influence comes out the same.' : 'Computed again on this page, some influence comes out otherwise: please report it.';
  return (
    <p class={`again ${e.again.agree ? '' : 'bad'}`} data-again={e.again.agree}>
      The mean of the window’s scored posts was {signed(meanOf(e.sums), 3)}. {words}
    </p>
  );
}

/** Where the value stands against the threshold, on the scale of sentiment. */
function Scale({ value, threshold }: { value: number | null; threshold: number | null }) {
  if (value === null || threshold === null || Math.abs(value) > 1 || Math.abs(threshold) > 1) return null;
  const x = (v: number) => 8 + ((v + 1) / 2) * 304;
  return (
    <svg class="scale" viewBox="0 0 320 34" role="img" aria-label={`Value ${signed(value)}, threshold ${signed(threshold)}, on a scale from −1 to 1`}>
      <line x1="8" x2="312" y1="14" y2="14" class="axis" />
      <line x1={x(0)} x2={x(0)} y1="9" y2="19" class="axis" />
      <line x1={x(value)} x2={x(threshold)} y1="14" y2="14" class="gap" />
      <line x1={x(threshold)} x2={x(threshold)} y1="6" y2="22" class="threshold" />
      <circle cx={x(value)} cy="14" r="5.5" class="value" />
      <text x="8" y="31">
        −1
      </text>
      <text x={x(0)} y="31" text-anchor="middle">
        0
      </text>
      <text x="312" y="31" text-anchor="end">
        +1
      </text>
    </svg>
  );
}

/** A post behind the alert; the bar says how far it alone moves the mean. */
function PieceItem({ p, most, s }: { p: Piece; most: number; s: Snapshot }) {
  const share = most > 0 ? (100 * Math.abs(p.influence)) / most : 0;
  return (
    <li class="piece" data-evidence={p.post}>
      {p.text !== null ? <q>{p.text}</q> : <p class="muted">{p.live ? `post ${p.post}` : 'This post has been deleted or forgotten since.'}</p>}
      <div class={`influence ${p.influence < 0 ? 'neg' : 'pos'}`} aria-hidden="true">
        <i style={{ width: `${share}%` }} />
      </div>
      <p class="numbers">
        <span>moves the mean by {signed(p.influence, 3)}</span>
        <span>sentiment {signed(p.sentiment)}</span>
        <span>weight {p.weight.toFixed(2)}</span>
        {p.votes !== null && <span>{plural(p.votes, 'vote')}</span>}
        {p.created !== null && <span>{clock(p.created, { seconds: true, today: s.now })}</span>}
        <span class="id">{p.post}</span>
      </p>
    </li>
  );
}
