/**
 * Starts Chromium with a fresh profile that talks to nobody by itself. With DIST=FOLDER it takes the console's own files from
 * there instead of those built into the engine, under the engine's content security policy: for tests while working on it.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
/** A page that comes from a folder counts as one from the internet, which may not open sockets to this machine. */
const FROM_FOLDER = ['--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets'];
const CSP = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/** Opens a browser context; `close()` ends it and removes its profile. */
export async function openBrowser(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'groundswell-console-'));
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const remove = () => rm(profile, { recursive: true, force: true, maxRetries: 5 });
  try {
    const context = await chromium.launchPersistentContext(profile, { executablePath, args: process.env.DIST ? [...FLAGS, ...FROM_FOLDER] : FLAGS, viewport: { width: 1440, height: 900 }, ...options });
    if (process.env.DIST) await serveFrom(context, process.env.DIST);
    return { context, close: () => context.close().finally(remove) };
  } catch (e) {
    await remove();
    throw new Error(`cannot start the browser ${executablePath} (set CHROMIUM to its path): ${e.message}`);
  }
}

/** Answers requests for the console's files from a folder. */
async function serveFrom(context, dist) {
  await context.route(
    (url) => url.pathname === '/' || existsSync(join(dist, url.pathname)),
    (route) => {
      const { pathname } = new URL(route.request().url());
      return route.fulfill({ path: join(dist, pathname === '/' ? 'index.html' : pathname), headers: { 'content-security-policy': CSP } });
    },
  );
}
