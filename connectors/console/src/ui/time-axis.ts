import type uPlot from 'uplot';

/** Labels of the time axis: `20:14`, with seconds where they matter, and the day where it begins. */
export function timeLabels(_: uPlot, splits: number[], __: number, ___: number, step: number): string[] {
  let day = '';
  return splits.map((s, i) => {
    const d = new Date(s * 1000);
    const date = `${d.getDate()} ${d.toLocaleString('en', { month: 'short' })}`;
    const first = i > 0 && date !== day;
    day = date;
    if (step >= 86_400) return date;
    const time = `${two(d.getHours())}:${two(d.getMinutes())}${step < 60 ? `:${two(d.getSeconds())}` : ''}`;
    return first ? `${date}\n${time}` : time;
  });
}

function two(n: number): string {
  return String(n).padStart(2, '0');
}
