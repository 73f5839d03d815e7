// The adapter with which serve reads R2 does what every store must (crates/store/src/conformance.rs), on real workerd.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";

const BUILD = new URL("../conformance/build/", import.meta.url);

test("R2's binding conforms", async () => {
  const modules = [
    { type: "ESModule", path: "worker.js", contents: readFileSync(new URL("worker.js", BUILD), "utf8") },
    { type: "CompiledWasm", path: "index_bg.wasm", contents: readFileSync(new URL("index_bg.wasm", BUILD)) },
  ];
  const options = { modules, compatibilityDate: "2026-10-01", r2Buckets: ["LAKE_BUCKET"], log: new Log(LogLevel.WARN), cf: false };
  const runtime = new Miniflare(convertV4MiniflareOptions(options));
  try {
    const answer = await runtime.dispatchFetch("http://localhost/");
    const report = await answer.text();
    assert.equal(answer.status, 200, report);
    const claims = report.trimEnd().split("\n").map((line) => line.split("\t"));
    assert.ok(claims.length >= 7, report);
    for (const [claim, found] of claims) assert.equal(found, undefined, `${claim}: ${found}`);
  } finally {
    await runtime.dispose();
  }
});
