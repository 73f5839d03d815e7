// Runs the built system in the foreground. See scripts/dev.
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { developmentSecret, mintToken } from "./keys.mjs";
import { SAMPLE, sampleRecords } from "./sample.mjs";

const ROOT = resolve(import.meta.dirname, "..");

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string", default: "8787" },
        state: { type: "string", default: resolve(ROOT, ".firn/state") },
        "no-sample": { type: "boolean", default: false },
        verbose: { type: "boolean", default: false },
      },
    });
    const port = /^\d+$/.test(values.port) ? Number(values.port) : Infinity;
    if (port > 65535) fail(`--port ${values.port} is not a port`);
    return { ...values, port, state: resolve(values.state) };
  } catch (error) {
    return fail(error.message);
  }
}

async function publishSample(origin) {
  const token = mintToken({ ns: [SAMPLE.ns], sub: "sample", scope: "artifacts:read artifacts:write" });
  const records = sampleRecords();
  const began = performance.now();
  let accepted = 0;
  for (let at = 0; at < records.length; at += 500) {
    const body = records.slice(at, at + 500).map((record) => `${JSON.stringify(record)}\n`).join("");
    const answer = await fetch(`${origin}/$.artifacts`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/x-ndjson", "X-Artifact-Mode": "build" },
      body,
    });
    const report = await answer.json();
    if (answer.status !== 200) throw new Error(`the sample was not taken (${answer.status}): ${JSON.stringify(report).slice(0, 500)}`);
    accepted += report.accepted;
  }
  const flushed = await fetch(`${origin}/$.dev/flush`, { method: "POST" });
  if (!flushed.ok) throw new Error(`flush answered ${flushed.status}: ${await flushed.text()}`);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`published ${SAMPLE.title}: ${accepted} artifacts, rows in Iceberg after ${seconds} s`);
  for (const table of (await flushed.json()).tables ?? []) console.log(`  ${table.table}: ${table.rows} rows in ${table.files} data files`);
  return records;
}

const given = options();
// After the options, so that a slip in them is answered at once: wrangler takes a second or two to load.
const { requireFreePort, start } = await import("./runtime.mjs");
try {
  if (given.port !== 0) await requireFreePort(given.port);
} catch (error) {
  fail(error.message);
}
const system = await start({ port: given.port, state: given.state, secrets: { FIRN_HS256_SECRET: developmentSecret() }, verbose: given.verbose }).catch((error) =>
  fail(`workerd did not start: ${error.message}`),
);

let ending = false;
async function end(code) {
  if (ending) return;
  ending = true;
  await system.dispose();
  process.exit(code);
}
process.on("SIGINT", () => end(0));
process.on("SIGTERM", () => end(0));

try {
  if (!given["no-sample"]) {
    await publishSample(system.origin);
    console.log("read it back:");
    for (const path of SAMPLE.show) console.log(`  curl -i '${system.origin}/$.content/${SAMPLE.ns}/${SAMPLE.type}/${path}'`);
  }
  console.log(`state: ${given.state}`);
  console.log(`ready ${system.origin}`);
} catch (error) {
  console.error(`error: ${error.message}`);
  await end(1);
}
