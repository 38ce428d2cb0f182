import { describe, expect, it } from 'vitest';
import { layout, type Graph, type Placed } from '../src/model/graph';
import { graphOf, graphWords, type Parts } from '../src/model/pipeline';
import { parseMetrics } from '../src/model/prom';

const sink = (name: string, state = 'running') => ({ name, state, committed: 0, ticksBehind: 0, secondsBehind: 0, failures: 0, error: null, resync: null });
const source = (name: string) => ({ name, read: 1, accepted: 1, duplicate: 0, late: 0, dead: 0, waiting: 0, lag: 0.1 });

function parts(more: Partial<Parts> = {}): Parts {
  return { metrics: parseMetrics('groundswell_scorer_queue_texts 3\ngroundswell_websocket_clients 1\n'), sources: [source('s')], sinks: [sink('pg')], models: [], views: [], alerts: { firing: 0, all: 2 }, rate: () => 1, ...more };
}

function overlap(a: Placed, b: Placed): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

describe('the graph', () => {
  it('goes from sources to sinks and the hub', () => {
    const g = graphOf(parts());
    expect(g.stages.map((s) => s.map((n) => n.id))).toEqual([['source s'], ['record', 'dead'], ['dedupe'], ['link'], ['score'], ['window'], ['rules'], ['hub', 'sink pg']]);
    const ids = new Set(g.stages.flat().map((n) => n.id));
    for (const e of g.edges) expect([ids.has(e.from), ids.has(e.to)]).toEqual([true, true]);
    expect(g.edges.every((e) => e.busy)).toBe(true);
    expect(graphOf(parts({ rate: () => 0 })).edges.some((e) => e.busy)).toBe(false);
  });
  it('says in tones what needs a look', () => {
    const g = graphOf(parts({ sinks: [sink('a', 'paused'), sink('b', 'broken')], alerts: { firing: 1, all: 1 }, rate: (n) => (n === 'dead' ? 2 : 0) }));
    const tones = Object.fromEntries(g.stages.flat().map((n) => [n.id, n.tone]));
    expect([tones['sink a'], tones['sink b'], tones.rules, tones.dead, tones.score]).toEqual(['warn', 'bad', 'bad', 'warn', 'good']);
    expect(graphWords(parts({ sinks: [sink('a', 'paused'), sink('b')] }))).toMatch(/2 sinks, of which a paused/);
    expect(graphWords(parts())).toMatch(/1 sinks, all running/);
  });
  it('folds many sources and sinks into one node', () => {
    const many = Array.from({ length: 9 }, (_, i) => `n${i}`);
    const g = graphOf(parts({ sources: many.map(source), sinks: many.map((n) => sink(n)) }));
    expect(g.stages[0]?.map((n) => n.title)).toEqual(['n0', 'n1', 'n2', 'n3', '5 more sources']);
    expect(g.stages.at(-1)).toHaveLength(6);
  });
});

describe('the drawing', () => {
  const graph: Graph = graphOf(parts({ sources: ['a', 'b', 'c'].map(source), sinks: ['x', 'y'].map((n) => sink(n)) }));
  for (const width of [360, 700, 1040, 1700]) {
    it(`has its nodes inside and apart at ${width} px`, () => {
      const d = layout(graph, width);
      expect(d.nodes).toHaveLength(graph.stages.flat().length);
      for (const n of d.nodes) {
        expect(n.x).toBeGreaterThanOrEqual(0);
        expect(n.x + n.w).toBeLessThanOrEqual(width);
        expect(n.y + n.h).toBeLessThanOrEqual(d.height);
      }
      for (const [i, a] of d.nodes.entries()) for (const b of d.nodes.slice(i + 1)) expect(overlap(a, b), `${a.id} and ${b.id}`).toBe(false);
      expect(d.paths).toHaveLength(graph.edges.length);
      for (const p of d.paths) expect(p.d).not.toMatch(/NaN|undefined/);
    });
  }
  it('is empty without parts', () => {
    expect(layout({ stages: [], edges: [{ from: 'a', to: 'b', busy: false }] }, 1200)).toMatchObject({ nodes: [], paths: [] });
  });
});
