// What one namespace's ledger does: publishes, megabytes and reads a second through the whole system in workerd, beside
// the same requests to a bare Worker whose Durable Object stores or reads one row of SQLite; what following costs; and
// what each operation asks of the ledger: calls of the object, rows that SQLite reads and writes.
//
// The clients and workerd share the machine. FIRN_BENCH_SECONDS (default 5) is how long each line takes.
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { developmentSecret, mintToken } from "../keys.mjs";
import { ROOT, start } from "../runtime.mjs";

const NS = "bench.example";
const COST_NS = "cost.example";
const SECONDS = Number(process.env.FIRN_BENCH_SECONDS ?? 5);
const WIDTH = 16;
const FILES = 50;

const BARE = `
import { DurableObject } from "cloudflare:workers";
export class Row extends DurableObject {
  constructor(state, env) {
    super(state, env);
    this.sql = state.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, json TEXT)");
  }
  put(id, json) { this.sql.exec("INSERT OR REPLACE INTO rows VALUES (?, ?)", id, json); }
  get(id) { return [...this.sql.exec("SELECT json FROM rows WHERE id = ?", id)][0]?.json; }
}
export default {
  async fetch(incoming, env) {
    const object = env.ROWS.get(env.ROWS.idFromName("one"));
    const id = new URL(incoming.url).searchParams.get("id");
    if (incoming.method === "POST") await object.put(id, await incoming.text());
    else return new Response(await object.get(id));
    return new Response("ok");
  },
};`;
const bare = {
  name: "bare",
  modules: [{ type: "ESModule", path: "bare.js", contents: BARE }],
  compatibilityDate: "2026-10-01",
  durableObjects: { ROWS: { className: "Row", useSQLite: true } },
  routes: ["bare.test/*"],
};

/** Asks a ledger what was counted of it (tests/bench-workers/ledger/counting.js). */
const COST = `export default {
  fetch: (request, env) => env.LEDGER.get(env.LEDGER.idFromName(new URL(request.url).searchParams.get("ns"))).fetch("http://object/cost"),
};`;
const cost = {
  name: "cost",
  modules: [{ type: "ESModule", path: "cost.js", contents: COST }],
  compatibilityDate: "2026-10-01",
  durableObjects: { LEDGER: { className: "LedgerObject", scriptName: "firn-ingest" } },
  routes: ["cost.test/*"],
};

const agent = new Agent({ keepAlive: true, maxSockets: WIDTH });
let origin;

/** One request; throws unless it is answered 200. */
function send(method, path, { host, body, headers } = {}) {
  return new Promise((done, fail) => {
    const url = new URL(origin);
    const sent = request({ agent, host: url.hostname, port: url.port, method, path, headers: { ...(host && { Host: host }), ...headers } }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part)).on("end", () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode === 200) done(text);
        else fail(new Error(`${response.statusCode} ${text.slice(0, 300)}`));
      });
    });
    sent.on("error", fail).end(body);
  });
}

/** What `work`, done so many times, costs the ledger of COST_NS each time. */
async function costOf(title, work, times = 20) {
  const counted = async () => JSON.parse(await send("GET", `/?ns=${COST_NS}`, { host: "cost.test" }));
  await counted();
  for (let nth = 0; nth < times; nth++) await work(nth);
  const { calls, rowsRead, rowsWritten } = await counted();
  const each = (count) => (count / times).toFixed(count % times ? 1 : 0).padStart(7);
  console.log(`${title.padEnd(46)}${each(calls)} calls ${each(rowsRead)} rows read ${each(rowsWritten)} rows written`);
}

/** Runs `work` from several clients at once; gives how often a second. */
async function perSecond(work, width = WIDTH) {
  const began = performance.now();
  let count = 0;
  const client = async () => {
    while (performance.now() - began < SECONDS * 1_000) await work(count++);
  };
  await Promise.all(Array.from({ length: width }, client));
  return count / ((performance.now() - began) / 1_000);
}

