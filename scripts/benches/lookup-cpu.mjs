// CPU of one lookup by manifests in wasm, on a table of 200 page-indexed files: that of all workerd threads, storage in
// another process, no proxy in between. Beside it stands a Worker that makes the same reads and nothing else, so that
// what is left is the lookup's own; and one bare R2.get, the unit in which other machines can compare.
//
// nothing: an isolate that has run before and holds nothing of the table, not even its pointer. manifests: metadata,
// manifest list and manifests are held, the file is new. footer: the file was read before, the page was not. first: the
// first lookup of a fresh process, of which most is V8 compiling what runs for the first time; on the isolate's own
// thread, and on all of them (the optimising compiler works beside it, and for some requests more).
//
// Variants take turns, and a figure is the median of the rounds: the machine may be busy with something else.
// FIRN_BENCH_ROUNDS (default 9) shortens or lengthens it, FIRN_BENCH_TABLE names a folder that keeps the table,
// FIRN_BENCH_BUILD another build of serve to measure.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startR2 } from "../../tests/bench-workers/storage.mjs";
import { cpuMicros, external, median, r2, running, script, startWorkerd, text, threadMicros, wasm, worker } from "../../tests/bench-workers/workerd.mjs";
import { ROOT } from "../runtime.mjs";

const ROUNDS = Number(process.env.FIRN_BENCH_ROUNDS ?? 9);
const LOOKUPS_PER_ROUND = 20;
const WARM_UPS = 3;
const FRESH_PROCESSES = 5;
const BUILD = process.env.FIRN_BENCH_BUILD ?? join(ROOT, "workers/serve/build");

/** The Python that the tests of interoperability use, made where it is not there yet. */
const findPython = () => process.env.FIRN_PYTHON ?? execFileSync("bash", ["-c", `source "${ROOT}/scripts/lib.sh" && python_env`], { encoding: "utf8" }).trim();

/** Writes the table, or finds it where FIRN_BENCH_TABLE says; gives its objects and, append by append, keys of each file. */
function makeTable(scratch) {
  const folder = process.env.FIRN_BENCH_TABLE ?? join(scratch, "table");
  const [bucket, found] = [join(folder, "bucket"), join(folder, "table.json")];
  if (!existsSync(found)) {
    mkdirSync(folder, { recursive: true });
    const script = join(import.meta.dirname, "lookup-cpu.py");
    writeFileSync(found, execFileSync(findPython(), [script, bucket], { stdio: ["ignore", "pipe", "inherit"] }));
  }
  const { metadata, namespaces, samples } = JSON.parse(readFileSync(found, "utf8"));
  const files = readdirSync(bucket, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const objects = new Map(files.map(({ parentPath, name }) => join(parentPath, name)).map((path) => [path.slice(bucket.length + 1), readFileSync(path)]));
  objects.set("catalog/firn/indexed.json", Buffer.from(JSON.stringify({ "metadata-location": metadata })));
  objects.set("bare", Buffer.alloc(3_000, "x"));
  const keysOf = (part) => samples.map((sample) => namespaces.map((ns) => ({ ns, ...sample[part] })));
  return { objects, keys: keysOf("key"), farKeys: keysOf("far") };
}

// The replay is told what to read in a header: reading a body would be work that the lookup does not have.
const READS = `
export default {
  async fetch(request, env) {
    const read = async ({ key, range }) => {
      const options = range && { range: Object.fromEntries(Object.entries(range).map(([name, value]) => [name, Number(value)])) };
      return (await (await env.LAKE_BUCKET.get(key, options)).arrayBuffer()).byteLength;
    };
    const lengths = await Promise.all(JSON.parse(request.headers.get("reads")).map(read));
    return new Response(lengths.join());
  },
};`;

const BARE = `
export default {
  async fetch(request, env) {
    return new Response(await (await env.LAKE_BUCKET.get("bare")).arrayBuffer());
  },
};`;

/** Starts workerd with serve, the replay and the bare read, each behind a socket of its own. */
function startWorkers(scratch, storagePort) {
  // A configuration embeds files that lie beside it.
  for (const name of ["worker.js", "index_bg.wasm"]) copyFileSync(join(BUILD, name), join(scratch, name));
  writeFileSync(join(scratch, "reads.js"), READS);
  writeFileSync(join(scratch, "bare.js"), BARE);
  const vars = { FIRN_DEVELOPMENT: "on", FIRN_TABLES: "firn.indexed", FIRN_POINTER_HOLD_SECONDS: "3600" };
  const bindings = [r2("LAKE_BUCKET", "bucket"), ...Object.entries(vars).map(([name, value]) => text(name, value))];
  const serve = worker("serve", [script("worker.js"), wasm("index_bg.wasm")], bindings);
  const others = ["reads", "bare"].map((name) => worker(name, [script(`${name}.js`)], bindings));
  return startWorkerd(scratch, [serve, ...others, external("bucket", storagePort)], ["serve", "reads", "bare"]);
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function send(port, path, { method = "GET", headers = {} } = {}) {
  return new Promise((done, fail) => {
    const sent = http.request({ host: "127.0.0.1", port, path, method, agent, headers: { Host: "firn.localhost", ...headers } }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part)).on("end", () => done({ status: response.statusCode, headers: response.headers, text: Buffer.concat(parts).toString() }));
    });
    sent.on("error", fail).end();
  });
}

