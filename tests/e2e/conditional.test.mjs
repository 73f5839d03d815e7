// Conditional and range requests and HEAD (RFC 9110 §13 to §15), from the ledger and from the tables.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { System, assertProblem, contentPath, token } from "./system.mjs";

const key = (id) => ({ ns: "e2e.example", type: "page", id: `conditional/${id}` });
const TEXT = "0123456789";

let system;
before(async () => {
  system = await System.start();
  await system.publish([{ ...key("open"), markdown: TEXT }, { ...key("mine"), markdown: TEXT, visibility: "user" }, { ...key("dead"), deleted: true, visibility: "public" }]);
});
after(() => system.stop());

const OPEN = contentPath(key("open"), ".md");
const get = (headers, options = {}) => system.get(OPEN, { ...options, headers });

for (const source of ["ledger", "parquet"]) {
  describe(`read from the ${source}`, () => {
    let whole;
    before(async () => {
      if (source === "parquet") await system.flush({ forget: true });
      whole = await get({});
      assert.deepEqual([whole.status, whole.text, whole.headers["x-artifact-source"]], [200, TEXT, source]);
      assert.equal(whole.headers["accept-ranges"], "bytes");
    });

    test("304 for a tag or a date that is current, with what caches must learn and no body", async () => {
      const { etag, "last-modified": date } = whole.headers;
      const conditions = [{ "If-None-Match": etag }, { "If-None-Match": `"a,b", W/${etag}` }, { "If-None-Match": "*" }, { "If-Modified-Since": date }, { "If-None-Match": etag, Range: "bytes=0-1" }];
      for (const method of ["GET", "HEAD"]) {
        for (const condition of conditions) {
          const { status, bytes, headers } = await get(condition, { method });
          assert.deepEqual([status, bytes.length], [304, 0], JSON.stringify(condition));
          for (const name of ["etag", "cache-control", "vary", "x-artifact-version"]) assert.equal(headers[name], whole.headers[name], name);
          for (const name of ["content-length", "content-type", "transfer-encoding", "accept-ranges"]) assert.equal(headers[name], undefined, name);
        }
      }
    });

    test("200 for a tag that is another's, whatever the date", async () => {
      const answer = await get({ "If-None-Match": '"1.md"', "If-Modified-Since": whole.headers["last-modified"] });
      assert.deepEqual([answer.status, answer.text], [200, TEXT]);
      assert.equal((await get({ "If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT" })).status, 200);
    });

    test("206 is the range; several, another unit and an older tag in If-Range give all", async () => {
      for (const [range, part, named] of [["bytes=2-4", "234", "bytes 2-4/10"], ["bytes=7-", "789", "bytes 7-9/10"], ["bytes=-2", "89", "bytes 8-9/10"]]) {
        const answer = await get({ Range: range, "If-Range": whole.headers.etag });
        assert.deepEqual([answer.status, answer.text, answer.headers["content-range"]], [206, part, named]);
        assert.equal(Number(answer.headers["content-length"]), part.length);
        assert.equal(answer.headers.etag, whole.headers.etag);
      }
      for (const headers of [{ Range: "bytes=0-1,3-4" }, { Range: "lines=0-1" }, { Range: "bytes=0-1", "If-Range": '"1.md"' }, { Range: "bytes=0-1", "If-Range": `W/${whole.headers.etag}` }]) {
        const answer = await get(headers);
        assert.deepEqual([answer.status, answer.text, answer.headers["content-range"]], [200, TEXT, undefined], JSON.stringify(headers));
      }
    });

    test("416 for a range behind the end, with the length", async () => {
      const answer = await get({ Range: "bytes=10-" });
      assertProblem(answer, 416, "range_not_satisfiable");
      assert.equal(answer.headers["content-range"], "bytes */10");
    });

    test("HEAD has the length of all, and no range", async () => {
      const answer = await get({ Range: "bytes=0-1" }, { method: "HEAD" });
      assert.deepEqual([answer.status, answer.bytes.length, answer.headers["content-length"], answer.headers["accept-ranges"]], [200, 0, "10", "bytes"]);
    });

    test("no condition tells the hidden from the absent, and no error becomes a 304", async () => {
      for (const headers of [{ "If-None-Match": "*" }, { "If-Modified-Since": new Date().toUTCString() }, { Range: "bytes=99-" }]) {
        const ask = (id, bearer) => system.get(contentPath(key(id), ".md"), { token: bearer, headers: { ...headers, "X-Request-Id": "same" } });
        const [hidden, absent] = [await ask("mine"), await ask("nothing")];
        assertProblem(hidden, 404, "not_found");
        const comparable = ({ date, age, "cache-status": status, "x-artifact-source": source, "x-firn-cost": cost, ...rest }) => rest;
        assert.deepEqual([hidden.text, comparable(hidden.headers)], [absent.text, comparable(absent.headers)]);
        assert.equal((await ask("mine", token())).status, headers.Range ? 416 : 304);
        assertProblem(await ask("dead"), 410, "gone");
      }
    });
  });
}
