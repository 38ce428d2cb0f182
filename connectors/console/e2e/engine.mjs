/** Starts and stops a real engine for a browser test, and runs the test. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBrowser } from './browser.mjs';

/** A pipeline in a folder of its own; `pipeline(port, folder)` gives its file. */
export class Engine {
  constructor(program, name, pipeline) {
    this.program = program;
    this.pipeline = pipeline;
    this.folder = mkdtempSync(join(tmpdir(), `groundswell-${name}-`));
  }

  /** Starts it, or starts it again on the same port. */
  async start(patience = 60_000) {
    this.port ??= await freePort();
    this.url = `http://127.0.0.1:${this.port}/`;
    writeFileSync(join(this.folder, 'pipeline.yaml'), this.pipeline(this.port));
    this.process = spawn(this.program, ['run', join(this.folder, 'pipeline.yaml')], { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, RUST_LOG: 'warn' } });
    for (const end = Date.now() + patience; ; ) {
      if (await fetch(new URL('health/ready', this.url)).then((a) => a.ok, () => false)) return;
      if (this.process.exitCode !== null) throw new Error(`the engine ended with exit code ${this.process.exitCode}`);
      if (Date.now() > end) throw new Error('the engine was not ready in time');
      await new Promise((done) => setTimeout(done, 200));
    }
  }

  /** Stops it, and waits until it is gone. */
  async stop(signal = 'SIGTERM') {
    if (!this.process || this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = new Promise((done) => this.process.once('exit', done));
    this.process.kill(signal);
    await ended;
  }

  /** Writes a file beside the pipeline. */
  write(name, text, flag = 'w') {
    writeFileSync(join(this.folder, name), text, { flag });
  }

  /** Stops it and removes everything. */
  async remove() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * Runs one test: starts the engine and a browser, lets `check` look at a page, leaves a screenshot of where it ended, says how
 * it went, and cleans up.
 */
export async function tested(name, engine, screenshot, check) {
  let close = async () => undefined;
  try {
    await engine.start();
    const browser = await openBrowser();
    close = browser.close;
    const page = browser.context.pages()[0] ?? (await browser.context.newPage());
    try {
      console.log(`${name} ok: ${await check(page)}`);
    } finally {
      if (screenshot) await page.screenshot({ path: screenshot }).catch(() => undefined);
    }
  } catch (e) {
    console.error(`${name} test failed: ${e.message}`);
    process.exitCode = 1;
  } finally {
    await close();
    await engine.remove();
  }
}

/** A new API key and its digest. */
export function newKey(program) {
  const made = execFileSync(program, ['key']).toString();
  return { key: /key\s+(\S+)/.exec(made)[1], digest: /sha256\s+(\S+)/.exec(made)[1] };
}

/** One below those that the kernel gives to any connection that goes out: it is free until the engine listens, too. */
async function freePort() {
  for (let tries = 0; tries < 20; tries++) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const free = await new Promise((told) => {
      server.once('error', () => told(false));
      server.listen(port, '127.0.0.1', () => told(true));
    });
    await new Promise((closed) => server.close(closed));
    if (free) return port;
  }
  throw new Error('no port is free');
}
