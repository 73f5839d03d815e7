// Rows that another engine deleted, by each of the three kinds of deletes that Iceberg has: once the snapshot was followed they
// are not served any more, whether the ledger knew their place, or hears of rows and deletes at once. The tables are a fixture
// (crates/api/tests/follow/fixtures.rs), because PyIceberg writes none of the three.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { System, assertProblem, contentPath, token } from "./system.mjs";

const FIXTURES = JSON.parse(gunzipSync(readFileSync(new URL("fixtures/deletes.json.gz", import.meta.url))).toString());
const POINTER = "catalog/firn/t.json";
const NAMESPACES = ["alpha.example", "b"];
const key = ([ns, id]) => ({ ns, type: "page", id });
const DELETED = [["alpha.example", "a", 1], ["b", "x", 2]];
const KEPT = [["alpha.example", "c", 3], ["b", "y", 4], ["b", "z", 6]];
const tables = { FIRN_TABLES: "firn.t,firn.artifacts_build" };

// Their owners are nobody's token, so an admin reads.
const admin = token({ ns: NAMESPACES, scope: "artifacts:admin" });

for (const [kind, { objects, before: first, after: second }] of Object.entries(FIXTURES)) {
  describe(kind, () => {
    let system;
    let bucket;
    before(async () => {
      system = await System.start({ vars: { "firn-serve": tables, "firn-lake": tables } });
      bucket = await system.bucket();
      for (const [name, hex] of Object.entries(objects)) if (name !== POINTER) await bucket.put(name, Buffer.from(hex, "hex"));
    });
    after(() => system.stop());

    const read = (row) => system.get(contentPath(key(row), ".html"), { token: admin });
    const follow = async () => {
      const answer = await system.request({ method: "POST", path: "/$.dev/flush", headers: { "Content-Length": "0" } });
      assert.equal(answer.status, 200, answer.text);
      return answer.json.followed.find(({ table }) => table === "firn.t");
    };
    const assertThere = async (rows) => {
      for (const row of rows) {
        const answer = await read(row);
        assert.deepEqual([answer.status, answer.headers["x-artifact-version"]], [200, String(row[2])], answer.text);
      }
    };
    const assertGone = async () => {
      for (const row of DELETED) assertProblem(await read(row), 404, "not_found");
    };

    test("rows are read by their place, and gone once the deletes were followed", async () => {
      await bucket.put(POINTER, first);
      assert.equal((await follow()).learned, 5);
      await assertThere([...DELETED, ...KEPT]);
      await bucket.put(POINTER, second);
      assert.equal((await follow()).deletedRows, 2);
      await assertGone();
      await assertThere(KEPT);
    });

    test("a ledger that is rebuilt does not bring them back", async () => {
      for (const ns of NAMESPACES) {
        const answer = await system.request({ method: "POST", path: `/$.dev/ledger/rebuild?ns=${ns}`, headers: { "Content-Length": "0" } });
        assert.equal(answer.status, 200, answer.text);
      }
      await assertGone();
      await assertThere(KEPT);
    });

    test("a newer version of our own is there, and its deletion too", async () => {
      const [row] = DELETED;
      const record = { ...key(row), html: "ours" };
      const writer = token({ ns: NAMESPACES, scope: "artifacts:write artifacts:admin" });
      await system.publish([record], { token: writer });
      await follow();
      assert.equal((await read(row)).text, "ours");
      const deleted = await system.request({ method: "DELETE", path: contentPath(record, ""), headers: { Authorization: `Bearer ${writer}` } });
      assert.equal(deleted.status, 200, deleted.text);
      assertProblem(await read(row), 410, "gone");
    });
  });
}
