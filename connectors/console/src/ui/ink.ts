/** The style sheet's colours, resolved for the canvas. */
export interface Ink {
  text: string;
  muted: string;
  grid: string;
  zero: string;
  surface: string;
  shade: string;
  firing: string;
  volume: string;
  waiting: string;
  font: string;
  hue(hue: number, alpha: number): string;
}

/** Reads them through a probe element: custom properties alone would come back unresolved. */
export function readInk(host: HTMLElement): Ink {
  const probe = document.createElement('span');
  probe.hidden = true;
  host.append(probe);
  const resolve = (className: string) => {
    probe.className = className;
    return getComputedStyle(probe).color;
  };
  const hues = Array.from({ length: 8 }, (_, i) => resolve(`hue-${i}`));
  const ink: Ink = {
    text: resolve('ink-text'),
    muted: resolve('ink-muted'),
    grid: resolve('ink-grid'),
    zero: resolve('ink-zero'),
    surface: resolve('ink-surface'),
    shade: resolve('ink-shade'),
    firing: resolve('ink-firing'),
    volume: resolve('ink-volume'),
    waiting: resolve('ink-waiting'),
    font: `12px ${getComputedStyle(host).fontFamily}`,
    hue: (hue, alpha) => withAlpha(hues[hue % hues.length] ?? 'rgb(128, 128, 128)', alpha),
  };
  probe.remove();
  return ink;
}

/** `rgb(r, g, b)` with another opacity. */
export function withAlpha(rgb: string, alpha: number): string {
  const parts = rgb.match(/[\d.]+/g)?.slice(0, 3) ?? ['128', '128', '128'];
  return `rgba(${parts.join(', ')}, ${alpha})`;
}
