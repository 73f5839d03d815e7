// What serving costs: CPU of all workerd threads, over a socket to the serve Worker itself, in one run with its floors.
//
// hit: the edge cache answers, against a Worker that only answers `caches.default.match`; beside it one in JavaScript that
// gives the copy a head of its own (age, status, request id, source), as nobody can do without. place: the ledger says where the
// row lies and one page is read, everything else held (`?fresh=true` keeps the cache out of it), against a Worker that only
// does one R2 get, and against hyparquet over the same table, which is told the place for nothing. fill: the same where the
// cache was asked and missed, and is filled. Then a Zipf workload through the cache.
//
// R2, the Cache API and KV are another process (tests/bench-workers/serve/storage-process.mjs), so that what they cost is
// not in any figure, but for workerd's side of the connection, which every variant has alike. The ledger's object is in the
// workerd that is measured: both of its sides are in Firn's figures. wrangler and miniflare are in none.
//
// Variants take turns, and a figure is the median of the rounds: the machine may be busy with something else. The load's
// client and the storage share the machine: requests a second are for comparing. FIRN_BENCH_ROUNDS (default 15),
// FIRN_BENCH_REQUESTS (of the workload, 20,000) and FIRN_BENCH_BUILD (a folder with other `serve` and `ingest` builds).
import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { cpuMicros, external, median, quote, r2, running, script, startWorkerd, text, wasm, worker } from "../../tests/bench-workers/workerd.mjs";
import { developmentSecret, mintToken } from "../keys.mjs";
import { ROOT, start } from "../runtime.mjs";

const ROUNDS = Number(process.env.FIRN_BENCH_ROUNDS ?? 15);
const WORKLOAD = Number(process.env.FIRN_BENCH_REQUESTS ?? 20_000);
const BUILD = process.env.FIRN_BENCH_BUILD ?? join(ROOT, "workers");
const HERE = join(ROOT, "tests/bench-workers/serve");
const WARM_UPS = 3;
const REQUESTS_PER_ROUND = 100;
const ARTIFACTS = 2_000;
const RECORDS_PER_PUBLISH = 1_000;
const CONTENT_LEN_BYTES = 3_000;
const CONNECTIONS = 16;
const ZIPF_EXPONENT = 1;
const NS = "bench.example";
const LEDGER_KEY = "firn-ingest-LedgerObject";

/** mulberry32. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

const idOf = (idx) => `guide/${String(idx).padStart(5, "0")}-how-it-is-done`;
const pathOf = (idx) => `/$.content/${NS}/page/${idOf(idx)}.md`;

/** Words, so that pages compress as text does. */
function contents() {
  const chance = random(7);
  const word = () => Array.from({ length: 2 + Math.floor(chance() * 8) }, () => "abcdefghijklmnoprstuvw"[Math.floor(chance() * 22)]).join("");
  const words = Array.from({ length: 3_000 }, word);
  return Array.from({ length: ARTIFACTS }, (_, idx) => {
    let content = `# ${idOf(idx)}\n`;
    while (content.length < CONTENT_LEN_BYTES) content += `${words[Math.floor(chance() * words.length)]} `;
    return content.slice(0, CONTENT_LEN_BYTES);
  });
}

/** Publishes everything through the whole system, until the ledger holds places alone; leaves objects and ledgers behind. */
async function prepare(scratch, texts) {
  const state = join(scratch, "state");
  const system = await start({ state, secrets: { FIRN_HS256_SECRET: developmentSecret() }, vars: { "firn-ingest": { FIRN_RESEND_SECONDS: "86400" } } });
  try {
    const token = mintToken({ ns: [NS], scope: "artifacts:write" });
    for (let from = 0; from < ARTIFACTS; from += RECORDS_PER_PUBLISH) {
      const lines = texts.slice(from, from + RECORDS_PER_PUBLISH).map((markdown, at) => JSON.stringify({ ns: NS, type: "page", id: idOf(from + at), markdown }));
      const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/x-ndjson" };
      const answer = await fetch(`${system.origin}/$.artifacts`, { method: "POST", headers, body: lines.join("\n") });
      if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
    }
    const flushed = await fetch(`${system.origin}/$.dev/flush?forget=1`, { method: "POST" });
    if (!flushed.ok) throw new Error(`flush: ${flushed.status} ${await flushed.text()}`);
    const folder = join(scratch, "objects");
    mkdirSync(folder);
    const bucket = await system.runtime.getR2Bucket("LAKE_BUCKET", "firn-lake");
    const { objects } = await bucket.list();
    for (const { key } of objects) writeFileSync(join(folder, encodeURIComponent(key)), Buffer.from(await (await bucket.get(key)).arrayBuffer()));
    texts.forEach((content, idx) => writeFileSync(join(folder, encodeURIComponent(`bare/${idx}`)), content));
    return { folder, keys: objects.map(({ key }) => key) };
  } finally {
    await system.dispose();
  }
}

