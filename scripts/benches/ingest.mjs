// What an ingest costs: CPU of the workerd process (utime + stime), against a Worker that only reads the body and a
// careful ingest in JavaScript, all in one workerd and one run. Each Worker has a socket of workerd's own, so neither
// wrangler's proxy nor miniflare's entry Worker is in the way. The peer that takes chunks over RPC is in the same
// process: both of its sides are measured. Bulk is measured: the way of a chunk to the stream within the request. Then:
// the most wasm memory that bodies of three lengths take in build mode, whose chunks of 1 MiB the ledger stages; its
// object is in the same isolate.
//
// Variants take turns, and a ratio is one of medians: the machine may be busy with something else.
// FIRN_BENCH_ROUNDS (default 9) and FIRN_BENCH_MEMORY_MB (default 1,100,1000) shorten or lengthen it.
import { readFileSync, readdirSync } from "node:fs";
import { request } from "node:http";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";
import { developmentSecret, mintToken } from "../keys.mjs";
import { ROOT, workerOptions } from "../runtime.mjs";

const NS = "bench.example";
const LINE_LEN_BYTES = 4096;
// So that a gigabyte has fewer records than one all-or-nothing request may.
const MEMORY_LINE_LEN_BYTES = 16 * 1024;
const BODY_LEN_BYTES = 64 * 1024 * 1024;
const ROUNDS = Number(process.env.FIRN_BENCH_ROUNDS ?? 9);
const MEMORY_MB = (process.env.FIRN_BENCH_MEMORY_MB ?? "1,100,1000").split(",").map(Number);
const WARM_UPS = 2;
// utime and stime count ticks of 10 ms.
const MILLIS_PER_TICK = 10;
const POSTS_PER_ROUND = 3;

const SENTENCES = [
  "Loose records go in, and tables of Iceberg come out. ",
  "Each artifact is read in a handful of small range reads.\n\n",
  '## A heading with `code` and "quotes"\n\n',
  "- one item of a list, and a [link](https://firn.example/docs)\n",
];

/** A record of exactly so many bytes, its LF included. */
function lineOf(idx, lenBytes) {
  const head = `{"ns":"${NS}","type":"page","id":"docs/${String(idx).padStart(8, "0")}","visibility":"public","markdown":"`;
  const pieces = SENTENCES.map((sentence) => JSON.stringify(sentence).slice(1, -1));
  const room = lenBytes - head.length - '"}\n'.length;
  let text = "";
  for (let at = idx; ; at++) {
    const piece = pieces[at % pieces.length];
    if (text.length + piece.length > room) break;
    text += piece;
  }
  return `${head}${text.padEnd(room, "x")}"}\n`;
}

const here = (name) => ({ type: "ESModule", path: name, contents: readFileSync(join(ROOT, "tests/bench-workers/ingest", name), "utf8") });
const socket = (entrypoint) => ({ unsafeDirectSockets: [{ host: "127.0.0.1", port: 0, ...(entrypoint && { entrypoint }) }] });
const peer = { name: "peer", entrypoint: "Peer" };

function baseline(name, entrypoint, send) {
  const bindings = send ? { SEND: "on" } : {};
  const serviceBindings = send ? { STREAM: peer } : {};
  return { name, modules: [here("baselines.js")], compatibilityDate: "2026-10-01", bindings, serviceBindings, ...socket(entrypoint) };
}

function firn(name, vars) {
  const options = workerOptions("firn-ingest", "wrangler.toml");
  const built = options.modules.map((module) => ({ ...module, path: basename(module.path) }));
  const limits = { FIRN_CONFIG_HOLD_SECONDS: "3600", FIRN_CEILING_LEN_BYTES: "2000000000", FIRN_CEILING_RECORDS: "10000000", FIRN_HELD_LEN_BYTES: "4000000000" };
  const bindings = { ...options.bindings, FIRN_HS256_SECRET: developmentSecret(), ...limits, ...vars };
  return { ...options, ...socket(), name, modules: [here("firn.js"), here("hook.js"), ...built], serviceBindings: { STREAM_BULK: peer, STREAM_BUILD: peer }, bindings };
}

const VARIANTS = [
  ["read", "(a) reads only", baseline("read", "Read"), "Read"],
  ["js", "(b) JavaScript", baseline("js", "JavaScript"), "JavaScript"],
  ["bare", "(c) Firn, no hashes", firn("bare", { STUB: "on", FIRN_RECORD_HASH: "off" })],
  ["hashed", "(c) Firn", firn("hashed", { STUB: "on" })],
  ["js-rpc", "(d) JavaScript, RPC", baseline("js-rpc", "JavaScript", true), "JavaScript"],
  ["bare-rpc", "(d) Firn, RPC, no hashes", firn("bare-rpc", { FIRN_RECORD_HASH: "off" })],
  ["hashed-rpc", "(d) Firn, RPC", firn("hashed-rpc", {})],
];
const MEMORIES = MEMORY_MB.map((mb) => [mb, firn(`memory-${mb}`, {})]);

