import type { ComponentChildren } from 'preact';

/** One number with its name, and perhaps a second, smaller one. */
export interface Fact {
  id: string;
  name: string;
  value: ComponentChildren;
  more?: ComponentChildren;
  /** What it means, for those who point at it. */
  title?: string;
  tone?: 'bad' | 'warn' | 'pos-text' | 'neg-text' | '';
}

/** Numbers side by side. */
export function Facts({ facts, label }: { facts: readonly Fact[]; label: string }) {
  return (
    <dl class="panel facts" aria-label={label}>
      {facts.map((f) => (
        <div key={f.id} data-fact={f.id} title={f.title}>
          <dt>{f.name}</dt>
          <dd class={f.tone ?? ''}>
            <b>{f.value}</b> {f.more !== undefined && <small>{f.more}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
