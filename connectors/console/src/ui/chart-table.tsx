import { clock, count, plusMinus, signed, utc } from '../model/format';
import type { ChartData, Volume } from '../model/series';
import type { Session } from '../state/session';
import { Swatch } from './swatch';

/** Windows shown in the table. */
const MOST_ROWS = 240;

/** The chart's numbers, newest window first. */
export function ChartTable({ session, data, volume }: { session: Session; data: ChartData; volume: Volume }) {
  const indices = data.x.map((_, i) => data.x.length - 1 - i).slice(0, MOST_ROWS);
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label="Sentiment per window, as a table">
      <table class="data">
        <thead>
          <tr>
            <th scope="col">Window</th>
            {data.lines.map((l) => (
              <th scope="col" key={l.name}>
                <Swatch session={session} name={l.name} /> {l.name}
              </th>
            ))}
            <th scope="col">Posts</th>
            <th scope="col">Scored</th>
          </tr>
        </thead>
        <tbody>
          {indices.map((i) => (
            <tr key={data.x[i]}>
              <th scope="row" title={utc((data.x[i] ?? 0) * 1000)}>
                {clock((data.x[i] ?? 0) * 1000)}
              </th>
              {data.lines.map((l) => {
                const [mid, high] = [l.mid[i] ?? null, l.high[i] ?? null];
                return (
                  <td key={l.name}>
                    {signed(mid)} {mid !== null && high !== null && <small>{plusMinus(Math.max(high - mid, mid - (l.low[i] ?? mid)))}</small>}
                  </td>
                );
              })}
              <td>{count(volume.posts[i] ?? 0)}</td>
              <td>{count(volume.scored[i] ?? 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
