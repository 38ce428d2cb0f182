/** How a node stands: its colour on the page, and never colour alone. */
export type Tone = 'good' | 'warn' | 'bad' | 'calm';

/** A part of the pipeline. */
export interface Node {
  id: string;
  title: string;
  /** At most two lines below the title. */
  lines: string[];
  tone: Tone;
}

/** What flows from one part to another. */
export interface Edge {
  from: string;
  to: string;
  /** Something flows just now. */
  busy: boolean;
  /** A way aside, such as that of dead letters. */
  aside?: boolean;
}

/** The parts in stages, from the sources to what is outside. */
export interface Graph {
  stages: Node[][];
  edges: Edge[];
}

/** A node with its place. */
export interface Placed extends Node {
  x: number;
  y: number;
  w: number;
  h: number;
}

/** Where everything stands on a drawing of this size. */
export interface Drawing {
  width: number;
  height: number;
  nodes: Placed[];
  paths: { key: string; d: string; busy: boolean; aside: boolean }[];
}

const H = 66;
const GAP_Y = 14;
const GAP_X = 30;
/** A drawing this wide has stages side by side; a narrower one has them below each other. */
const SIDE_BY_SIDE = 1040;

/** Places the graph on a drawing of a given width. */
export function layout(graph: Graph, width: number): Drawing {
  const across = width >= SIDE_BY_SIDE;
  const nodes = across ? placeAcross(graph.stages, width) : placeDown(graph.stages, width);
  const height = Math.max(0, ...nodes.map((n) => n.y + n.h)) + 2;
  const at = new Map(nodes.map((n) => [n.id, n]));
  const paths = graph.edges.flatMap((e) => {
    const [from, to] = [at.get(e.from), at.get(e.to)];
    if (!from || !to) return [];
    const d = across ? pathAcross(from, to, graph.stages) : pathDown(from, to);
    return [{ key: `${e.from}→${e.to}`, d, busy: e.busy, aside: e.aside ?? false }];
  });
  return { width, height, nodes, paths };
}

/** Stages as columns, each centred. */
function placeAcross(stages: readonly Node[][], width: number): Placed[] {
  const w = (width - 2 - GAP_X * (stages.length - 1)) / stages.length;
  const tallest = Math.max(...stages.map((s) => s.length));
  const full = tallest * H + (tallest - 1) * GAP_Y;
  return stages.flatMap((stage, column) => {
    const own = stage.length * H + (stage.length - 1) * GAP_Y;
    return stage.map((node, row) => ({ ...node, x: 1 + column * (w + GAP_X), y: 1 + (full - own) / 2 + row * (H + GAP_Y), w, h: H }));
  });
}

/** Stages below each other, at most two nodes side by side. */
function placeDown(stages: readonly Node[][], width: number): Placed[] {
  const full = Math.min(width - 2, 640);
  const left = (width - full) / 2;
  let y = 1;
  return stages.flatMap((stage) => {
    const two = stage.length > 1;
    const w = two ? (full - GAP_Y) / 2 : full;
    const placed = stage.map((node, i) => ({ ...node, x: left + (two ? (i % 2) * (w + GAP_Y) : 0), y: y + (two ? Math.floor(i / 2) : 0) * (H + GAP_Y), w, h: H }));
    y = Math.max(...placed.map((p) => p.y)) + H + 24;
    return placed;
  });
}

/** From the right side of one to the left side of the other; within a stage straight down. */
function pathAcross(from: Placed, to: Placed, stages: readonly Node[][]): string {
  if (from.x === to.x) return `M${mid(from)} ${from.y + from.h}V${to.y}`;
  const [x1, y1, x2, y2] = [from.x + from.w, from.y + from.h / 2, to.x, to.y + to.h / 2];
  const stageOf = (n: Placed) => stages.findIndex((s) => s.some((o) => o.id === n.id));
  // A way past a stage goes round its nodes: over them if it ends above, else under them.
  if (stageOf(to) - stageOf(from) > 1) {
    const past = y2 <= y1 ? from.y - 12 : from.y + from.h + 12;
    return `M${x1} ${y1}C${x1 + GAP_X * 0.7} ${y1} ${x1} ${past} ${x1 + GAP_X} ${past}H${x2 - GAP_X}C${x2 - GAP_X * 0.3} ${past} ${x2 - GAP_X * 0.7} ${y2} ${x2} ${y2}`;
  }
  const bend = (x2 - x1) / 2;
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

/** From the bottom of one to the top of the other. */
function pathDown(from: Placed, to: Placed): string {
  const [x1, y1, x2, y2] = [mid(from), from.y + from.h, mid(to), to.y];
  if (y1 > y2) return `M${from.x + from.w} ${from.y + from.h / 2}H${to.x}`;
  const bend = Math.min(20, (y2 - y1) / 2);
  return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}

function mid(n: Placed): number {
  return n.x + n.w / 2;
}
