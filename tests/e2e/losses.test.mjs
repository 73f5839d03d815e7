// A stream that confirms rows and drops some of them, or stores some twice, for as long as it is asked: afterwards every
// version that was acknowledged is readable exactly once, no content waits, and nothing is parked that should not be.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { System, contentPath, findPython, inParallel, poll, seeded } from "./system.mjs";

const NS = "e2e.example";
/** Records; FIRN_LOSSES asks for more. */
const COUNT = Number(process.env.FIRN_LOSSES ?? 600);
const PUBLISH = 50;
const ALL = 1_000_000;

/** Past the edge cache: what ledger and lake say. */
const fresh = (record) => `${contentPath(record, ".md")}?fresh=true`;

// A row that is not seen is sent again after a second, not after fifteen minutes.
const vars = { "firn-ingest": { FIRN_RESEND_SECONDS: "1", FIRN_CONTENT_SECONDS: "0" } };
const { python, skip } = findPython();

/** Figures of the ledger, as the development origin tells them. */
async function status(system) {
  const answer = await system.request({ method: "POST", path: `/$.dev/ledger/status?ns=${NS}`, headers: { "Content-Length": "0" } });
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

/** How often each artifact's row is in the lake, by the versions that it has. */
async function lakeRows(system) {
  const script = fileURLToPath(new URL("lake_rows.py", import.meta.url));
  const { stdout } = await promisify(execFile)(python, [script, system.origin], { maxBuffer: 1 << 30 });
  return Map.groupBy(stdout.trim().split("\n").map((line) => JSON.parse(line)), ({ id }) => id);
}

describe("a stream that loses rows or doubles them", () => {
  for (const [kind, what] of [["drop_rows", "confirms and drops 5 % of rows"], ["repeat_rows", "stores 5 % of rows twice"]]) {
    describe(what, () => {
      let system;
      before(async () => (system = await System.start({ vars, tenants: { [NS]: { requests_per_minute: 60_000 } } })));
      after(() => system.stop());

      test("every acknowledged version ends up readable, in the lake, and out of the ledger", async (t) => {
        const seed = seeded(t).int(0, 2 ** 31);
        for (const mode of ["preview", "build"]) await system.fault(mode, kind, { count: ALL, share: 0.05, seed });
        const records = Array.from({ length: COUNT }, (_, at) => ({ ns: NS, type: "loss", id: `${at}`, markdown: `row ${at}` }));
        for (let at = 0; at < COUNT; at += PUBLISH) await system.publish(records.slice(at, at + PUBLISH), { mode: at % 100 ? "preview" : "build" });
        const readAll = () => inParallel(records, 16, async (record) => assert.equal((await system.get(fresh(record))).text, record.markdown));
        await readAll();
        const waiting = async () => {
          await system.flush({ forget: true });
          const { unsent, sent, parkedCount: parked, heldBytes: held } = await status(system);
          return { waits: unsent + sent, parked, held };
        };
        // Each round sends what is missing after its second, and loses one in twenty of that.
        await poll(async () => (await waiting()).waits === 0, "rows still wait for their confirmation");
        assert.deepEqual(await waiting(), { waits: 0, parked: 0, held: 0 });
        await readAll();
        for (const { id } of records.slice(0, 50)) {
          const { headers } = await system.get(fresh({ ns: NS, type: "loss", id }));
          assert.equal(headers["x-artifact-source"], "parquet");
        }
      });

      test("PyIceberg finds each artifact in one version", { skip }, async () => {
        const rows = await lakeRows(system);
        assert.equal(rows.size, COUNT);
        for (const [id, copies] of rows) {
          assert.equal(new Set(copies.map(({ version, hash }) => `${version} ${hash}`)).size, 1, id);
        }
        const doubled = [...rows.values()].filter((copies) => copies.length > 1).length;
        if (kind === "repeat_rows") assert.ok(doubled > 0, "rows were stored twice");
      });
    });
  }
});

describe("a row that the stream drops each time", () => {
  let system;
  before(async () => (system = await System.start({ vars, tenants: { [NS]: { requests_per_minute: 60_000 } } })));
  after(() => system.stop());

  test("ends parked, served and reported, and holds up no other", async () => {
    const bad = { ns: NS, type: "loss", id: "bad", markdown: "of a schema that the stream does not take" };
    await system.fault("preview", "drop", { count: ALL });
    await system.publish([bad], { mode: "preview" });
    const others = Array.from({ length: 20 }, (_, at) => ({ ns: NS, type: "loss", id: `other/${at}`, markdown: "fine" }));
    await system.publish(others, { mode: "build" });
    await poll(async () => {
      await system.flush({ forget: true });
      return (await status(system)).parkedCount === 1;
    }, "the row was not parked");
    const { parked, unsent, sent } = await status(system);
    assert.deepEqual([unsent, sent], [0, 0]);
    assert.deepEqual(parked.map(({ type, id }) => [type, id]), [["loss", "bad"]]);
    const answer = await system.get(fresh(bad));
    assert.deepEqual([answer.text, answer.headers["x-artifact-source"]], [bad.markdown, "ledger"]);
    for (const record of others) assert.equal((await system.get(fresh(record))).headers["x-artifact-source"], "parquet");
  });
});
