// Every status that a read can have (design.md §3), reached over HTTP: by GET, and by HEAD without the body.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { System, assertProblem, contentPath, token } from "./system.mjs";

const NS = "e2e.example";
const BROKEN = "broken.example";
const key = (id) => ({ ns: NS, type: "page", id: `statuses/${id}` });
const TEXT = "0123456789";
const READER = token({ scope: "artifacts:read" });

let system;
before(async () => {
  system = await System.start({ tenants: { [BROKEN]: "{not json" } });
  await system.publish([
    { ...key("here"), markdown: TEXT },
    { ...key("mine"), markdown: TEXT, visibility: "user" },
    { ...key("deleted"), deleted: true, visibility: "public" },
    { ...key("expired"), markdown: TEXT, expires_at: "2020-01-01T00:00:00Z" },
  ]);
});
after(() => system.stop());

const pathOf = (id, query = "") => contentPath(key(id), ".md") + query;

/** Both methods answer alike; gives GET's answer. */
async function read(path, options = {}) {
  const whole = await system.get(path, options);
  const head = await system.get(path, { ...options, method: "HEAD" });
  const { "x-request-id": one, date, age, "cache-status": how, "x-firn-cost": cost, "x-artifact-source": source, ...headers } = whole.headers;
  for (const [name, value] of Object.entries(headers)) if (name !== "transfer-encoding") assert.equal(head.headers[name], value, name);
  assert.deepEqual([head.status, head.text], [whole.status, ""]);
  return whole;
}

describe("a read is", () => {
  test("200 with all that a reader and a cache must know", async () => {
    const answer = await read(pathOf("here"));
    assert.deepEqual([answer.status, answer.text], [200, TEXT]);
    const { headers } = answer;
    assert.equal(headers["content-type"], "text/markdown; charset=utf-8");
    assert.equal(headers["content-length"], String(TEXT.length));
    assert.match(headers.etag, /^"[0-9]+\.md"$/);
    assert.ok(Date.parse(headers["last-modified"]));
    assert.equal(headers["cache-control"], "public, max-age=300, stale-while-revalidate=60");
    assert.equal(headers["accept-ranges"], "bytes");
    assert.equal(headers.vary, "Accept-Encoding");
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.match(headers["x-artifact-version"], /^\d+$/);
    assert.match(headers["cache-status"], /^firn; /);
  });

  test("206 for a range of it", async () => {
    const answer = await system.get(pathOf("here"), { headers: { Range: "bytes=2-4" } });
    assert.deepEqual([answer.status, answer.text, answer.headers["content-range"], answer.headers["content-length"]], [206, "234", "bytes 2-4/10", "3"]);
    assert.equal(answer.headers["content-encoding"], undefined);
  });

  test("304 for what the reader has", async () => {
    const { etag } = (await read(pathOf("here"))).headers;
    const answer = await read(pathOf("here"), { headers: { "If-None-Match": etag } });
    assert.deepEqual([answer.status, answer.text, answer.headers.etag], [304, "", etag]);
  });

  test("400 for a path, an extension or a query that is none", async () => {
    const bad = ["/$.content/", "/$.content/a", "/$.content/a/page", "/$.content/-a/page/x.md", "/$.content/a/pa ge/x.md".replace(" ", "%20"), "/$.content/a/page//x.md", "/$.content/a/page/x%2F%2E%2E.md", "/$.content/a/page/x%00.md", "/$.content/a/page/x%ff.md", "/$.content/a/page/x%5C.md", "/$.content/a/page/x@v12.md", `/$.content/a/page/${"x".repeat(1025)}.md`];
    for (const path of bad) {
      const answer = await read(path);
      assert.ok(["invalid_path", "unknown_extension"].includes(answer.json.code), `${path}: ${answer.text}`);
      assertProblem(answer, 400, answer.json.code);
    }
    for (const path of ["/$.content/a/page/x", "/$.content/a/page/x.exe", "/$.content/a/page/x.md.gz"]) assertProblem(await read(path), 400, "unknown_extension");
    for (const query of ["?max_age=x", "?fresh=maybe"]) assertProblem(await read(pathOf("here", query)), 400, "invalid_query");
  });

  test("401 for a token that does not verify, whatever it is for", async () => {
    for (const bearer of ["x", token({}, { secret: "another" }), token({ exp: 1 }), token({ iss: "https://other.example" }), token({ aud: "other" })]) {
      for (const id of ["here", "mine", "missing"]) {
        const answer = await read(pathOf(id), { token: bearer });
        assertProblem(answer, 401, "unauthorized");
        assert.match(answer.headers["www-authenticate"], /^Bearer/);
      }
    }
  });

  test("404 for what is not there or not the reader's", async () => {
    assertProblem(await read(pathOf("missing")), 404, "not_found");
    assertProblem(await read(pathOf("mine")), 404, "not_found");
    assertProblem(await read(contentPath(key("here"), ".html")), 404, "not_found");
    assertProblem(await read("/$.content/nobody.example/page/x.md"), 404, "not_found");
    assert.equal((await read(pathOf("mine"), { token: READER })).status, 200);
  });

  test("405 by any other method, which names those that are", async () => {
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      const answer = await system.request({ method, path: pathOf("here"), headers: { "Content-Length": "0" } });
      // DELETE writes; without a token it is not even looked at.
      if (method === "DELETE" && answer.status !== 405) assertProblem(answer, 401, "unauthorized");
      else {
        assertProblem(answer, 405, "method_not_allowed");
        for (const allowed of ["GET", "HEAD", "OPTIONS"]) assert.ok(answer.headers.allow.includes(allowed), answer.headers.allow);
      }
    }
    assertProblem(await system.request({ path: "/$.content" }), 405, "method_not_allowed");
  });

  test("410 for what was deleted or has expired", async () => {
    for (const id of ["deleted", "expired"]) assertProblem(await read(pathOf(id)), 410, "gone");
  });

  test("416 for a range beyond it", async () => {
    const answer = await system.get(pathOf("here"), { headers: { Range: "bytes=10-" } });
    assertProblem(answer, 416, "range_not_satisfiable");
    assert.equal(answer.headers["content-range"], "bytes */10");
  });

  test("503 where the configuration of the namespace is broken", async () => {
    assertProblem(await read(`/$.content/${BROKEN}/page/x.md`), 503, "configuration_invalid");
  });
});

