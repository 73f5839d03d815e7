// What the ledger promises: readable at once, all or nothing, once under a key, in order, and never lost.
//
// FIRN_READS, FIRN_PUBLISHES and FIRN_ARTIFACTS ask for more than a run of all tests has time for.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { INGEST, NDJSON, System, assertProblem, contentPath, inParallel, ndjson, token } from "./system.mjs";

const NS = "e2e.example";
const READ_COUNT = Number(process.env.FIRN_READS ?? 300);
const PUBLISH_COUNT = Number(process.env.FIRN_PUBLISHES ?? 40);
const ARTIFACT_COUNT = Number(process.env.FIRN_ARTIFACTS ?? 100);
let system;
before(async () => (system = await System.start({ tenants: { [NS]: { requests_per_minute: 60_000 } } })));
after(() => system.stop());

let made = 0;
const key = (id = `l${++made}`) => ({ ns: NS, type: "ledger", id });
const read = (record, extension = ".md", query = "") => system.get(contentPath(record, extension) + query);
const post = (records, { mode = "build", idempotencyKey, ...rest } = {}) =>
  system.post(records, { mode, headers: idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {}, ...rest });

describe("read your writes", () => {
  const fields = [[".md", "markdown"], [".mdx", "mdx"], [".html", "html"], [".js", "esm"], [".d.ts", "dts"], [".css", "css"]];
  const JSON_FIELDS = [[".json", "frontmatter"], [".mdast.json", "mdast"]];

  test("what was published is what the next GET of every representation says, over and over", async () => {
    const ids = Array.from({ length: 30 }, () => key().id);
    for (let round = 0; round < READ_COUNT; round += 1) {
      const record = key(ids[round % ids.length]);
      const mode = round % 2 === 0 ? "preview" : "build";
      const content = Object.fromEntries(fields.map(([, field]) => [field, `${field} ${round} é雪`]));
      const sent = { ...record, ...content, frontmatter: { round }, mdast: { round } };
      assert.equal((await post([sent], { mode })).status, 200);
      await Promise.all([
        ...fields.map(async ([extension, field]) => assert.equal((await read(record, extension)).text, content[field])),
        ...JSON_FIELDS.map(async ([extension]) => assert.deepEqual((await read(record, extension)).json, { round })),
      ]);
      // Wherever it lies: confirmed, in the lake alone, or in neither yet.
      if (round % 60 === 59) await system.flush({ forget: round % 120 === 59 });
      if (round % 60 === 59) assert.equal((await read(record)).text, content.markdown);
    }
  });

  test("from the ledger, without a read of R2; from the lake by its place; absent without a read", async () => {
    const record = { ...key(), markdown: "where it lies" };
    assert.equal((await post([record])).status, 200);
    const held = await read(record);
    assert.deepEqual([held.headers["x-artifact-source"], held.headers["x-firn-cost"]], ["ledger", "reads=0; waves=0; bytes=0"]);
    await system.flush({ forget: true });
    await read(record);
    const located = await read(record, ".md", "?fresh=true");
    assert.equal(located.text, record.markdown);
    assert.equal(located.headers["x-artifact-source"], "parquet");
    assert.equal(located.headers["x-artifact-version"], held.headers["x-artifact-version"]);
    assert.match(located.headers["x-firn-cost"], /^reads=[01]; waves=[01]; /);
    const nobody = key();
    await read(nobody);
    const absent = await read(nobody);
    assert.equal(absent.status, 404);
    assert.equal(absent.headers["x-firn-cost"], "reads=0; waves=0; bytes=0");
  });

  test("tombstones and changes of visibility are in force at once", async () => {
    const record = { ...key(), markdown: "first" };
    await post([record]);
    assert.equal((await read(record)).status, 200);
    await post([{ ...record, visibility: "org" }]);
    assert.equal((await read(record)).status, 404);
    await post([{ ...record, visibility: "public", markdown: "again" }]);
    assert.equal((await read(record)).text, "again");
    await post([{ ...key(record.id), deleted: true, visibility: "public" }]);
    assert.equal((await read(record)).status, 410);
    await system.flush({ forget: true });
    assert.equal((await read(record)).status, 410);
  });
});

