// The local stand-in for Cloudflare Pipelines, spoken to as a Worker's binding speaks to the real one.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { start } from "../../scripts/runtime.mjs";
import { poll } from "./system.mjs";

const SENDER = `
export default {
  async fetch(request, env) {
    try {
      const given = await env.STREAM.send(await request.json());
      return Response.json({ given: given ?? null });
    } catch (error) {
      return Response.json({ error: error.message }, { status: 500 });
    }
  },
};`;

const sender = {
  name: "sender",
  modules: [{ type: "ESModule", path: "sender.js", contents: SENDER }],
  compatibilityDate: "2026-10-01",
  serviceBindings: { STREAM: { name: "firn-lake", entrypoint: "Stream", props: { stream: "artifacts_build" } } },
};

const row = (version, more = {}) => ({ ns: "e2e.example", type: "page", id: `row-${version}`, version, ...more });

describe("a stream", () => {
  const state = mkdtempSync(join(tmpdir(), "firn-stream-"));
  let system;
  let peer;

  before(async () => {
    system = await start({ state, secrets: {}, extra: [sender] });
    peer = await system.runtime.getWorker("sender");
  });

  after(async () => {
    await system.dispose();
    rmSync(state, { recursive: true, force: true });
  });

  const send = async (records) => {
    const answer = await peer.fetch("http://sender/", { method: "POST", body: JSON.stringify(records) });
    return { status: answer.status, ...(await answer.json()) };
  };

  const flushed = async () => {
    const answer = await fetch(`${system.origin}/$.dev/flush`, { method: "POST" });
    const { tables } = await answer.json();
    return tables.find(({ table }) => table === "artifacts_build");
  };

  test("rows that violate the schema are accepted, dropped and counted, and the others stored", async () => {
    const bad = [
      { type: "page", id: "no-ns", version: 1 },
      row("2"),
      row(3, { deleted: "yes" }),
      row(4, { ts: "yesterday" }),
      row(5, { exports: "a" }),
      row(6, { surprise: 1 }),
      "no object",
      null,
    ];
    assert.deepEqual(await send([row(7), ...bad, row(8)]), { status: 200, given: null });
    assert.deepEqual(await flushed(), { table: "artifacts_build", rows: 2, files: 1, dropped: bad.length });
  });

  test("a request over 5 MB is refused whole, one below it is taken", async () => {
    const pad = (len) => "x".repeat(len);
    const refused = await send([row(10), row(11, { markdown: pad(5_000_000) })]);
    assert.equal(refused.status, 500);
    assert.match(refused.error, /over the limit of 5000000/);
    assert.equal((await flushed()).rows, 2);
    assert.equal((await send([row(12), row(13, { markdown: pad(4_900_000) })])).status, 200);
    assert.equal((await flushed()).rows, 4);
  });

  test("what is no array of records is refused", async () => {
    for (const records of [row(20), "x", 1]) assert.equal((await send(records)).status, 500);
    assert.equal((await send([])).status, 200);
    assert.equal((await flushed()).rows, 4);
  });

  test("a stream is flushed by size, without being asked", async () => {
    const before = (await flushed()).rows;
    // More than one row group of 8 MiB waits after the third send; its flush is due at once, not after 30 s.
    for (let i = 0; i < 3; i++) await send([row(30 + i, { html: "y".repeat(3_500_000) })]);
    await poll(async () => {
      const answer = await fetch(`${system.origin}/v1/namespaces/firn/tables/artifacts_build`);
      const { metadata } = await answer.json();
      const current = metadata.snapshots.find((snapshot) => snapshot["snapshot-id"] === metadata["current-snapshot-id"]);
      return Number(current.summary["total-records"]) >= before + 3;
    }, "a flush by size");
  });
});
