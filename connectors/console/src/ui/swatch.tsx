import type { Session } from '../state/session';

/** The line of a series in small: its hue and its pattern. Nothing for a series that is not on the chart. */
export function Swatch({ session, name }: { session: Session; name: string }) {
  const look = session.colours.of(name);
  if (!look) return null;
  const { hue, dash } = look;
  return (
    <svg class={`swatch hue-${hue}`} viewBox="0 0 18 8" aria-hidden="true">
      <line x1="1.5" y1="4" x2="16.5" y2="4" stroke="currentColor" stroke-width="3" stroke-linecap={dash.length ? 'butt' : 'round'} stroke-dasharray={dash.map((d) => d * 0.7).join(' ')} />
    </svg>
  );
}