/** Where each row lies, for the reader that has no ledger. */
async function findPlaces(folder, keys) {
  const places = new Map();
  for (const path of keys.filter((key) => key.endsWith(".parquet"))) {
    const bytes = readFileSync(join(folder, encodeURIComponent(path)));
    const file = { byteLength: bytes.length, slice: (from, to) => bytes.buffer.slice(bytes.byteOffset + from, bytes.byteOffset + (to ?? bytes.length)) };
    const rows = await parquetReadObjects({ file, compressors, columns: ["ns", "type", "id"] });
    rows.forEach((key, row) => places.set(key.id, { path, row, ...key }));
  }
  return Array.from({ length: ARTIFACTS }, (_, idx) => encodeURIComponent(JSON.stringify(places.get(idOf(idx)))));
}

async function startStorage(folder) {
  const child = fork(join(HERE, "storage-process.mjs"), [folder]);
  const [ports] = await once(child, "message");
  const reads = async () => {
    const told = once(child, "message");
    child.send("reads");
    return (await told)[0].reads;
  };
  return { ports, reads, stop: () => child.disconnect() };
}

/** serve and its ledgers, and the Workers that it is compared with. */
function startWorkers(scratch, { ports }) {
  for (const name of ["serve", "ingest"]) {
    copyFileSync(join(BUILD, name, "build/worker.js"), join(scratch, `${name}.js`));
    copyFileSync(join(BUILD, name, "build/index_bg.wasm"), join(scratch, `${name}.wasm`));
  }
  copyFileSync(join(HERE, "bare.js"), join(scratch, "bare.js"));
  execFileSync(join(ROOT, "node_modules/.bin/esbuild"), [join(HERE, "hyparquet.js"), "--bundle", "--format=esm", "--target=es2022", "--log-level=warning", `--outfile=${join(scratch, "hyparquet.js")}`]);
  const firn = (name) => [script(`${name}.js`), wasm("./index_bg.wasm", `${name}.wasm`)];
  const kv = `(name = "FIRN_CONFIG", kvNamespace = "kv")`;
  const ledger = (service) => `(name = "LEDGER", durableObjectNamespace = (className = "LedgerObject"${service}))`;
  const bucket = r2("LAKE_BUCKET", "r2");
  const vars = { FIRN_TABLES: "firn.artifacts_preview,firn.artifacts_build,firn.artifacts_bulk", FIRN_POINTER_HOLD_SECONDS: "3600", FIRN_HS256_SECRET: developmentSecret() };
  const texts = Object.entries(vars).map(([name, value]) => text(name, value));
  // The files that miniflare left hold the object under the same name only with the same key.
  const object = [`durableObjectNamespaces = [(className = "LedgerObject", uniqueKey = ${quote(LEDGER_KEY)}, enableSql = true)]`, `durableObjectStorage = (localDisk = "ledgers")`];
  const cached = [`cacheApiOutbound = "cache"`];
  const services = [
    worker("serve", firn("serve"), [bucket, kv, ledger(`, serviceName = "ingest"`), ...texts], cached),
    worker("ingest", firn("ingest"), [kv, ledger(""), ...texts], object),
    worker("bare", [script("bare.js")], [bucket], cached),
    worker("hyparquet", [script("hyparquet.js")], [bucket]),
    `(name = "ledgers", disk = (path = ${quote(join(scratch, "ledgers"))}, writable = true))`,
    ...Object.entries(ports).map(([name, port]) => external(name, port)),
  ];
  return startWorkerd(scratch, services, ["serve", "bare", "hyparquet"]);
}

