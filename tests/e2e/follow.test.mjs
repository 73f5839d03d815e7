// The lake Worker follows the tables: what reached them is confirmed to the ledgers, which then know where each row lies
// and let its content go.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { System, contentPath, poll } from "./system.mjs";

const NS = "e2e.example";
const key = (id) => ({ ns: NS, type: "page", id });
const records = (count, text) => Array.from({ length: count }, (_, idx) => ({ ...key(`p/${idx}`), html: `${text} ${idx}` }));

describe("following the lake", () => {
  let system;
  before(async () => (system = await System.start()));
  after(() => system.stop());

  const flush = async (query = "") => {
    const answer = await system.request({ method: "POST", path: `/$.dev/flush${query}`, headers: { "Content-Length": "0" } });
    assert.equal(answer.status, 200, answer.text);
    return answer.json.followed;
  };
  const sourceOf = async (id, expected) => {
    const answer = await system.get(`${contentPath(key(id), ".html")}?fresh=true`);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.text, expected);
    return answer.headers["x-artifact-source"];
  };

  test("confirmed rows are read by their place once their content went", async () => {
    await system.publish(records(50, "one"), { mode: "build" });
    assert.equal(await sourceOf("p/7", "one 7"), "ledger");
    const [followed, ...others] = await flush();
    assert.deepEqual(others, []);
    const { table, ending, files, rows, confirmed, learned } = followed;
    assert.deepEqual({ table, ending, files, rows, confirmed, learned }, { table: "firn.artifacts_build", ending: "current", files: 1, rows: 50, confirmed: 50, learned: 0 });
    assert.equal(await sourceOf("p/7", "one 7"), "ledger", "content stays a little longer");
    assert.deepEqual(await flush("?forget=1"), [], "there is nothing new");
    assert.equal(await sourceOf("p/7", "one 7"), "parquet");
  });

  test("rows of bulk become known", async () => {
    await system.publish([{ ...key("bulk"), html: "bulk" }], { mode: "bulk" });
    const [followed] = await flush();
    assert.deepEqual([followed.table, followed.rows, followed.confirmed, followed.learned], ["firn.artifacts_bulk", 1, 0, 1]);
    assert.equal(await sourceOf("bulk", "bulk"), "parquet");
  });

  test("the newest of many versions in many files wins, and a tombstone hides them all", async () => {
    for (const round of [2, 3, 4]) {
      await system.publish(records(5, `round ${round}`), { mode: round % 2 ? "preview" : "build" });
      await flush("?forget=1");
    }
    assert.equal(await sourceOf("p/3", "round 4 3"), "parquet");
    await system.publish([{ ...key("p/3"), deleted: true, visibility: "public" }], { mode: "build" });
    await flush("?forget=1");
    assert.equal((await system.get(contentPath(key("p/3"), ".html"))).status, 410);
  });

  test("the followed object says up to which snapshot", async () => {
    const bucket = await system.bucket();
    const read = async (name) => (await bucket.get(name)).text();
    // As text: the ids are beyond what a double holds.
    const followed = await read("catalog/firn/followed/artifacts_build.json");
    const { "metadata-location": location } = JSON.parse(await read("catalog/firn/artifacts_build.json"));
    const metadata = await read(location.replace("s3://firn-lake/", ""));
    assert.equal(/"snapshot-id":\s*(\d+)/.exec(followed)[1], /"current-snapshot-id":\s*(\d+)/.exec(metadata)[1]);
    assert.ok(!followed.includes("unreadable") && !followed.includes("underway"), followed);
  });

  test("flushes by time are followed, too", async () => {
    await system.publish([{ ...key("timed"), html: "timed" }], { mode: "preview" });
    const bucket = await system.bucket();
    const snapshot = async () => JSON.parse(await (await bucket.get("catalog/firn/followed/artifacts_preview.json")).text())["sequence-number"];
    const before = await snapshot();
    await poll(async () => (await snapshot()) > before, "the preview table was not followed");
    assert.deepEqual(await flush(), []);
  });

  test("a run of the schedule does the same", async () => {
    await system.publish([{ ...key("scheduled"), html: "scheduled" }], { mode: "build" });
    await system.followOnSchedule();
    assert.equal(await sourceOf("scheduled", "scheduled"), "ledger");
  });

  test("runs at once and a kill leave every version readable", async () => {
    for (let round = 0; round < 5; round++) {
      await system.publish(records(20, `kill ${round}`), { mode: "build" });
      const runs = [flush(), flush(), system.followOnSchedule()].map((run) => run.catch((error) => error));
      if (round % 2) {
        await new Promise((done) => setTimeout(done, 20 * round));
        system.kill();
        await Promise.all(runs);
        await system.restart();
      } else {
        for (const outcome of await Promise.all(runs)) assert.ok(!(outcome instanceof Error), String(outcome));
      }
    }
    await flush("?forget=1");
    for (let idx = 0; idx < 20; idx++) assert.equal(await sourceOf(`p/${idx}`, `kill 4 ${idx}`), "parquet");
  });

  test("a ledger compares equal with the lake, before and after its rebuild", async () => {
    const work = async (name) => {
      const answer = await system.request({ method: "POST", path: `/$.dev/ledger/${name}?ns=${NS}`, headers: { "Content-Length": "0" } });
      assert.equal(answer.status, 200, answer.text);
      return answer.json;
    };
    const before = await work("compare");
    assert.deepEqual([before.differenceCount, before.unreadableFiles], [0, 0], JSON.stringify(before.differences));
    assert.ok(before.rows > 100 && before.versions > 100, JSON.stringify(before));
    const { rows, learned, removedFiles } = await work("rebuild");
    assert.deepEqual([learned, removedFiles], [0, 0]);
    assert.ok(rows >= before.rows);
    assert.deepEqual(await work("compare"), before);
  });
});