function workerdPid() {
  for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const [, command, parent] = /^\d+ \((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"));
      if (Number(parent) === process.pid && command.startsWith("workerd")) return pid;
    } catch {
      // The process ended meanwhile.
    }
  }
  throw new Error("no child process named workerd");
}

function cpuMillis(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MILLIS_PER_TICK;
}

const token = mintToken({ ns: [NS], sub: "u1", scope: "artifacts:write" });

/** Sends a body of so many records; throws unless each was accepted. */
async function post(url, mode, lenBytes, body, recordCount) {
  const headers = { Host: "firn.localhost", "Content-Type": "application/x-ndjson", "Content-Length": lenBytes, Authorization: `Bearer ${token}`, "X-Artifact-Mode": mode };
  const answer = await new Promise((done, fail) => {
    const sent = request({ host: url.hostname, port: url.port, method: "POST", path: "/$.artifacts", agent: false, headers }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part)).on("end", () => done({ status: response.statusCode, text: Buffer.concat(parts).toString() }));
    });
    sent.on("error", fail);
    if (Buffer.isBuffer(body)) sent.end(body);
    else body.pipe(sent);
  });
  const { accepted } = answer.status === 200 ? JSON.parse(answer.text) : {};
  if (answer.status !== 200 || (accepted !== undefined && accepted !== recordCount)) throw new Error(`${answer.status} ${answer.text.slice(0, 300)}`);
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

async function measureCpu(urlOf) {
  const recordCount = BODY_LEN_BYTES / LINE_LEN_BYTES;
  const body = Buffer.from(Array.from({ length: recordCount }, (_, idx) => lineOf(idx, LINE_LEN_BYTES)).join(""));
  const pid = workerdPid();
  const costs = Object.fromEntries(VARIANTS.map(([name]) => [name, []]));
  for (let round = -WARM_UPS; round < ROUNDS; round++) {
    for (const [name, , , entrypoint] of VARIANTS) {
      const url = await urlOf(name, entrypoint);
      const before = cpuMillis(pid);
      for (let sent = 0; sent < POSTS_PER_ROUND; sent++) await post(url, "bulk", body.length, body, recordCount);
      if (round >= 0) costs[name].push((cpuMillis(pid) - before) / POSTS_PER_ROUND);
    }
  }
  const cell = (value, width) => String(value).padStart(width);
  console.log(`64 MB of 4 KB lines       CPU ms   ÷ (a)   ÷ (b)   ÷ (d) JavaScript`);
  for (const [name, title] of VARIANTS) {
    const cost = median(costs[name]);
    const ratio = (other, width) => cell((cost / median(costs[other])).toFixed(2), width);
    console.log(`${title.padEnd(25)}${cell(cost.toFixed(0), 7)}${ratio("read", 8)}${ratio("js", 8)}${ratio("js-rpc", 19)}`);
  }
}

function* linesOf(recordCount) {
  for (let idx = 0; idx < recordCount; idx += 256) {
    yield Buffer.from(Array.from({ length: Math.min(256, recordCount - idx) }, (_, at) => lineOf(idx + at, MEMORY_LINE_LEN_BYTES)).join(""));
  }
}

async function measureMemory(urlOf) {
  console.log("\nbody          wasm memory, most (MiB)");
  for (const [mb] of MEMORIES) {
    const url = await urlOf(`memory-${mb}`);
    const recordCount = Math.ceil((mb * 1e6) / MEMORY_LINE_LEN_BYTES);
    await post(url, "build", recordCount * MEMORY_LINE_LEN_BYTES, Readable.from(linesOf(recordCount)), recordCount);
    const lenBytes = Number(await (await fetch(url)).text());
    console.log(`${`${mb} MB`.padStart(7)}${(lenBytes / 1024 / 1024).toFixed(2).padStart(14)}`);
  }
}

const workers = [baseline("peer", "default"), ...VARIANTS.map(([, , options]) => options), ...MEMORIES.map(([, options]) => options)];
const runtime = new Miniflare(convertV4MiniflareOptions({ host: "127.0.0.1", port: 0, log: new Log(LogLevel.WARN), cf: false, workers }));
try {
  await runtime.ready;
  const config = await runtime.getKVNamespace("FIRN_CONFIG", "bare");
  await config.put(`artifact-config:${NS}`, JSON.stringify({ records_per_request: 10_000_000, request_len_bytes: 2_000_000_000, requests_per_minute: 60_000 }));
  const urlOf = (name, entrypoint) => runtime.unsafeGetDirectURL(name, entrypoint);
  await measureCpu(urlOf);
  await measureMemory(urlOf);
} finally {
  await runtime.dispose();
}
