/** The shape of a series, without numbers: they stand beside it. */
export function Spark({ values, width = 64, height = 16 }: { values: readonly number[]; width?: number; height?: number }) {
  if (values.length < 2) return null;
  const top = Math.max(1e-9, ...values);
  const points = values.map((v, i) => `${((i / (values.length - 1)) * (width - 2) + 1).toFixed(1)},${(height - 1.5 - (Math.max(0, v) / top) * (height - 3)).toFixed(1)}`);
  return (
    <svg class="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <polyline points={points.join(' ')} />
    </svg>
  );
}
