import { useEffect, useRef, useState } from 'preact/hooks';
import { clock, plural, plusMinus, signed } from '../model/format';
import type { Phase } from '../model/phases';
import type { Session } from '../state/session';
import type { Snapshot } from '../state/snapshot';
import type { ViewScreen } from '../state/screen';
import { SentimentChart, type Cursor } from './chart';
import { chartFlags } from './chart-flags';
import { Swatch } from './swatch';
import { onTheme } from './theme';

/** The chart with its tooltip. The arrow keys step through the windows. */
export function ChartView({ session, s, screen, focus, phases }: { session: Session; s: Snapshot; screen: ViewScreen; focus: string | null; phases: readonly Phase[] }) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<SentimentChart | null>(null);
  const [cursor, setCursor] = useState<Cursor | null>(null);

  useEffect(() => {
    if (!host.current) return;
    const made = new SentimentChart(host.current, setCursor);
    chart.current = made;
    const stop = onTheme(() => made.restyle());
    return () => {
      stop();
      made.destroy();
    };
  }, []);
  useEffect(() => {
    const { from, to } = screen.span ?? { from: 0, to: 0 };
    const looks = screen.picked.map((name) => session.colours.of(name) ?? { hue: 0, dash: [] });
    const flags = chartFlags(s.alerts, s.view?.name ?? '', screen);
    chart.current?.update({ data: screen.chart, looks, from, to, tick: s.tick, markers: s.markers, flags, phases, now: s.now });
  }, [s]);
  useEffect(() => chart.current?.focus(focus), [focus]);

  return (
    <div
      class="chart"
      tabIndex={0}
      role="group"
      aria-label={`Line chart of sentiment for ${screen.picked.join(', ')}. The arrow keys step through the windows; “Data table” shows the same numbers.`}
      onKeyDown={(e) => chart.current?.key(e)}
      onBlur={() => chart.current?.leave()}
    >
      <div ref={host} class="chart-host" />
      {cursor && <Tooltip session={session} s={s} screen={screen} cursor={cursor} />}
      <p class="sr-only" aria-live="polite">
        {cursor?.byKey ? spoken(screen, cursor.index) : ''}
      </p>
    </div>
  );
}

function Tooltip({ session, s, screen, cursor }: { session: Session; s: Snapshot; screen: ViewScreen; cursor: Cursor }) {
  const x = screen.chart.x[cursor.index];
  if (x === undefined) return null;
  const lines = screen.chart.lines
    .map((l) => ({ name: l.name, mid: l.mid[cursor.index] ?? null, high: l.high[cursor.index] ?? null, low: l.low[cursor.index] ?? null, posts: l.posts[cursor.index] ?? 0 }))
    .filter((l) => l.posts > 0)
    .sort((a, b) => (b.mid ?? -2) - (a.mid ?? -2));
  const side = cursor.left > cursor.width / 2 ? { right: `${cursor.width - cursor.left + 14}px` } : { left: `${cursor.left + 14}px` };
  return (
    <div class="tooltip" style={side} aria-hidden="true">
      <p>{clock(x * 1000, { today: s.now })}</p>
      {lines.length === 0 && <p class="muted">no posts</p>}
      <table>
        <tbody>
          {lines.map((l) => (
            <tr key={l.name}>
              <td>
                <Swatch session={session} name={l.name} /> {l.name}
              </td>
              <td>
                <b>{signed(l.mid)}</b>
              </td>
              <td class="muted">{l.mid !== null && l.high !== null ? plusMinus(Math.max(l.high - l.mid, l.mid - (l.low ?? l.mid))) : ''}</td>
              <td class="muted">{plural(l.posts, 'post')}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** One window in words. */
function spoken(screen: ViewScreen, index: number): string {
  const x = screen.chart.x[index];
  if (x === undefined) return '';
  const values = screen.chart.lines.filter((l) => (l.posts[index] ?? 0) > 0).map((l) => `${l.name} ${signed(l.mid[index] ?? null)}, ${plural(l.posts[index] ?? 0, 'post')}`);
  return `${clock(x * 1000)}: ${values.join('; ') || 'no posts'}`;
}
