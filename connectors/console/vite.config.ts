import { defineConfig } from 'vitest/config';

declare const process: { env: Record<string, string | undefined> };

/** The engine behind `npm run dev` and `npm run preview`. */
const engine = process.env.ENGINE ?? 'http://127.0.0.1:8080';
const proxy = { '/api': engine, '/health': engine, '/metrics': engine, '/ws': { target: engine.replace(/^http/, 'ws'), ws: true } };
/** What the engine sends along with the page. */
const csp = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/** Everything ends up as files of our own: nothing inlined, so that the page works under `default-src 'self'`. */
export default defineConfig({
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { outDir: 'dist', target: 'es2022', cssTarget: ['chrome123', 'firefox120', 'safari17.5'], assetsInlineLimit: 0, modulePreload: false, sourcemap: false },
  server: { proxy },
  preview: { proxy, headers: { 'content-security-policy': csp } },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
});