const state = mkdtempSync(join(tmpdir(), "firn-bench-"));
const runtime = await start({ state, secrets: { FIRN_HS256_SECRET: developmentSecret() }, extra: [bare, cost], wrapped: { "firn-ingest": join(ROOT, "tests/bench-workers/ledger/counting.js") } });
try {
  origin = runtime.origin;
  const kv = await runtime.runtime.getKVNamespace("FIRN_CONFIG", "firn-ingest");
  const config = JSON.stringify({ requests_per_minute: 60_000, records_per_request: 100_000, request_len_bytes: 100_000_000 });
  for (const ns of [NS, COST_NS]) await kv.put(`artifact-config:${ns}`, config);
  const token = mintToken({ ns: [NS, COST_NS], sub: "u1", scope: "artifacts:write artifacts:read" });
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/x-ndjson", "X-Artifact-Mode": "build" };
  let made = 0;
  const record = (len, ns = NS) => `${JSON.stringify({ ns, type: "page", id: `p${made++}`, markdown: "x".repeat(len) })}\n`;
  const publish = (count, len) => () => send("POST", "/$.artifacts", { headers, body: Array.from({ length: count }, () => record(len)).join("") });
  const flush = (query = "") => send("POST", `/$.dev/flush${query}`, { headers: { "Content-Length": "0" } });
  const line = (title, value, unit, ratio = "") => console.log(`${title.padEnd(46)}${value.toFixed(value < 100 ? 1 : 0).padStart(9)} ${unit.padEnd(14)}${ratio}`);

  const put = await perSecond((idx) => send("POST", `/?id=p${idx}`, { host: "bare.test", body: "x".repeat(3_000) }));
  const get = await perSecond((idx) => send("GET", `/?id=p${idx % 1_000}`, { host: "bare.test" }));
  line("bare object: one row of 3 KB put", put, "requests/s");
  line("bare object: one row of 3 KB read", get, "requests/s");
  const single = await perSecond(publish(1, 3_000));
  line("publishes of 1 record of 3 KB, 16 clients", single, "publishes/s", `${(single / put).toFixed(2)} of bare`);
  line("publishes of 1 record, 1 client", await perSecond(publish(1, 3_000), 1), "publishes/s");
  const hundred = await perSecond(publish(100, 3_000));
  line("publishes of 100 records of 3 KB", hundred * 100, "records/s", `${(hundred * 0.3).toFixed(1)} MB/s`);
  const reads = await perSecond((idx) => send("GET", `/$.content/${NS}/page/p${idx % 1_000}.md`));
  line("reads of content that the ledger holds", reads, "reads/s", `${(reads / get).toFixed(2)} of bare`);
  const waiting = made;
  const began = performance.now();
  await flush();
  line(`outbox, flush and following of ${waiting} rows`, waiting / ((performance.now() - began) / 1_000), "rows/s");
  await flush("?forget=1");
  const located = await perSecond((idx) => send("GET", `/$.content/${NS}/page/p${idx % 1_000}.md`));
  line("reads by place, after content left the ledger", located, "reads/s", `${(located / get).toFixed(2)} of bare`);
  // Bulk of one record each, flushed one by one, is a file each.
  const bulk = { ...headers, "X-Artifact-Mode": "bulk" };
  for (let nth = 0; nth < FILES; nth++) {
    await send("POST", "/$.artifacts", { headers: bulk, body: record(3_000) });
    await flush();
  }
  const rebuilding = performance.now();
  const rebuilt = JSON.parse(await send("POST", `/$.dev/ledger/rebuild?ns=${NS}`, { headers: { "Content-Length": "0" } }));
  const took = (performance.now() - rebuilding) / 1_000;
  line(`following ${rebuilt.files} files of ${rebuilt.rows} rows anew`, rebuilt.files / took, "files/s", `${Math.round(rebuilt.rows / took)} rows/s`);

  const one = (body, more = {}) => send("POST", "/$.artifacts", { headers: { ...headers, ...more }, body });
  const hundredOf = () => Array.from({ length: 100 }, () => record(3_000, COST_NS)).join("");
  const page = (nth, extension) => `/$.content/${COST_NS}/page/p${nth}${extension}`;
  const first = made;
  await one(record(3_000, COST_NS));
  await costOf("a publish of 1 record", () => one(record(3_000, COST_NS)));
  await costOf("the same, with an idempotency key", () => one(record(3_000, COST_NS), { "Idempotency-Key": `bench-${made}` }));
  await costOf("a publish of 100 records", () => one(hundredOf()), 5);
  await costOf("a read that the ledger answers", (nth) => send("GET", page(first + nth, ".md")));
  await costOf("a read of what is not there", () => send("GET", page("none", ".md")).catch(() => {}));
  await costOf("a deletion", (nth) => send("DELETE", page(first + nth, ""), { headers: { Authorization: headers.Authorization } }));
  await flush("?forget=1");
  const rows = made;
  await one(hundredOf());
  await costOf("sending, confirming and dropping 100 rows", () => flush("?forget=1"), 1);
  await costOf("a read by place", (nth) => send("GET", page(rows + nth, ".md")));
  await one(hundredOf(), { "X-Artifact-Mode": "bulk" });
  await costOf("confirming 100 rows of bulk", () => flush("?forget=1"), 1);
} finally {
  agent.destroy();
  await runtime.dispose();
  rmSync(state, { recursive: true, force: true });
}
