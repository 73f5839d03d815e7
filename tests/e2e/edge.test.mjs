// The edge cache on real workerd: what a copy answers, how a write ends it, batches, cross-origin reads. What may happen
// between any two steps of it is tested natively (crates/api/tests/content).
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { System, token } from "./system.mjs";

const NS = "edge.example";
let system;

const writer = token({ ns: [NS] });
const record = (id, fields) => ({ ns: NS, type: "page", id, ...fields });
const path = (id, ext = "html") => `/$.content/${NS}/page/${id}.${ext}`;

/** Sets serve's clock ahead, so that a copy is as old as a test wants it. */
const clock = (secs) => system.request({ method: "POST", path: `/$.dev/clock?offset=${secs}`, headers: { "Content-Length": "0" } });

const get = (id, { query = "", headers = {}, method = "GET", ext } = {}) => system.request({ method, path: path(id, ext) + query, headers });

async function publish(records, options = {}) {
  const answer = await system.post(records, { token: writer, ...options });
  assert.equal(answer.status, 200, answer.text);
}

/** Reads until a copy answers: it is stored behind the answer before. */
async function copied(id) {
  for (let nth = 0; nth < 100; nth++) {
    const answer = await get(id);
    assert.equal(answer.status, 200, answer.text);
    if (answer.headers["x-artifact-source"] === "cache") return answer;
  }
  throw new Error("no copy came");
}

before(async () => {
  const vars = { "firn-ingest": { FIRN_CORS_ORIGINS: "https://publisher.example" } };
  system = await System.start({ vars, tenants: { [NS]: { requests_per_minute: 60_000, cors_origins: ["https://a.example"] } } });
});
beforeEach(() => clock(0));
after(() => system.stop());

describe("a copy", () => {
  test("answers as the ledger did, and costs no read of the bucket", async () => {
    await publish([record("same", { html: "<p>one</p>" })]);
    const first = await get("same");
    assert.equal(first.headers["cache-status"], "firn; fwd=uri-miss; stored");
    await copied("same");
    await clock(10);
    const hit = await get("same");
    assert.match(hit.headers["cache-status"], /^firn; hit; ttl=2[89]\d$/);
    assert.match(hit.headers.age, /^1\d$/);
    assert.equal(hit.headers["x-firn-cost"], "reads=0; waves=0; bytes=0");
    assert.equal(hit.text, first.text);
    const own = ["age", "cache-status", "x-artifact-source", "x-request-id", "date"];
    const rest = ({ headers }) => Object.fromEntries(Object.entries(headers).filter(([name]) => !own.includes(name)));
    assert.deepEqual(rest(hit), rest(first));
    const head = await get("same", { method: "HEAD" });
    assert.deepEqual([head.status, head.text, head.headers["content-length"]], [200, "", String(first.text.length)]);
    assert.equal((await get("same", { headers: { "If-None-Match": first.headers.etag } })).status, 304);
    const part = await get("same", { headers: { Range: "bytes=3-5" } });
    assert.deepEqual([part.status, part.text, part.headers["x-artifact-source"]], [206, "one", "cache"]);
  });

  test("grows stale, is sent while a newer one is fetched, and ends", async () => {
    await publish([record("old", { html: "v1" })]);
    await copied("old");
    await clock(310);
    const stale = await get("old");
    assert.match(stale.headers["cache-status"], /^firn; hit; ttl=-1\d; detail=stale$/);
    for (let nth = 0; nth < 100 && /stale/.test((await get("old")).headers["cache-status"]); nth++);
    assert.match((await get("old")).headers["cache-status"], /hit; ttl=(29\d|300)$/);
    await clock(310 + 361);
    assert.match((await get("old")).headers["cache-status"], /fwd=uri-miss/);
  });

  test("is one for every spelling of its URL", async () => {
    await publish([record("a b/ü", { esm: "export default 1" })]);
    const read = (path) => system.request({ path });
    const plain = `/$.content/${NS}/page/a%20b/%C3%BC`;
    await read(`${plain}.js`);
    await clock(20);
    for (const spelling of [`${plain}.js`, `${plain}.mjs`, `/$.content/EDGE.example/page/a%20b%2F%C3%BC.js?v=1`]) {
      const answer = await read(spelling);
      assert.deepEqual([answer.status, answer.text, answer.headers["x-artifact-source"]], [200, "export default 1", "cache"], spelling);
    }
  });
});

describe("a write", () => {
  for (const [name, fields, status] of [
    ["new content", { html: "v2" }, 200],
    ["less visibility", { html: "v2", visibility: "org" }, 404],
    ["a tombstone", { deleted: true, visibility: "public" }, 410],
  ]) {
    test(`${name} is in force at the very next read`, async () => {
      for (let nth = 0; nth < 10; nth++) {
        const id = `w-${status}-${nth}`;
        await publish([record(id, { html: "v1" })]);
        await copied(id);
        await clock(20);
        assert.equal((await get(id)).headers["x-artifact-source"], "cache");
        await publish([record(id, fields)]);
        const answer = await get(id);
        assert.equal(answer.status, status);
        if (status === 200) assert.equal(answer.text, "v2");
        await clock(0);
      }
    });
  }

  test("of many artifacts at once is, too", async () => {
    const ids = Array.from({ length: 501 }, (_, nth) => `many-${nth}`);
    await publish(ids.map((id) => record(id, { html: "v1" })));
    await copied("many-7");
    await clock(20);
    assert.equal((await get("many-7")).headers["x-artifact-source"], "cache");
    await publish(ids.map((id) => record(id, { html: "v2", visibility: "org" })));
    assert.equal((await get("many-7")).status, 404);
  });

  test("is seen by readers that never stop, and never undone", async () => {
    await publish([record("race", { html: "0" })]);
    let done = false;
    let last = 0;
    const reader = async () => {
      while (!done) {
        const atLeast = last;
        const answer = await get("race");
        assert.equal(answer.status, 200);
        assert.ok(Number(answer.text) >= atLeast, `${answer.text} after ${atLeast} was answered`);
      }
    };
    const readers = Array.from({ length: 8 }, reader);
    for (let nth = 1; nth <= 60; nth++) {
      await publish([record("race", { html: String(nth) })]);
      last = nth;
    }
    done = true;
    await Promise.all(readers);
  });
});