describe("all or nothing", () => {
  test("readers during publishes of many artifacts never see two publishes at once, nor a part of a failed one", async () => {
    const ids = Array.from({ length: ARTIFACT_COUNT }, () => key().id);
    const publish = (round, last = "") => post([...ids.map((id) => ({ ...key(id), markdown: `${round}` })).map((r) => JSON.stringify(r)), ...(last ? [last] : [])].join("\n"));
    assert.equal((await publish(0)).status, 200);
    let answered = 0;
    let isOver = false;
    const readers = Array.from({ length: 4 }, async () => {
      let reads = 0;
      while (!isOver) {
        const floor = answered;
        const seen = await Promise.all([0, 0.33, 0.66, 0.99].map((part) => Math.floor(part * ARTIFACT_COUNT)).map(async (at) => Number((await read(key(ids[at]))).text)));
        for (const round of seen) assert.ok(round >= floor, `${seen} after ${floor} was answered`);
        assert.ok(seen.every((round) => round < 1_000), "a part of a failed publish");
        reads += 1;
      }
      return reads;
    });
    for (let round = 1; round <= PUBLISH_COUNT; round += 1) {
      assert.equal((await publish(round)).status, 200);
      answered = round;
      assertProblem(await publish(1_000 + round, '{"ns":"e2e.example","type":"ledger","id":"bad","markdown":7}'), 400, "nothing_accepted");
    }
    isOver = true;
    for (const reads of await Promise.all(readers)) assert.ok(reads > 0);
    for (const id of ids) assert.equal((await read(key(id))).text, `${PUBLISH_COUNT}`);
  });

  test("a client that goes away in the middle of a publish leaves nothing of it", async () => {
    for (const mode of ["preview", "build"]) {
      const records = Array.from({ length: 60 }, () => ({ ...key(), markdown: "x".repeat(60_000) }));
      const headers = { Authorization: `Bearer ${token()}`, "Content-Type": NDJSON, "X-Artifact-Mode": mode };
      const request = http.request({ host: "127.0.0.1", port: system.port, method: "POST", path: INGEST, headers });
      const gone = once(request, "error");
      for (const record of records.slice(0, -1)) request.write(ndjson([record]));
      await new Promise((done) => request.write("{", done));
      request.destroy(new Error("gone"));
      await gone;
      await inParallel(records, 16, async (record) => assert.equal((await read(record)).status, 404));
      assert.equal((await post(records, { mode })).status, 200);
      await inParallel(records, 16, async (record) => assert.ok((await read(record)).text === record.markdown));
    }
  });

  test("a kill in the middle of a publish leaves all of it or nothing", async () => {
    for (let round = 0; round < 5; round += 1) {
      const records = Array.from({ length: 300 }, () => ({ ...key(), markdown: "x".repeat(20_000) }));
      const answered = post(records).then(({ status }) => status, () => undefined);
      await new Promise((done) => setTimeout(done, 20 * round));
      system.kill();
      const status = await answered;
      await system.restart();
      let found = 0;
      await inParallel(records, 16, async (record) => (found += (await read(record)).status === 200 ? 1 : 0));
      assert.ok(found === 0 || found === records.length, `${found} of ${records.length}`);
      if (status === 200) assert.equal(found, records.length);
    }
  });

  test("if_version: 409 with each line and the version found; nothing is written", async () => {
    const [first, second] = [{ ...key(), markdown: "1" }, { ...key(), markdown: "1" }];
    assert.equal((await post([{ ...first, if_version: "0" }])).status, 200);
    const version = (await read(first)).headers["x-artifact-version"];
    const refused = await post([{ ...second, markdown: "2" }, { ...first, markdown: "2", if_version: "0" }, { ...second, if_version: "7" }]);
    assertProblem(refused, 409, "version_conflict");
    assert.deepEqual(refused.json.errors.map(({ line, found }) => [line, found]), [[2, version], [3, "0"]]);
    assert.equal((await read(second)).status, 404);
    assert.equal((await post([{ ...first, markdown: "2", if_version: version }])).status, 200);
    assert.equal((await read(first)).text, "2");
  });

  test("unchanged records are accepted, counted, and not written", async () => {
    const records = [{ ...key(), markdown: "a" }, { ...key(), html: "b", metadata: { c: 1 } }];
    assert.equal((await post(records)).json.unchanged, 0);
    const rows = await system.rowCount();
    const again = await post([...records, { ...key(), markdown: "new" }]);
    assert.deepEqual([again.json.accepted, again.json.unchanged], [3, 2]);
    assert.equal(await system.rowCount(), rows + 1);
    assert.equal((await post([{ ...records[1], metadata: { c: 2 } }])).json.unchanged, 0);
  });

  test("the later line of a key wins, and versions rise in line order", async () => {
    const id = key().id;
    await post(Array.from({ length: 50 }, (_, line) => ({ ...key(id), markdown: `line ${line}` })));
    assert.equal((await read(key(id))).text, "line 49");
  });
});