class Client {
  constructor(connections) {
    this.agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  }

  get(port, path, headers = {}, method = "GET") {
    return new Promise((done, fail) => {
      const sent = http.request({ host: "127.0.0.1", port, path, method, agent: this.agent, headers: { Host: "firn.localhost", ...headers } }, (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part)).on("end", () => done({ status: response.statusCode, headers: response.headers, text: Buffer.concat(parts).toString() }));
      });
      sent.on("error", fail).end();
    });
  }
}

/** CPU a request, in microseconds, of requests for some of the artifacts one after the other. */
async function measure(system, client, texts, indexes, { port, path, headers = () => ({}) }) {
  const before = cpuMicros(system.pid);
  const answers = [];
  for (const idx of indexes) answers.push(await client.get(system.ports[port], path(idx), headers(idx)));
  const cost = (cpuMicros(system.pid) - before) / indexes.length;
  answers.forEach((answer, at) => {
    if (answer.status !== 200 || answer.text !== texts[indexes[at]]) throw new Error(`${path(indexes[at])}: ${answer.status} ${answer.text.slice(0, 200)}`);
  });
  return { cost, last: answers.at(-1) };
}

const HIT = 0;
/** A copy is checked against the ledger until it is 5 s old. */
const SETTLES_MILLIS = 6_000;

async function measureCosts(system, storage, texts, places) {
  const client = new Client(1);
  const key = (idx) => ({ key: `bare/${idx}` });
  const variants = {
    "bare hit": { port: "bare", path: (idx) => `/cached/${idx}`, headers: key, same: true },
    "JavaScript hit, own head": { port: "bare", path: (idx) => `/cached/${idx}`, headers: (idx) => ({ ...key(idx), head: "own" }), same: true },
    "Firn, hit": { port: "serve", path: pathOf, same: true },
    "bare R2.get": { port: "bare", path: (idx) => `/${idx}`, headers: key },
    "Firn, by place": { port: "serve", path: (idx) => `${pathOf(idx)}?fresh=true` },
    "Firn, missed and filled": { port: "serve", path: pathOf },
    "hyparquet, told the place": { port: "hyparquet", path: () => "/", headers: (idx) => ({ place: places[idx] }) },
  };
  const samples = Object.fromEntries(Object.keys(variants).map((name) => [name, []]));
  const reads = {};
  const said = {};
  for (const { same, port, path, headers } of Object.values(variants)) if (same) await client.get(system.ports[port], path(HIT), headers?.(HIT));
  await new Promise((go) => setTimeout(go, SETTLES_MILLIS));
  // Each artifact is missed once: other than those that are hit.
  let next = 1;
  for (let round = -WARM_UPS; round < ROUNDS; round++) {
    const fresh = Array.from({ length: REQUESTS_PER_ROUND }, (_, at) => ((next + at) % (ARTIFACTS - 1)) + 1);
    next += REQUESTS_PER_ROUND;
    for (const [name, variant] of Object.entries(variants)) {
      const indexes = variant.same ? fresh.map(() => HIT) : fresh;
      await storage.reads();
      const { cost, last } = await measure(system, client, texts, indexes, variant);
      if (round < 0) continue;
      reads[name] = (await storage.reads()) / indexes.length;
      said[name] = last.headers["cache-status"] ?? "";
      samples[name].push(cost);
    }
  }
  client.agent.destroy();
  // Of two figures of one round each.
  const ratioOf = (name, other) => median(samples[name].map((cost, round) => cost / samples[other][round]));
  const cell = (value, width) => String(value).padStart(width);
  console.log(`${"a request".padEnd(28)}   CPU ms  ÷ bare hit  ÷ R2.get  R2 reads  Cache-Status`);
  for (const name of Object.keys(variants)) {
    const ratio = (other) => ratioOf(name, other).toFixed(2);
    console.log(`${name.padEnd(28)}${cell((median(samples[name]) / 1000).toFixed(3), 9)}${cell(ratio("bare hit"), 12)}${cell(ratio("bare R2.get"), 10)}${cell(reads[name].toFixed(2), 10)}  ${said[name]}`);
  }
  const verdict = (what, value, goal) => console.log(`${what}: ${value.toFixed(2)} (goal <= ${goal})`);
  verdict("hit ÷ bare hit", ratioOf("Firn, hit", "bare hit"), 1.2);
  verdict("by place ÷ R2.get", ratioOf("Firn, by place", "bare R2.get"), 3);
  verdict("by place ÷ hyparquet", ratioOf("Firn, by place", "hyparquet, told the place"), 0.5);
}