// Last: the bucket is broken afterwards.
describe("with the lake broken a read is", () => {
  const BAD = "broken-rows";
  before(async () => {
    await system.publish([{ ...key(BAD), markdown: TEXT }, { ...key("mine-too"), markdown: TEXT, visibility: "user" }]);
    await system.flush({ forget: true });
    await system.forgetHeld();
    const bucket = await system.bucket();
    const { objects } = await bucket.list();
    for (const { key: name, size } of objects) if (name.endsWith(".parquet")) await bucket.put(name, "PAR1".padEnd(size, "?"));
  });

  test("502, without a word of where", async () => {
    const answer = await read(pathOf(BAD));
    assertProblem(answer, 502, "storage_corrupt");
    assert.doesNotMatch(answer.text, /parquet|bucket|firn-lake|artifacts_|data\//);
  });

  test("502 or 404 alike for who may not read it", async () => {
    const [mine, missing] = [await read(pathOf("mine-too")), await read(pathOf("never"))];
    assert.ok(mine.status === missing.status || mine.status === 404 || mine.status === 502, String(mine.status));
    assert.ok(!mine.text.includes(TEXT));
  });
});

test("503 with Retry-After where the catalog of the tables does not answer", { timeout: 60_000 }, async () => {
  const vars = { FIRN_CATALOG_URI: "http://127.0.0.1:9", FIRN_LEDGER: "off" };
  const down = await System.start({ vars: { "firn-serve": vars } });
  try {
    const answer = await down.get(pathOf("here"));
    assertProblem(answer, 503, "storage_unavailable");
    assert.ok(Number(answer.headers["retry-after"]) >= 1, answer.headers["retry-after"]);
  } finally {
    await down.stop();
  }
});
