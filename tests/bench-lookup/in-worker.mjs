// What a read costs on the lake Worker's own, unsorted output, by manifests alone and by the place that the ledger knows: R2
// requests, waves and bytes, cold and warm, and its time against one bare R2.get of the same content in the same run.
//
// nothing: no parsed object is held, as in a fresh isolate. objects: only the tables' pointers are due. all: nothing is due. The
// edge cache is not asked (`?fresh=true`). Storage is miniflare's R2, in the same workerd: its own time is inside every
// figure, so ratios are lower bounds.
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { developmentSecret, mintToken } from "../../scripts/keys.mjs";
import { start } from "../../scripts/runtime.mjs";

const ROWS_PER_FILE = 50;
const CONTENT_LEN_BYTES = 3_000;
const LOOKUPS = 60;
// Every file is read once: a thousand of them are the native clients' part.
const MANIFESTS_FILE_COUNT_MAX = 100;

const BARE = `
export default {
  async fetch(request, env) {
    const object = await env.BUCKET.get(new URL(request.url).searchParams.get("key"));
    return new Response(await object.arrayBuffer());
  },
};`;

const bare = {
  name: "bare",
  modules: [{ type: "ESModule", path: "bare.js", contents: BARE }],
  compatibilityDate: "2026-10-01",
  r2Buckets: { BUCKET: "firn-lake" },
  routes: ["bare.test/*"],
};

/** GET with a chosen Host; resolves to headers and body once all of it is there. */
function get(origin, path, host) {
  return new Promise((done, fail) => {
    const url = new URL(origin);
    const headers = host ? { Host: host } : {};
    const sent = request({ host: url.hostname, port: url.port, path, headers, agent: false }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part)).on("end", () => done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }));
    });
    sent.on("error", fail).end();
  });
}

const post = (origin, path) => fetch(`${origin}${path}`, { method: "POST" }).then((answer) => answer.text());
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

function parseCost(header) {
  const [reads, waves, bytes] = header.match(/\d+/g).map(Number);
  return { reads, waves, bytes };
}

const contentOf = (id) => id.padEnd(CONTENT_LEN_BYTES, " The quick brown fox jumps over the lazy dog.");

async function publish(origin, token, fileIdx) {
  const records = Array.from({ length: ROWS_PER_FILE }, (_, row) => {
    // Ids of every file cover the whole range: no statistics tell the files apart.
    const id = `doc-${String(row).padStart(4, "0")}-${fileIdx}`;
    return JSON.stringify({ ns: "bench.example", type: "page", id, markdown: contentOf(id) });
  });
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/x-ndjson" };
  const answer = await fetch(`${origin}/$.artifacts`, { method: "POST", headers, body: records.join("\n") });
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
  await post(origin, "/$.dev/flush");
}

async function measure(origin, ids, prepare) {
  const costs = [];
  const times = [];
  for (const id of ids) {
    await prepare();
    const began = performance.now();
    const answer = await get(origin, `/$.content/bench.example/page/${id}.md?fresh=true`);
    times.push(performance.now() - began);
    if (answer.status !== 200 || answer.body.toString() !== contentOf(id)) throw new Error(`${id}: ${answer.status}`);
    costs.push(parseCost(answer.headers["x-firn-cost"]));
  }
  const at = (field) => median(costs.map((cost) => cost[field]));
  return { reads: at("reads"), waves: at("waves"), bytes: at("bytes"), millis: median(times) };
}

async function measureBare(origin, key) {
  const times = [];
  for (let i = 0; i < LOOKUPS; i++) {
    const began = performance.now();
    await get(origin, `/?key=${encodeURIComponent(key)}`, "bare.test");
    times.push(performance.now() - began);
  }
  return median(times);
}

/** Prints the tables, a line a state. */
export async function inWorker({ fileCounts }) {
  for (const [title, ledger, fileCountMax] of [["by manifests", "off", MANIFESTS_FILE_COUNT_MAX], ["by place", "on", Infinity]]) {
    console.log(`\n${title}`);
    await measureAll(fileCounts.filter((count) => count <= fileCountMax), ledger);
  }
}

async function measureAll(fileCounts, ledger) {
  const state = mkdtempSync(join(tmpdir(), "firn-bench-"));
  const vars = { "firn-serve": { FIRN_TABLES: "firn.artifacts_build", FIRN_POINTER_HOLD_SECONDS: "3600", FIRN_LEDGER: ledger } };
  const system = await start({ state, secrets: { FIRN_HS256_SECRET: developmentSecret() }, vars, extra: [bare] });
  try {
    const { origin } = system;
    const token = mintToken({ ns: ["bench.example"], scope: "artifacts:write" });
    const config = await system.runtime.getKVNamespace("FIRN_CONFIG", "firn-ingest");
    await config.put("artifact-config:bench.example", JSON.stringify({ requests_per_minute: 60_000 }));
    const bucket = await system.runtime.getR2Bucket("BUCKET", "bare");
    await bucket.put("bare/object", contentOf("doc-0000-0"));
    const row = (files, held, cost, ratio) =>
      console.log(`${String(files).padStart(5)}  ${held.padEnd(8)} ${String(cost.reads).padStart(6)} ${String(cost.waves).padStart(6)} ${String(cost.bytes).padStart(9)} ${ratio.padStart(14)}`);
    console.log("files  held      reads  waves     bytes  time / R2.get");
    let files = 0;
    for (const count of fileCounts) {
      while (files < count) await publish(origin, token, files++);
      await post(origin, "/$.dev/flush?forget=1");
      const ids = Array.from({ length: LOOKUPS }, (_, i) => `doc-${String((i * 7) % ROWS_PER_FILE).padStart(4, "0")}-${(i * 13) % count}`);
      await measure(origin, ids.slice(0, 10), () => {});
      const bareMillis = await measureBare(origin, "bare/object");
      for (const [held, path] of [["nothing", "/$.dev/forget?held=1"], ["objects", "/$.dev/forget"], ["all", undefined]]) {
        const cost = await measure(origin, ids, async () => path && (await post(origin, path)));
        row(count, held, cost, (cost.millis / bareMillis).toFixed(2));
      }
    }
  } finally {
    await system.dispose();
    rmSync(state, { recursive: true, force: true });
  }
}
