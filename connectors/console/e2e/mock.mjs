/**
 * A stand-in for the engine while working on the console: `node e2e/mock.mjs [PORT] [--empty] [--huge]` serves `dist/` under the engine's
 * content security policy, the REST paths the page uses, and `/ws`. Its data are made up and deterministic (seeded), but
 * keep the engine's arithmetic: votes are hidden, revealed and revised, posts are scored late, rows follow.
 */
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { Operations } from './mock-ops.mjs';
import { World } from './mock-world.mjs';

const port = Number(process.argv[2] ?? 8099);
const dist = join(fileURLToPath(new URL('.', import.meta.url)), '..', 'dist');
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const empty = process.argv.includes('--empty');
const huge = process.argv.includes('--huge');
const world = new World(empty);
const operations = new Operations(world);

const server = createServer((req, res) => {
  const url = new URL(req.url, 'http://mock');
  const json = (status, body) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (url.pathname === '/api/v1/views') return json(200, { data: world.viewInfos(), metadata: {} });
  if (url.pathname.startsWith('/api/v1/views/')) return json(200, { data: world.snapshot(url.pathname.slice(14))?.slice(-1) ?? [], metadata: {} });
  if (url.pathname === '/api/v1/posts') {
    const [thread, entity] = [url.searchParams.get('thread'), url.searchParams.get('entity')];
    const fits = (p) => (thread === null || p.thread === thread) && (entity === null || p.mentions.some((m) => m.entity === entity));
    const posts = [...world.posts.values()].reverse().filter(fits).slice(0, Number(url.searchParams.get('limit') ?? 100));
    return json(200, { data: posts.map((p) => world.postItem(p)), metadata: {} });
  }
  if (url.pathname.startsWith('/api/v1/posts/')) {
    const post = world.posts.get(decodeURIComponent(url.pathname.slice(14)));
    return post ? json(200, { data: world.postItem(post), metadata: {} }) : json(404, { error: { code: 'not_found', message: 'no such post' } });
  }
  if (url.pathname === '/health/ready') return json(200, { status: 'ready' });
  const answer = operations.answer(req.method, url.pathname);
  if (typeof answer === 'string') return res.writeHead(200, { 'content-type': 'text/plain' }).end(answer);
  if (answer) return json(answer.error ? 409 : 200, answer);
  const path = normalize(join(dist, url.pathname === '/' ? 'index.html' : url.pathname));
  if (!path.startsWith(normalize(dist)) || !existsSync(path)) return json(404, { error: { code: 'not_found', message: url.pathname } });
  res.writeHead(200, {
    'content-type': TYPES[extname(path)] ?? 'application/octet-stream',
    'content-security-policy': "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    'x-content-type-options': 'nosniff',
  });
  createReadStream(path).pipe(res);
});

const sockets = new WebSocketServer({ server, path: '/ws' });
sockets.on('connection', (ws) => {
  const subscriptions = new Map();
  ws.on('message', (data) => {
    const { op, id, view, filter, from } = JSON.parse(String(data));
    const refuse = (code, message) => ws.send(JSON.stringify({ type: 'error', id, code, message }));
    if (op === 'unsubscribe') {
      if (subscriptions.delete(id)) return ws.send(JSON.stringify({ type: 'unsubscribed', id, view }));
      return refuse('NOT_SUBSCRIBED', 'There is no subscription of this name');
    }
    const rows = world.snapshot(view);
    if (!rows) return refuse('UNKNOWN_VIEW', `no view "${view}"`);
    if (subscriptions.has(id)) return refuse('ALREADY_SUBSCRIBED', 'subscribed already');
    if (huge && view === 'cast_by_minute' && !filter.since) return refuse('SNAPSHOT_TOO_LARGE', 'the snapshot has more than 50000 rows');
    const fits = (row) => ['thread', 'entity'].every((c) => filter[c] === undefined || row[c] === filter[c] || row.mentions?.some((m) => c === 'entity' && m.entity === filter[c]));
    subscriptions.set(id, { view, fits });
    if (from !== null) ws.send(JSON.stringify({ type: 'resync', id, view, from }));
    ws.send(JSON.stringify({ type: 'snapshot', id, view, at: world.tick, rows: rows.filter(fits) }));
  });
  const stop = world.onTick((frames) => {
    for (const frame of frames) {
      if (frame.type === 'progress') ws.send(JSON.stringify(frame));
      for (const [id, { view, fits }] of subscriptions) if (view === frame.view) ws.send(JSON.stringify({ ...frame, id, rows: frame.rows.filter(fits) }));
    }
  });
  ws.on('close', stop);
});

server.listen(port, '127.0.0.1', () => console.log(`mock engine at http://127.0.0.1:${port}`));
world.run(500);
