import { clock, count, duration, plusMinus, signed } from '../model/format';
import type { Phase } from '../model/phases';
import type { Snapshot } from '../state/snapshot';
import { DistributionBar, tone } from './series';

/** The thread's phases side by side: before, while and after it was on air. */
export function PhasesPanel({ s, phases }: { s: Snapshot; phases: readonly Phase[] }) {
  return (
    <section class="panel phases-panel" aria-labelledby="phases-title">
      <div class="panel-head">
        <h2 id="phases-title">Phases</h2>
        <p class="hint">around air time</p>
      </div>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Phases of the thread">
        <table class="list">
          <thead>
            <tr>
              <th scope="col">Phase</th>
              <th scope="col">Time</th>
              <th scope="col" class="n">
                Sentiment
              </th>
              <th scope="col" class="wide">
                Distribution
              </th>
              <th scope="col" class="n">
                Posts
              </th>
            </tr>
          </thead>
          <tbody>
            {phases.map((p) => (
              <tr key={p.name} data-phase={p.name} class={s.tick !== null && s.tick >= p.start && s.tick < p.end ? 'now' : ''}>
                <th scope="row">{p.name}</th>
                <td>
                  {clock(p.start, { today: s.now })}–{clock(p.end, { today: p.start })} <small>{duration(p.end - p.start)}</small>
                </td>
                <td class="n">
                  <b class={tone(p.sentiment)}>{signed(p.sentiment)}</b> <small>{plusMinus(p.ci)}</small>
                </td>
                <td class="wide">
                  <DistributionBar of={p} />
                </td>
                <td class="n">{count(p.posts)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