describe("an idempotency key", () => {
  for (const mode of ["preview", "build", "bulk"]) {
    test(`${mode}: has its effect once, whoever asks again and how often`, async () => {
      const records = Array.from({ length: 20 }, () => ({ ...key(), markdown: "once" }));
      const rows = await system.rowCount();
      const idempotencyKey = `once-${mode}`;
      const first = await post(records, { mode, idempotencyKey });
      assert.equal(first.status, 200, first.text);
      assert.equal(first.headers["x-idempotency-replayed"], undefined);
      for (const again of [await post(records, { mode, idempotencyKey }), await post(records, { mode, idempotencyKey: `"${idempotencyKey}"` })]) {
        assert.equal(again.status, 200);
        assert.equal(again.headers["x-idempotency-replayed"], "true");
        assert.deepEqual(again.json, first.json);
      }
      assertProblem(await post([...records, records[0]], { mode, idempotencyKey }), 422, "idempotency_mismatch");
      assertProblem(await post(records.slice(1), { mode, idempotencyKey }), 422, "idempotency_mismatch");
      assertProblem(await post(records, { mode: mode === "bulk" ? "build" : "bulk", idempotencyKey }), 422, "idempotency_mismatch");
      assert.equal(await system.rowCount(), rows + 20);
    });

    test(`${mode}: of 8 requests at once one is executed`, async () => {
      const records = Array.from({ length: 200 }, () => ({ ...key(), markdown: "x".repeat(5_000) }));
      const rows = await system.rowCount();
      const answers = await Promise.all(Array.from({ length: 8 }, () => post(records, { mode, idempotencyKey: `eight-${mode}` })));
      const executed = answers.filter(({ status, headers }) => status === 200 && !headers["x-idempotency-replayed"]);
      assert.equal(executed.length, 1);
      for (const answer of answers) {
        if (answer.status === 200) continue;
        assertProblem(answer, 409, "idempotency_in_progress");
        assert.ok(Number(answer.headers["retry-after"]) >= 1);
      }
      assert.equal(await system.rowCount(), rows + 200);
    });
  }

  test("a request that took nothing is not kept under its key", async () => {
    const bad = { ...key(), markdown: 7 };
    assertProblem(await post([bad], { idempotencyKey: "retry" }), 400, "nothing_accepted");
    assert.equal((await post([{ ...bad, markdown: "7" }], { idempotencyKey: "retry" })).status, 200);
  });
});

test("two writers at once: the last acknowledged wins, and versions rise", async () => {
  const id = key().id;
  const acknowledged = [];
  await inParallel(Array.from({ length: 60 }, (_, at) => at), 6, async (at) => {
    assert.equal((await post([{ ...key(id), markdown: `${at}` }])).status, 200);
    const { text, headers } = await read(key(id));
    acknowledged.push([Number(headers["x-artifact-version"]), text]);
  });
  const newest = acknowledged.toSorted(([a], [b]) => a - b).at(-1);
  const now = await read(key(id));
  assert.deepEqual([Number(now.headers["x-artifact-version"]), now.text], newest);
});

test("a namespace's ledger says nothing of another's", async () => {
  const record = { ...key(), markdown: "mine" };
  assert.equal((await post([record])).status, 200);
  assert.equal((await system.get(contentPath({ ...record, ns: "other.example" }, ".md"))).status, 404);
});

test("everything that was acknowledged is there after a kill", async () => {
  const records = Array.from({ length: 300 }, (_, at) => ({ ...key(), markdown: `kept ${at}` }));
  assert.equal((await system.post(ndjson(records), { mode: "build" })).status, 200);
  system.kill();
  await system.restart();
  await inParallel(records, 16, async (record) => assert.equal((await read(record)).text, record.markdown));
  await system.flush({ forget: true });
  await inParallel(records, 16, async (record) => {
    const answer = await read(record);
    assert.deepEqual([answer.text, answer.headers["x-artifact-source"]], [record.markdown, "parquet"]);
  });
});