test("what not everyone may read lies at no edge", async () => {
  const reader = token({ ns: [NS] });
  for (const [id, fields, control] of [
    ["org", { visibility: "org" }, "private, no-store"],
    ["user", { visibility: "user" }, "private, no-store"],
    ["draft", {}, "public, max-age=0, must-revalidate"],
  ]) {
    await publish([record(id, { html: "x", ...fields })], { mode: id === "draft" ? "preview" : "build" });
    for (let nth = 0; nth < 3; nth++) {
      const answer = await get(id, { headers: { Authorization: `Bearer ${reader}` } });
      assert.deepEqual([answer.headers["x-artifact-source"], answer.headers["cache-control"]], ["ledger", control], id);
    }
    if (id !== "draft") assert.equal((await get(id)).status, 404);
  }
});

test("fresh and max_age", async () => {
  await publish([record("fresh", { html: "v1" })]);
  await copied("fresh");
  const fresh = await get("fresh", { query: "?fresh=true" });
  assert.deepEqual([fresh.headers["x-artifact-source"], fresh.headers["cache-control"]], ["ledger", "no-store"]);
  assert.equal((await get("fresh", { query: "?max_age=15" })).headers["cache-control"], "public, max-age=15, stale-while-revalidate=60");
  assert.equal((await get("fresh", { query: "?max_age=soon" })).json.code, "invalid_query");
});

test("pages of the allow-list may read, and no others", async () => {
  await publish([record("cors", { html: "v1" })]);
  for (const [origin, allowed] of [["https://a.example", "https://a.example"], ["https://b.example", undefined]]) {
    for (const id of ["cors", "absent"]) {
      const answer = await get(id, { headers: { Origin: origin } });
      assert.equal(answer.headers["access-control-allow-origin"], allowed, id);
      assert.match(answer.headers.vary, /Origin/);
    }
    const headers = { Origin: origin, "Access-Control-Request-Method": "GET" };
    const preflight = await get("cors", { method: "OPTIONS", headers });
    assert.deepEqual([preflight.status, preflight.headers["access-control-allow-origin"]], [204, allowed]);
  }
});

test("pages of the deployment's list may publish, those of the namespace's may delete, and no others", async () => {
  const INGEST = "/$.artifacts";
  for (const [origin, allowed] of [["https://publisher.example", "https://publisher.example"], ["https://a.example", undefined]]) {
    const headers = { Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, idempotency-key" };
    const preflight = await system.request({ method: "OPTIONS", path: INGEST, headers });
    assert.deepEqual([preflight.status, preflight.headers["access-control-allow-origin"]], [204, allowed]);
    if (allowed) assert.match(preflight.headers["access-control-allow-headers"], /Idempotency-Key.*X-Artifact-Mode/);
    for (const [lines, status] of [[[record("cors-put", { html: origin })], 200], [[{ ns: NS }], 400]]) {
      const answer = await system.post(lines, { token: writer, headers: { Origin: origin } });
      assert.deepEqual([answer.status, answer.headers["access-control-allow-origin"]], [status, allowed], answer.text);
    }
    assert.equal((await system.post([], { token: "no.token.this", headers: { Origin: origin } })).headers["access-control-allow-origin"], allowed);
  }
  for (const [origin, allowed] of [["https://a.example", "https://a.example"], ["https://publisher.example", undefined]]) {
    await publish([record("cors-delete", { html: origin })]);
    const headers = { Authorization: `Bearer ${writer}`, Origin: origin, "Content-Length": "0" };
    const answer = await system.request({ method: "DELETE", path: `/$.content/${NS}/page/cors-delete`, headers });
    assert.deepEqual([answer.status, answer.headers["access-control-allow-origin"]], [200, allowed], answer.text);
  }
});

test("a batch answers each item by itself", async () => {
  await publish([record("b1", { html: "one", markdown: "# one" }), record("b2", { html: "two", visibility: "org" })]);
  const item = (id, ext) => ({ ns: NS, type: "page", id, ext });
  const ask = (bearer) =>
    system.request({
      method: "POST",
      path: "/$.content",
      headers: { "Content-Type": "application/json", ...(bearer && { Authorization: `Bearer ${bearer}` }) },
      body: JSON.stringify({ items: [item("b1", "md"), item("b2", "html"), item("b3", "html"), item("b1", "exe")] }),
    });
  const anonymous = await ask();
  assert.equal(anonymous.status, 200, anonymous.text);
  assert.deepEqual(anonymous.json.items.map(({ status }) => status), [200, 404, 404, 400]);
  assert.equal(anonymous.json.items[0].body, "# one");
  const member = await ask(token({ ns: [NS] }));
  assert.deepEqual(member.json.items.map(({ status }) => status), [200, 200, 404, 400]);
  assert.equal((await ask("no.token.this")).status, 401);
});

test("the purge is no route", async () => {
  for (const path of ["/purge", "/$.content/purge", "/$.purge"]) {
    const answer = await system.request({ method: "POST", path, headers: { "Content-Length": "0" } });
    assert.ok([404, 405, 400].includes(answer.status), `${path}: ${answer.status}`);
  }
});
