import { useState } from 'preact/hooks';
import type { FeedPost } from '../model/feed';
import { clock, count, signed } from '../model/format';
import type { VoteChange } from '../model/votes';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { ChartPanel } from './chart-panel';
import { FeedPanel } from './feed';
import { PageHead } from './page-head';
import { Swatch } from './swatch';
import { Toolbar } from './toolbar';

const LABELS = ['positive', 'neutral', 'negative', 'unscored'] as const;
/** Changes of votes shown. */
const SHOWN = 30;

/** Posts as they come, what becomes of their votes, and what that does to the lines. */
export function FeedPage({ session, s }: { session: Session; s: Snapshot }) {
  const [label, setLabel] = useState('');
  const [search, setSearch] = useState('');
  const wanted = search.trim().toLowerCase();
  const fits = ({ post }: FeedPost) =>
    (label === '' || (post.label ?? 'unscored') === label) &&
    (wanted === '' || [post.text, post.author ?? '', post.source, ...post.mentions.map((m) => m.entity)].some((t) => t.toLowerCase().includes(wanted)));
  return (
    <>
      <PageHead title="Live feed">
        <Toolbar session={session} s={s} />
      </PageHead>
      <div class="grid even">
        <div class="column">
          <div class="toolbar filters" role="group" aria-label="Which posts">
            <label>
              <span>Label</span>
              <select value={label} onChange={(e) => setLabel(e.currentTarget.value)}>
                <option value="">any</option>
                {LABELS.map((l) => (
                  <option key={l} value={l}>
                    {l}
                  </option>
                ))}
              </select>
            </label>
            <label class="grow">
              <span>Find</span>
              <input type="search" placeholder="text, author, source or entity" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
            </label>
          </div>
          <FeedPanel session={session} s={s} {...(label !== '' || wanted !== '' ? { only: fits } : {})} />
        </div>
        <div class="column">
          <ChartPanel session={session} s={s} focus={null} title="What votes do to the lines" />
          <VotesPanel session={session} s={s} />
        </div>
      </div>
    </>
  );
}

/** The newest changes of votes: the post, its weight before and after, and the points that moved. */
function VotesPanel({ session, s }: { session: Session; s: Snapshot }) {
  return (
    <section class="panel votes-panel" aria-labelledby="votes-title">
      <div class="panel-head">
        <h2 id="votes-title">Changes of votes</h2>
        <p class="hint">of the newest posts</p>
      </div>
      {s.votes.length === 0 ? (
        <p class="empty">{s.postsWithheld ? 'Single posts are withheld here.' : s.postsLoaded ? 'No votes have changed since the page was opened.' : 'Loading…'}</p>
      ) : (
        <ol class="votes" tabIndex={0} aria-label="Changes of votes, newest first">
          {s.votes.slice(0, SHOWN).map((v) => (
            <VoteItem key={v.id} session={session} v={v} s={s} />
          ))}
        </ol>
      )}
    </section>
  );
}

function VoteItem({ session, v, s }: { session: Session; v: VoteChange; s: Snapshot }) {
  const [from, to] = v.votes;
  const words = (n: number | null) => (n === null ? 'hidden' : count(n));
  return (
    <li class="vote" data-moved={v.moved.length}>
      <div class="vote-head">
        <span class="shift">
          {words(from)} → <b>{words(to)}</b> votes
        </span>
        <span class="shift">
          weight {v.weight[0].toFixed(2)} → <b>{v.weight[1].toFixed(2)}</b>
        </span>
        <time dateTime={new Date(v.at).toISOString()}>{clock(v.at, { seconds: true, today: s.now })}</time>
      </div>
      <p class="text">{v.post.post.text || <span class="muted">(no text)</span>}</p>
      {v.moved.length > 0 && (
        <p class="moved">
          {v.moved.map((m) => (
            <span key={m.name}>
              <Swatch session={session} name={m.name} /> {m.name} {signed(m.from, 3)} → <b>{signed(m.to, 3)}</b>
            </span>
          ))}
        </p>
      )}
    </li>
  );
}
