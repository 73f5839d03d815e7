// Runs a command against a system of its own that holds the sample, some of it in each mode: FIRN_ORIGIN is its origin.
// node scripts/with-system.mjs COMMAND ARGUMENT…
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { developmentSecret, mintToken } from "./keys.mjs";
import { start } from "./runtime.mjs";
import { SAMPLE, sampleRecords } from "./sample.mjs";

const state = mkdtempSync(join(tmpdir(), "firn-"));
const system = await start({ state, secrets: { FIRN_HS256_SECRET: developmentSecret() } });
let code = 1;
try {
  const token = mintToken({ ns: [SAMPLE.ns], sub: "sample", scope: "artifacts:write" });
  const records = sampleRecords();
  for (const [idx, mode] of ["preview", "build", "bulk"].entries()) {
    const body = records.slice(idx * 300, idx * 300 + 300).map((record) => `${JSON.stringify(record)}\n`).join("");
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/x-ndjson", "X-Artifact-Mode": mode };
    const answer = await fetch(`${system.origin}/$.artifacts`, { method: "POST", headers, body });
    if (answer.status !== 200) throw new Error(`${mode}: ${answer.status} ${await answer.text()}`);
  }
  const flushed = await fetch(`${system.origin}/$.dev/flush`, { method: "POST" });
  if (!flushed.ok) throw new Error(`flush: ${flushed.status} ${await flushed.text()}`);
  const [command, ...args] = process.argv.slice(2);
  const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, FIRN_ORIGIN: system.origin } });
  code = await new Promise((done) => child.once("exit", (status) => done(status ?? 1)));
} finally {
  await system.dispose();
  rmSync(state, { recursive: true, force: true });
}
process.exit(code);