/** Artifacts by Zipf's law, shuffled so that popularity has nothing to do with place. */
function zipf(count) {
  const chance = random(11);
  const weights = Array.from({ length: ARTIFACTS }, (_, rank) => 1 / (rank + 1) ** ZIPF_EXPONENT);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  const cumulated = weights.map((weight) => (sum += weight / total));
  const order = Array.from({ length: ARTIFACTS }, (_, idx) => idx).sort((a, b) => Math.imul(a + 1, 2_654_435_761) - Math.imul(b + 1, 2_654_435_761));
  return Array.from({ length: count }, () => {
    const wanted = chance();
    const rank = cumulated.findIndex((upTo) => upTo >= wanted);
    return order[rank === -1 ? ARTIFACTS - 1 : rank];
  });
}

async function measureWorkload(scratch, storage, texts) {
  // A fresh workerd and cache: the workload fills them.
  const system = await startWorkers(scratch, storage);
  const client = new Client(CONNECTIONS);
  const queue = zipf(WORKLOAD).values();
  const times = [];
  const statuses = new Map();
  await client.get(system.ports.serve, "/$.content/");
  await storage.reads();
  const [cpuBefore, began] = [cpuMicros(system.pid), performance.now()];
  const connection = async () => {
    for (const idx of queue) {
      const sent = performance.now();
      const answer = await client.get(system.ports.serve, pathOf(idx));
      times.push(performance.now() - sent);
      if (answer.status !== 200 || answer.text !== texts[idx]) throw new Error(`${pathOf(idx)}: ${answer.status}`);
      const how = /hit|miss|stale|bypass/.exec(answer.headers["cache-status"])?.[0] ?? answer.headers["x-artifact-source"];
      statuses.set(how, (statuses.get(how) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
  const seconds = (performance.now() - began) / 1000;
  const cpu = (cpuMicros(system.pid) - cpuBefore) / WORKLOAD;
  const reads = ((await storage.reads()) * 1000) / WORKLOAD;
  const at = (share) => times.toSorted((a, b) => a - b)[Math.floor(times.length * share)].toFixed(2);
  client.agent.destroy();
  await system.stop();
  const share = [...statuses].map(([how, count]) => `${how} ${((100 * count) / WORKLOAD).toFixed(1)} %`).join(", ");
  console.log(`\nZipf(${ZIPF_EXPONENT}) over ${ARTIFACTS} artifacts, ${WORKLOAD} requests, ${CONNECTIONS} connections: ${Math.round(WORKLOAD / seconds)} requests/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, CPU ${(cpu / 1000).toFixed(3)} ms a request, ${reads.toFixed(1)} R2 reads per 1,000 requests (${share})`);
}

async function run(scratch) {
  const texts = contents();
  const { folder, keys } = await prepare(scratch, texts);
  const places = await findPlaces(folder, keys);
  cpSync(join(scratch, "state/do"), join(scratch, "ledgers"), { recursive: true });
  try {
    let storage = await startStorage(folder);
    const system = await startWorkers(scratch, storage);
    await measureCosts(system, storage, texts, places);
    await system.stop();
    storage.stop();
    storage = await startStorage(folder);
    await measureWorkload(scratch, storage, texts);
    storage.stop();
  } finally {
    for (const stop of running) await stop();
  }
}

const scratch = mkdtempSync(join(tmpdir(), "firn-bench-"));
try {
  await run(scratch);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
