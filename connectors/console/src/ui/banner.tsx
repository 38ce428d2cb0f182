import type { Problem } from '../state/problem';

/** What is wrong and what to do, above everything else. Present even when empty, so that its content is announced. */
export function Banner({ problem, retry }: { problem: Problem | null; retry: () => void }) {
  return (
    <section class="banner-slot" aria-label="Problems">
      <p class="sr-only" role="alert">
        {problem?.title ?? ''}
      </p>
      {problem && (
        <div class={`banner ${problem.tone}`}>
          <p>
            <strong>{problem.title}</strong> {problem.advice}
          </p>
          {problem.retry && (
            <button type="button" onClick={retry}>
              Try now
            </button>
          )}
        </div>
      )}
    </section>
  );
}
