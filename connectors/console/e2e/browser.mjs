/** Starts Chromium with a fresh profile that talks to nobody by itself. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Opens a browser context; `close()` ends it and removes its profile. */
export async function openBrowser(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'groundswell-console-'));
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const remove = () => rm(profile, { recursive: true, force: true, maxRetries: 5 });
  try {
    const context = await chromium.launchPersistentContext(profile, { executablePath, args: FLAGS, viewport: { width: 1440, height: 900 }, ...options });
    return { context, close: () => context.close().finally(remove) };
  } catch (e) {
    await remove();
    throw new Error(`cannot start the browser ${executablePath} (set CHROMIUM to its path): ${e.message}`);
  }
}
