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
import { World } from './mock-world.mjs';

const port = Number(process.argv[2] ?? 8099);
const dist = join(fileURLToPath(new URL('.', import.meta.url)), '..', 'dist');
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const empty = process.argv.includes('--empty');
const huge = process.argv.includes('--huge');
const world = new World(empty);

const server = createServer((req, res) => {
  const url = new URL(req.url, 'http://mock');
  const json = (status, body) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (url.pathname === '/api/v1/views') return json(200, { data: world.viewInfos(), metadata: {} });
  if (url.pathname.startsWith('/api/v1/views/')) return json(200, { data: world.snapshot(url.pathname.slice(14))?.slice(-1) ?? [], metadata: {} });
  if (url.pathname.startsWith('/api/v1/posts/')) {
    const post = world.posts.get(decodeURIComponent(url.pathname.slice(14)));
    return post ? json(200, { data: world.postItem(post), metadata: {} }) : json(404, { error: { code: 'not_found', message: 'no such post' } });
  }
  if (url.pathname === '/health/ready') return json(200, { status: 'ready' });
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
  const views = new Set();
  ws.on('message', (data) => {
    const { op, view, filter, from } = JSON.parse(String(data));
    if (op !== 'subscribe') return ws.send(JSON.stringify({ type: 'error', code: 'bad_op', message: `unknown op "${op}"` }));
    const rows = world.snapshot(view);
    if (!rows) return ws.send(JSON.stringify({ type: 'error', id: view, code: 'UNKNOWN_VIEW', message: `no view "${view}"` }));
    if (views.has(view)) return ws.send(JSON.stringify({ type: 'error', id: view, code: 'ALREADY_SUBSCRIBED', message: 'subscribed already' }));
    if (huge && view === 'cast_by_minute' && !filter.since) {
      return ws.send(JSON.stringify({ type: 'error', id: view, code: 'SNAPSHOT_TOO_LARGE', message: 'the snapshot has more than 50000 rows' }));
    }
    views.add(view);
    if (from !== null) ws.send(JSON.stringify({ type: 'resync', view, from }));
    ws.send(JSON.stringify({ type: 'snapshot', view, at: world.tick, rows }));
  });
  const stop = world.onTick((frames) => {
    for (const frame of frames) if (frame.type === 'progress' || views.has(frame.view)) ws.send(JSON.stringify(frame));
  });
  ws.on('close', stop);
});

server.listen(port, '127.0.0.1', () => console.log(`mock engine at http://127.0.0.1:${port}`));
world.run(500);
