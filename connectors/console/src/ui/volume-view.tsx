import { useEffect, useRef } from 'preact/hooks';
import { count } from '../model/format';
import type { ViewScreen } from '../state/screen';
import { onTheme } from './theme';
import { VolumeChart } from './volume';

/** Posts per point in time, below the lines and on the same time axis. The tooltip and the table have the same numbers. */
export function VolumeView({ screen }: { screen: ViewScreen }) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<VolumeChart | null>(null);
  useEffect(() => {
    if (!host.current) return;
    const made = new VolumeChart(host.current);
    chart.current = made;
    const stop = onTheme(() => made.restyle());
    return () => {
      stop();
      made.destroy();
    };
  }, []);
  const { from, to } = screen.span ?? { from: 0, to: 0 };
  useEffect(() => chart.current?.update(screen.volume, from, to), [screen]);
  return (
    <div class="volume" role="img" aria-label={`Bar chart of posts over time: ${count(screen.posts)} posts in all, ${count(screen.scored)} of them scored.`}>
      <p class="volume-name" aria-hidden="true">
        Posts <i class="scored" /> scored <i class="unscored" /> waiting
      </p>
      <div ref={host} class="volume-host" />
    </div>
  );
}
