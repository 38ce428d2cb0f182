import { memo } from 'preact/compat';
import { useState } from 'preact/hooks';
import type { FeedPost, PostChange } from '../model/feed';
import { clock, count, plural, signed, utc } from '../model/format';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { hrefOf } from '../model/route';
import { Swatch } from './swatch';

/** Posts shown. */
const SHOWN = 50;
/** How long an update stays highlighted. */
const FRESH_MS = 6000;

interface Props {
  session: Session;
  s: Snapshot;
  title?: string;
  /** Of the thread or entity that is open, not of all. */
  ofItem?: boolean;
  only?: (p: FeedPost) => boolean;
}

/** The newest posts. "Hold" stops the list for reading. */
export function FeedPanel({ session, s, title = 'Newest posts', ofItem = false, only }: Props) {
  const [held, setHeld] = useState<FeedPost[] | null>(null);
  const thread = ofItem ? null : (s.screen?.thread ?? null);
  const feed = ofItem ? s.item.feed : s.feed;
  const list = feed.list().filter((p) => (thread === null || p.post.thread === thread) && (!only || only(p)));
  const ids = held && new Set(held.map((p) => p.post.id));
  const missed = ids ? list.slice(0, SHOWN).filter((p) => !ids.has(p.post.id)).length : 0;
  const shown = (held ?? list).slice(0, SHOWN);
  return (
    <section class="panel feed-panel" aria-labelledby="feed-title">
      <div class="panel-head">
        <h2 id="feed-title">{title}</h2>
        <p class="hint">{held ? (missed > 0 ? `held · ${missed >= SHOWN ? `${SHOWN}+` : missed} new` : 'held') : ''}</p>
        <button type="button" class="small" aria-pressed={held !== null} disabled={list.length === 0} onClick={() => setHeld(held ? null : list)}>
          Hold
        </button>
      </div>
      {shown.length === 0 ? (
        <p class="empty">{nothing(s, ofItem, only !== undefined)}</p>
      ) : (
        <ol class="feed" tabIndex={0} aria-label={title}>
          {shown.map((p) => (
            <PostItem key={p.post.id} session={session} p={p} today={new Date(s.now).setHours(0, 0, 0, 0)} fresh={p.change !== null && s.now - p.change.at < FRESH_MS} />
          ))}
        </ol>
      )}
    </section>
  );
}

/** Why there are none. */
function nothing(s: Snapshot, ofItem: boolean, filtered: boolean): string {
  if (s.postsWithheld) return 'Single posts are withheld here.';
  if (ofItem && s.item.problem !== null) return `The posts could not be read: ${s.item.problem}.`;
  if (!(ofItem ? s.item.loaded : s.postsLoaded)) return 'Loading…';
  if (ofItem) return 'None of the posts kept here.';
  return filtered ? 'None of the newest posts fits.' : 'Waiting for the first posts…';
}

interface ItemProps {
  session: Session;
  p: FeedPost;
  today: number;
  fresh: boolean;
}

const PostItem = memo(function PostItem({ session, p, today, fresh }: ItemProps) {
  const { post, change } = p;
  return (
    <li class={`post ${fresh ? 'fresh' : ''}`} data-post={post.id} data-label={post.label ?? ''}>
      <div class="post-head">
        <LabelPill post={p} />
        <span class="who">{post.author ?? 'unknown author'}</span>
        <span class="muted">{post.source}</span>
        <time dateTime={new Date(p.created).toISOString()} title={utc(p.created)}>
          {clock(p.created, { seconds: true, today })}
        </time>
      </div>
      <p class="text">{post.text || <span class="muted">(no text)</span>}</p>
      <div class="post-foot">
        <span title="Votes as known now">{post.votes === null ? 'votes hidden' : plural(post.votes, 'vote')}</span>
        <span title="Weight that the votes give this post">weight {post.weight.toFixed(2)}</span>
        {post.emotion && <span class="muted">{post.emotion}</span>}
        {post.mentions.map((m) => (
          <a class="mention" key={m.entity} href={hrefOf('entities', m.entity)} title={`${m.method}, confidence ${Math.round(m.confidence * 100)} %`}>
            <Swatch session={session} name={m.entity} /> {m.entity}
          </a>
        ))}
        {fresh && change && <span class="change">{changeWords(change)}</span>}
      </div>
    </li>
  );
});

function LabelPill({ post: { post } }: { post: FeedPost }) {
  if (post.label === null) return <span class="pill waiting">not scored yet</span>;
  return (
    <span class={`pill ${post.label}`}>
      {post.label} <b>{signed(post.sentiment)}</b>
    </span>
  );
}

/** What an update changed, in words. */
export function changeWords(c: PostChange): string {
  const words: string[] = [];
  if (c.votes) {
    const [from, to] = c.votes;
    words.push(to === null ? 'votes hidden' : from === null ? `votes revealed: ${count(to)}` : `votes ${count(from)} → ${count(to)}`);
  }
  if (c.label) words.push(`${c.label[0]} → ${c.label[1]}`);
  if (c.text) words.push('edited');
  if (c.mentions) words.push('mentions changed');
  return words.join(' · ');
}
