// Keeps a copy of a view for some seconds and prints its rows: follow.ts ws://127.0.0.1:8080/ws VIEW SECONDS
// Runs in a browser as it is (but for the arguments), and in Node.js from 22 on.
type Row = Record<string, unknown>;
type Frame = { type: string; at?: number; key?: string[]; rows?: Row[]; gone?: Row[]; message?: string };

const [url, view, seconds] = (globalThis as any).process.argv.slice(2);
const rows = new Map<string, Row>();
let key: string[] = [];
let at: number | null = null;
let socket: WebSocket;
let over = false;
const id = (row: Row) => JSON.stringify(key.map((name) => row[name]));

function follow() {
  socket = new WebSocket(url);
  socket.onopen = () => socket.send(JSON.stringify({ op: 'subscribe', view, from: at }));
  socket.onclose = () => over || setTimeout(follow, 1000); // comes back, and goes on where it was
  socket.onmessage = ({ data }) => {
    const frame: Frame = JSON.parse(data);
    if (frame.type === 'error') throw new Error(frame.message);
    if (frame.type === 'snapshot' || frame.type === 'resync') rows.clear();
    key = frame.key ?? key;
    frame.rows?.forEach((row) => rows.set(id(row), row));
    frame.gone?.forEach((row) => rows.delete(id(row)));
    if (frame.type === 'progress') at = frame.at ?? at; // all up to this tick is in the copy
  };
}

follow();
setTimeout(() => {
  over = true; // and nothing is left to wait for: Node.js ends once all is written
  socket.close();
  rows.forEach((row) => console.log(JSON.stringify(row)));
}, Number(seconds) * 1000);
