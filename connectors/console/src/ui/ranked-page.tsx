import { useState } from 'preact/hooks';
import { clock, count, epoch, plural } from '../model/format';
import { ALGORITHMS, readRanked, type Parts, type RankedPost } from '../model/ranked';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { PageHead } from './page-head';
import { useReading } from './use-reading';

const PARTS: readonly (keyof Parts)[] = ['recency', 'engagement', 'affinity', 'model'];

/** The feed that somebody would read, and why each post stands where it does. */
export function RankedPage({ s }: { session: Session; s: Snapshot }) {
  const [user, setUser] = useState('');
  const [algorithm, setAlgorithm] = useState<string>(ALGORITHMS[0]);
  const [all, setAll] = useState(true);
  const query = new URLSearchParams({ algorithm, limit: '50', scope: all || user === '' ? 'everyone' : 'following' });
  if (user !== '') query.set('user', user);
  const reading = useReading(`api/v1/posts/feed/?${query}`);
  const posts = readRanked(reading?.body);
  return (
    <>
      <PageHead title="Ranked feed">
        <div class="toolbar filters" role="group" aria-label="Whose feed">
          <label>
            <span>Reader</span>
            <input type="search" placeholder="a user’s id" value={user} onChange={(e) => setUser(e.currentTarget.value.trim())} />
          </label>
          <label>
            <span>Order</span>
            <select value={algorithm} onChange={(e) => setAlgorithm(e.currentTarget.value)}>
              {ALGORITHMS.map((a) => (
                <option key={a}>{a}</option>
              ))}
            </select>
          </label>
          <label>
            <input type="checkbox" checked={all} onChange={(e) => setAll(e.currentTarget.checked)} /> <span>of everyone, not only those they follow</span>
          </label>
        </div>
      </PageHead>
      <section class="panel" aria-labelledby="ranked-title">
        <div class="panel-head">
          <h2 id="ranked-title">{user === '' ? 'What anybody would read' : `What ${user} would read`}</h2>
          <p class="hint">{posts.length > 0 ? plural(posts.length, 'post') : ''}</p>
        </div>
        {reading?.problem && !reading.missing && <p class="problem">{reading.problem}</p>}
        {posts.length === 0 ? (
          <p class="empty">{reading === null ? 'Loading…' : reading.missing ? 'This pipeline makes no feeds: serve.routes.feeds.' : 'There is nothing to read.'}</p>
        ) : (
          <ol class="events ranked">
            {posts.map((p) => (
              <Post key={p.id} p={p} now={s.now} />
            ))}
          </ol>
        )}
      </section>
    </>
  );
}

function Post({ p, now }: { p: RankedPost; now: number }) {
  return (
    <li data-ranked={p.id}>
      <p class="head">
        <b>{p.author ?? 'somebody'}</b>
        {p.parts && (
          <span class="n" title="Score">
            {p.parts.final.toFixed(3)}
          </span>
        )}
        {p.flagged && <span class="pill-state bad">flagged</span>}
        <time dateTime={p.at}>{clock(epoch(p.at), { today: now })}</time>
      </p>
      <p class="context">{p.text}</p>
      <p class="foot">
        {`${plural(p.likes, 'like')}, ${plural(p.comments, 'comment')}, ${plural(p.reposts, 'repost')}`}
        {p.tags.map((t) => ` #${t}`).join('')}
        {p.parts && <PartsOf parts={p.parts} />}
      </p>
    </li>
  );
}

function PartsOf({ parts }: { parts: Parts }) {
  return (
    <span class="parts">
      {PARTS.map((name) => (
        <span key={name}>
          {name} <meter min={0} max={1} value={parts[name]} aria-label={name} /> {count(Math.round(100 * parts[name]))} %
        </span>
      ))}
    </span>
  );
}
