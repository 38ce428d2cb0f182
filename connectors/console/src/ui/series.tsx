import { useState } from 'preact/hooks';
import { shares, type Total } from '../model/combine';
import { count, plusMinus, signed } from '../model/format';
import { rangeOf } from '../model/range';
import { hrefOf, type PageId } from '../model/route';
import type { SeriesTotal } from '../model/series';
import { MOST_LINES } from '../state/screen';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import { Swatch } from './swatch';

/** Rows drawn at once, and from how many on a search field helps. */
const MOST_ROWS = 150;
const SEARCH_FROM = 12;

/** What the values of a column are called, and the page that shows one of them. */
const KINDS: Record<string, { one: string; many: string; page: PageId | null }> = {
  entity: { one: 'Entity', many: 'entities', page: 'entities' },
  thread: { one: 'Thread', many: 'threads', page: 'threads' },
  source: { one: 'Source', many: 'sources', page: null },
  author: { one: 'Author', many: 'authors', page: null },
};
const OTHER = { one: 'Group', many: 'groups', page: null };

interface PanelProps {
  session: Session;
  s: Snapshot;
  setFocus: (name: string | null) => void;
  title: string;
}

/** Every series (an entity, a thread): its sentiment, how it is distributed, and whether the chart shows it. */
export function SeriesPanel({ session, s, setFocus, title }: PanelProps) {
  const [search, setSearch] = useState('');
  const all = s.screen?.series ?? [];
  const found = search ? all.filter((e) => e.name.toLowerCase().includes(search.toLowerCase())) : all;
  const picked = s.screen?.picked ?? [];
  const kind = KINDS[s.screen?.column ?? ''] ?? OTHER;
  return (
    <section class="panel series-panel" aria-labelledby="series-title">
      <div class="panel-head">
        <h2 id="series-title">{title}</h2>
        <p class="hint">
          {rangeOf(s.range).words}, {count(all.length)} {all.length === 1 ? kind.one.toLowerCase() : kind.many}
        </p>
        {all.length > SEARCH_FROM && (
          <input type="search" placeholder="Find…" aria-label={`Find among the ${kind.many}`} value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
        )}
        {!s.automatic && (
          <button type="button" class="small" onClick={() => session.pickAutomatically()}>
            Show busiest
          </button>
        )}
      </div>
      {all.length === 0 ? (
        <p class="empty">{s.views && s.choices.length === 0 ? 'There is no view for this.' : s.loaded ? `There is no ${kind.one.toLowerCase()} in this range.` : 'Loading…'}</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="region" aria-label={kind.many}>
          <table class="entities">
            <thead>
              <tr>
                <th scope="col">{kind.one}</th>
                <th scope="col" class="n">
                  Sentiment
                </th>
                <th scope="col" class="wide">
                  <span class="legend">
                    <span>
                      <i class="pos" /> positive
                    </span>
                    <span>
                      <i class="neu" /> neutral
                    </span>
                    <span>
                      <i class="neg" /> negative
                    </span>
                  </span>
                </th>
                <th scope="col" class="n">
                  Posts
                </th>
              </tr>
            </thead>
            <tbody>
              {found.slice(0, MOST_ROWS).map((e) => (
                <SeriesRow key={e.name} session={session} e={e} page={kind.page} shown={picked.includes(e.name)} full={picked.length >= MOST_LINES} setFocus={setFocus} />
              ))}
            </tbody>
          </table>
          {found.length === 0 && <p class="empty">Nothing matches “{search}”.</p>}
        </div>
      )}
    </section>
  );
}

interface RowProps {
  session: Session;
  e: SeriesTotal;
  page: PageId | null;
  shown: boolean;
  full: boolean;
  setFocus: (name: string | null) => void;
}

function SeriesRow({ session, e, page, shown, full, setFocus }: RowProps) {
  const waiting = e.posts - e.scored;
  return (
    <tr class={shown ? 'shown' : ''} onMouseEnter={() => shown && setFocus(e.name)} onMouseLeave={() => setFocus(null)} data-entity={e.name}>
      <th scope="row">
        <div class="who">
          <label title={shown ? 'Take off the chart' : full ? `The chart shows ${MOST_LINES} lines at most` : 'Put on the chart'}>
            <input
              type="checkbox"
              checked={shown}
              disabled={!shown && full}
              onChange={() => session.toggle(e.name)}
              onFocus={() => shown && setFocus(e.name)}
              onBlur={() => setFocus(null)}
            />
            {shown ? <Swatch session={session} name={e.name} /> : <span class="swatch" />}
            <span class="sr-only">{e.name} on the chart</span>
          </label>
          {page === null ? (
            <span class="name">{e.name}</span>
          ) : (
            <a class="name" href={hrefOf(page, e.name)} title={e.name}>
              {e.name}
            </a>
          )}
        </div>
      </th>
      <td class="n">
        <b class={`value ${tone(e.sentiment)}`} data-sentiment>
          {signed(e.sentiment)}
        </b>{' '}
        <small>{plusMinus(e.ci)}</small>
      </td>
      <td class="wide">
        <DistributionBar of={e} />
      </td>
      <td class="n">
        {waiting > 0 && e.scored > 0 && <small class="unscored">{count(waiting)} unscored</small>} {count(e.posts)}
      </td>
    </tr>
  );
}

/** The three labels as shares of a bar, and in percent. */
export function DistributionBar({ of }: { of: Pick<Total, 'positive' | 'neutral' | 'negative' | 'scored'> }) {
  if (of.scored === 0) return <span class="muted">waiting for scores…</span>;
  const share = shares(of);
  return (
    <div class="dist">
      <div class="bar" aria-hidden="true">
        <i class="pos" style={{ flexGrow: of.positive }} />
        <i class="neu" style={{ flexGrow: of.neutral }} />
        <i class="neg" style={{ flexGrow: of.negative }} />
      </div>
      <span class="shares">
        <span class="pos-text" title={`${count(of.positive)} positive`}>
          {share.positive}
          <span class="sr-only">% positive</span>
        </span>
        <span title={`${count(of.neutral)} neutral`}>
          {share.neutral}
          <span class="sr-only">% neutral</span>
        </span>
        <span class="neg-text" title={`${count(of.negative)} negative`}>
          {share.negative}
          <span class="sr-only">% negative</span>
        </span>
        <span aria-hidden="true">%</span>
      </span>
    </div>
  );
}

/** Class of a sentiment's colour; the sign says the same. */
export function tone(v: number | null): 'pos-text' | 'neg-text' | '' {
  return v === null || Math.abs(v) < 0.05 ? '' : v > 0 ? 'pos-text' : 'neg-text';
}
