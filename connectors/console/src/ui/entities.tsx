import { useState } from 'preact/hooks';
import { shares } from '../model/combine';
import { count, plusMinus, signed } from '../model/format';
import { rangeOf } from '../model/range';
import type { SeriesTotal } from '../model/series';
import { MOST_LINES } from '../state/screen';
import type { Session, Snapshot } from '../state/session';
import { Swatch } from './swatch';

/** Rows drawn at once, and from how many on a search field helps. */
const MOST_ROWS = 150;
const SEARCH_FROM = 12;

/** Every entity now: its sentiment, how it is distributed, and whether the chart shows it. */
export function EntitiesPanel({ session, s, setFocus }: { session: Session; s: Snapshot; setFocus: (name: string | null) => void }) {
  const [search, setSearch] = useState('');
  const all = s.screen?.series ?? [];
  const found = search ? all.filter((e) => e.name.toLowerCase().includes(search.toLowerCase())) : all;
  const picked = s.screen?.picked ?? [];
  return (
    <section class="panel entities-panel" aria-labelledby="entities-title">
      <div class="panel-head">
        <h2 id="entities-title">Distribution now</h2>
        <p class="hint">{rangeOf(s.range).words}, {count(all.length)} {s.screen?.column === 'entity' ? 'entities' : 'groups'}</p>
        {all.length > SEARCH_FROM && (
          <input type="search" placeholder="Find…" aria-label="Find an entity" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
        )}
        {!s.automatic && (
          <button type="button" class="small" onClick={() => session.pickAutomatically()}>
            Show busiest
          </button>
        )}
      </div>
      {all.length === 0 ? (
        <p class="empty">{s.loaded ? 'No entity has been mentioned yet.' : 'Loading…'}</p>
      ) : (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="Entities">
          <table class="entities">
            <thead>
              <tr>
                <th scope="col">Entity</th>
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
                <EntityRow key={e.name} session={session} e={e} shown={picked.includes(e.name)} full={picked.length >= MOST_LINES} setFocus={setFocus} />
              ))}
            </tbody>
          </table>
          {found.length === 0 && <p class="empty">No entity matches “{search}”.</p>}
        </div>
      )}
    </section>
  );
}

interface RowProps {
  session: Session;
  e: SeriesTotal;
  shown: boolean;
  full: boolean;
  setFocus: (name: string | null) => void;
}

function EntityRow({ session, e, shown, full, setFocus }: RowProps) {
  const share = shares(e);
  const waiting = e.posts - e.scored;
  return (
    <tr class={shown ? 'shown' : ''} onMouseEnter={() => shown && setFocus(e.name)} onMouseLeave={() => setFocus(null)} data-entity={e.name}>
      <th scope="row">
        <label>
          <input
            type="checkbox"
            checked={shown}
            disabled={!shown && full}
            onChange={() => session.toggle(e.name)}
            onFocus={() => shown && setFocus(e.name)}
            onBlur={() => setFocus(null)}
          />
          {shown ? <Swatch session={session} name={e.name} /> : <span class="swatch" />}
          <span class="name">{e.name}</span>
        </label>
      </th>
      <td class="n">
        <b class={`value ${tone(e.sentiment)}`} data-sentiment>
          {signed(e.sentiment)}
        </b>{' '}
        <small>{plusMinus(e.ci)}</small>
      </td>
      <td class="wide">
        {e.scored > 0 ? (
          <div class="dist">
            <div class="bar" aria-hidden="true">
              <i class="pos" style={{ flexGrow: e.positive }} />
              <i class="neu" style={{ flexGrow: e.neutral }} />
              <i class="neg" style={{ flexGrow: e.negative }} />
            </div>
            <span class="shares">
              <span class="pos-text" title={`${count(e.positive)} positive`}>{share.positive}<span class="sr-only">% positive</span></span>
              <span title={`${count(e.neutral)} neutral`}>{share.neutral}<span class="sr-only">% neutral</span></span>
              <span class="neg-text" title={`${count(e.negative)} negative`}>{share.negative}<span class="sr-only">% negative</span></span>
              <span aria-hidden="true">%</span>
            </span>
          </div>
        ) : (
          <span class="muted">waiting for scores…</span>
        )}
      </td>
      <td class="n">
        {waiting > 0 && e.scored > 0 && <small>{count(waiting)} unscored</small>} {count(e.posts)}
      </td>
    </tr>
  );
}

/** Class of a sentiment's colour; the sign says the same. */
export function tone(v: number | null): string {
  return v === null || Math.abs(v) < 0.05 ? '' : v > 0 ? 'pos-text' : 'neg-text';
}
