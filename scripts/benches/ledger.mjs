// What one namespace's ledger does: publishes, megabytes and reads a second through the whole system in workerd, beside
// the same requests to a bare Worker whose Durable Object stores or reads one row of SQLite; and what following costs.
//
// The clients and workerd share the machine. FIRN_BENCH_SECONDS (default 5) is how long each line takes.
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { developmentSecret, mintToken } from "../keys.mjs";
import { start } from "../runtime.mjs";

const NS = "bench.example";
const SECONDS = Number(process.env.FIRN_BENCH_SECONDS ?? 5);
const WIDTH = 16;

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
const runtime = await start({ state, secrets: { FIRN_HS256_SECRET: developmentSecret() }, extra: [bare] });
try {
  origin = runtime.origin;
  const kv = await runtime.runtime.getKVNamespace("FIRN_CONFIG", "firn-ingest");
  await kv.put(`artifact-config:${NS}`, JSON.stringify({ requests_per_minute: 60_000, records_per_request: 100_000, request_len_bytes: 100_000_000 }));
  const token = mintToken({ ns: [NS], sub: "u1", scope: "artifacts:write artifacts:read" });
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/x-ndjson", "X-Artifact-Mode": "build" };
  let made = 0;
  const record = (len) => `${JSON.stringify({ ns: NS, type: "page", id: `p${made++}`, markdown: "x".repeat(len) })}\n`;
  const publish = (count, len) => () => send("POST", "/$.artifacts", { headers, body: Array.from({ length: count }, () => record(len)).join("") });
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
  await send("POST", "/$.dev/flush", { headers: { "Content-Length": "0" } });
  line(`outbox, flush and following of ${waiting} rows`, waiting / ((performance.now() - began) / 1_000), "rows/s");
  await send("POST", "/$.dev/flush?forget=1", { headers: { "Content-Length": "0" } });
  const located = await perSecond((idx) => send("GET", `/$.content/${NS}/page/p${idx % 1_000}.md`));
  line("reads by place, after content left the ledger", located, "reads/s", `${(located / get).toFixed(2)} of bare`);
} finally {
  agent.destroy();
  await runtime.dispose();
  rmSync(state, { recursive: true, force: true });
}
