// putMany of a million records from an async iterator into the whole system, in bulk: what the client's process holds.
// scripts/bench sdk-many [RECORDS]
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { developmentSecret, mintToken } from "../keys.mjs";
import { ROOT, start } from "../runtime.mjs";

const COUNT = Number(process.argv[2] ?? 1_000_000);
const NS = "bench.example";

/** Runs in a process of its own: the client alone. Memory after a collection, every 5 % of the way. */
const CLIENT = `
const { Firn } = await import('./sdk.mjs');
const count = Number(process.env.COUNT);
async function* records() {
  for (let idx = 0; idx < count; idx += 1) yield { ns: '${NS}', type: 'many', id: 'm/' + idx, markdown: ('# ' + idx).padEnd(200, ' lorem ipsum') };
}
const samples = [];
const started = performance.now();
const result = await new Firn({ baseUrl: process.env.ORIGIN, token: process.env.TOKEN }).putMany(records(), { mode: 'bulk', onProgress: ({ records: done }) => {
  if (done < samples.length * count / 20) return;
  gc();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  samples.push({ records: done, heap: heapUsed, buffers: arrayBuffers, rss });
} });
console.log(JSON.stringify({ samples, result, seconds: (performance.now() - started) / 1000 }));
`;

const state = mkdtempSync(join(tmpdir(), "firn-bench-"));
const system = await start({ state, secrets: { FIRN_HS256_SECRET: developmentSecret() } });
try {
  const kv = await system.runtime.getKVNamespace("FIRN_CONFIG", "firn-ingest");
  await kv.put(`artifact-config:${NS}`, JSON.stringify({ requests_per_minute: 60_000 }));
  await build({ entryPoints: [join(ROOT, "sdk-ts/src/index.ts")], bundle: true, format: "esm", outfile: join(state, "sdk.mjs"), logLevel: "warning" });
  writeFileSync(join(state, "client.mjs"), CLIENT);
  const token = mintToken({ ns: [NS], sub: "bench", scope: "artifacts:write", exp: Math.floor(Date.now() / 1000) + 36_000 });
  const env = { ...process.env, COUNT, ORIGIN: system.origin, TOKEN: token };
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", join(state, "client.mjs")], { env });
  const { samples, result, seconds } = JSON.parse(stdout);
  const mb = (bytes) => (bytes / 1e6).toFixed(1).padStart(8);
  console.log(`${"records".padStart(10)} ${"heap MB".padStart(8)} ${"buffers".padStart(8)} ${"rss".padStart(8)}`);
  for (const { records, heap, buffers, rss } of samples) console.log(`${String(records).padStart(10)} ${mb(heap)} ${mb(buffers)} ${mb(rss)}`);
  console.log(`${result.accepted} accepted, ${result.rejected} rejected, ${result.requests} requests of ${mb(result.bytes / result.requests).trim()} MB, ${seconds.toFixed(0)} s`);
  const flushed = await (await fetch(`${system.origin}/$.dev/flush`, { method: "POST" })).json();
  console.log(`rows in the lake: ${flushed.tables.reduce((sum, { rows }) => sum + rows, 0)}`);
} finally {
  await system.dispose();
  rmSync(state, { recursive: true, force: true });
}