const pathOf = ({ ns, type, id }) => `/$.content/${ns}/${type}/${id.split("/").map(encodeURIComponent).join("/")}.md?fresh=true`;

async function lookUp({ ports }, key) {
  const answer = await send(ports.serve, pathOf(key));
  if (answer.status !== 200) throw new Error(`${pathOf(key)}: ${answer.status} ${answer.text.slice(0, 300)}`);
  const [reads, waves, bytes] = answer.headers["x-firn-cost"].match(/\d+/g).map(Number);
  return { reads, waves, bytes };
}

const forget = ({ ports }) => send(ports.serve, "/$.dev/forget?held=1", { method: "POST" });

/** CPU of `work`, an array's worth of it, for each of its items. */
async function measure(system, items, work) {
  const before = cpuMicros(system.pid);
  for (const item of items) await work(item);
  return (cpuMicros(system.pid) - before) / items.length;
}

/** One round of one state: what lookups in it cost, and the same reads alone. */
async function round(system, storage, name, keys) {
  const costs = [];
  const reads = [];
  const work = async (key) => {
    if (name === "nothing") await forget(system);
    storage.notes.length = 0;
    costs.push(await lookUp(system, key));
    reads.push(storage.notes.slice());
  };
  const forgets = name === "nothing" ? await measure(system, keys, () => forget(system)) : 0;
  const total = (await measure(system, keys, work)) - forgets;
  const alone = await measure(system, reads, (list) => send(system.ports.reads, "/", { headers: { reads: JSON.stringify(list) } }));
  return { total, alone, cost: costs.at(-1) };
}

/** The first lookup of fresh processes, and the second, which holds nothing either. */
async function measureFirst(scratch, storage, key) {
  const laps = [];
  for (let nth = 0; nth < FRESH_PROCESSES; nth++) {
    const system = await startWorkers(scratch, storage.port);
    const lap = async (work) => {
      const [thread, all] = [threadMicros(system.pid, system.pid), cpuMicros(system.pid)];
      await work();
      return { thread: threadMicros(system.pid, system.pid) - thread, all: cpuMicros(system.pid) - all };
    };
    // The isolate's own start, and the client's connection, are no lookup's.
    await send(system.ports.serve, "/$.content/");
    const first = await lap(() => lookUp(system, key));
    await forget(system);
    laps.push({ first, second: await lap(() => lookUp(system, key)) });
    await system.stop();
  }
  return laps;
}

async function measureWarm(scratch, storage, { keys, farKeys }) {
  const system = await startWorkers(scratch, storage.port);
  const samples = { nothing: [], manifests: [], footer: [], bare: [] };
  const bareReads = Array.from({ length: LOOKUPS_PER_ROUND });
  for (let nth = -WARM_UPS; nth < ROUNDS; nth++) {
    const append = (nth + WARM_UPS) % keys.length;
    const some = keys[append].slice(0, LOOKUPS_PER_ROUND);
    // The last lookup of the first kind left the manifests and one footer; these files are others.
    const others = keys[append].slice(LOOKUPS_PER_ROUND, 2 * LOOKUPS_PER_ROUND);
    const far = farKeys[append].slice(LOOKUPS_PER_ROUND, 2 * LOOKUPS_PER_ROUND);
    const found = {
      nothing: await round(system, storage, "nothing", some),
      manifests: await round(system, storage, "manifests", others),
      footer: await round(system, storage, "footer", far),
      bare: { total: await measure(system, bareReads, () => send(system.ports.bare, "/")) },
    };
    if (nth >= 0) for (const [name, figures] of Object.entries(found)) samples[name].push(figures);
  }
  await system.stop();
  return samples;
}

const millis = (micros) => (micros / 1000).toFixed(2);

function report(samples, laps) {
  const of = (name, part) => median(samples[name].map((sample) => sample[part]));
  const bare = of("bare", "total");
  const line = (...cells) => console.log(cells.map((cell, idx) => (idx === 0 ? String(cell).padEnd(10) : String(cell).padStart(11))).join(""));
  line("held", "reads", "waves", "bytes", "CPU ms", "its reads", "its own", "÷ R2.get");
  for (const name of ["nothing", "manifests", "footer"]) {
    const { reads, waves, bytes } = samples[name].at(-1).cost;
    const [total, alone] = [of(name, "total"), of(name, "alone")];
    line(name, reads, waves, bytes, millis(total), millis(alone), millis(total - alone), (total / bare).toFixed(1));
  }
  line("R2.get", 1, 1, 3000, millis(bare), millis(bare), "", "1.0");
  const lap = (which, part) => millis(median(laps.map((sample) => sample[which][part])));
  console.log(`fresh process: first lookup ${lap("first", "thread")} ms on its thread (${lap("first", "all")} on all), second ${lap("second", "thread")} (${lap("second", "all")})`);
}

async function run(scratch) {
  const table = makeTable(scratch);
  const notes = [];
  const storage = { ...(await startR2(table.objects, (note) => notes.push(note))), notes };
  try {
    const laps = await measureFirst(scratch, storage, table.keys[0][0]);
    report(await measureWarm(scratch, storage, table), laps);
  } finally {
    for (const stop of running) await stop();
    storage.stop();
    agent.destroy();
  }
}

const scratch = mkdtempSync(join(tmpdir(), "firn-bench-"));
try {
  await run(scratch);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
