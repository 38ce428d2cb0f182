import { useEffect, useRef, useState } from 'preact/hooks';
import { layout, type Graph, type Placed } from '../model/graph';

/** The pipeline as a drawing as wide as there is room. The tables below it have the same numbers. */
export function GraphView({ graph, words }: { graph: Graph; words: string }) {
  const host = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const { current } = host;
    if (!current) return;
    const watch = new ResizeObserver(() => setWidth(current.clientWidth));
    watch.observe(current);
    return () => watch.disconnect();
  }, []);
  const drawing = width > 0 ? layout(graph, width) : null;
  return (
    <div class="graph-host">
      <div ref={host} />
      {drawing && (
        <svg class="graph" width={drawing.width} height={drawing.height} role="img" aria-label={words}>
          {drawing.paths.map((p) => (
            <path key={p.key} d={p.d} class={`edge ${p.busy ? 'busy' : ''} ${p.aside ? 'aside' : ''}`} />
          ))}
          {drawing.nodes.map((n) => (
            <NodeShape key={n.id} n={n} />
          ))}
        </svg>
      )}
    </div>
  );
}

function NodeShape({ n }: { n: Placed }) {
  const room = Math.floor((n.w - 26) / 7.6);
  return (
    <g class={`node ${n.tone}`} data-node={n.id} transform={`translate(${n.x} ${n.y})`}>
      <title>{[n.title, ...n.lines].join(', ')}</title>
      <rect width={n.w} height={n.h} rx="8" />
      <rect class="mark" width="4" height={n.h - 16} x="6" y="8" rx="2" />
      <text x="18" y="21" class="name">
        {cut(n.title, room)}
      </text>
      {n.lines.map((line, i) => (
        <text key={i} x="18" y={39 + 16 * i} class="line">
          {cut(line, room + 2)}
        </text>
      ))}
    </g>
  );
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}
