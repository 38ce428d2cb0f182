/** One value of a metric. */
export interface Sample {
  labels: Readonly<Record<string, string>>;
  value: number;
}

/** Metrics by name. */
export type Samples = ReadonlyMap<string, readonly Sample[]>;

/** Reads the Prometheus text format; a line that is none is passed over. */
export function parseMetrics(text: string): Samples {
  const samples = new Map<string, Sample[]>();
  for (const line of text.split('\n')) {
    const found = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    if (!found) continue;
    const [, name = '', labels = '', written = ''] = found;
    const value = written === '+Inf' ? Infinity : Number(written);
    if (Number.isNaN(value)) continue;
    const list = samples.get(name) ?? [];
    list.push({ labels: readLabels(labels), value });
    samples.set(name, list);
  }
  return samples;
}

/** The values of a metric whose labels are as given, added up; `null` if there is none. */
export function sum(samples: Samples, name: string, labels: Readonly<Record<string, string>> = {}): number | null {
  const fits = (samples.get(name) ?? []).filter((s) => Object.entries(labels).every(([k, v]) => s.labels[k] === v));
  return fits.length === 0 ? null : fits.reduce((total, s) => total + s.value, 0);
}

/** The greatest value of a metric; `null` if there is none. */
export function most(samples: Samples, name: string): number | null {
  const values = (samples.get(name) ?? []).map((s) => s.value);
  return values.length === 0 ? null : Math.max(...values);
}

/** The values a label has, in order. */
export function labelValues(samples: Samples, name: string, label: string): string[] {
  return [...new Set((samples.get(name) ?? []).flatMap((s) => s.labels[label] ?? []))].sort();
}

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, key = '', value = ''] of text.matchAll(/([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g)) {
    labels[key] = value.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
  }
  return labels;
}
