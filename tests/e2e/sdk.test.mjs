// The TypeScript client against the whole system.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { importSdk } from "./sdk.mjs";
import { System, token } from "./system.mjs";

const NS = "e2e.example";
let system;
let firn;
let sdk;
before(async () => {
  sdk = await importSdk();
  system = await System.start();
  firn = new sdk.Firn({ baseUrl: system.origin, token: () => token() });
});
afterEach(() => system.clearFaults());
after(() => system.stop());

const record = (id, more = {}) => ({ ns: NS, type: "sdk", id, markdown: `# ${id} é雪`, ...more });
const address = (id, ext = "md") => ({ ns: NS, type: "sdk", id, ext });

test("what put wrote, get, head and exists find, in every form", async () => {
  const { data, response } = await firn.put(record("docs/a b", { frontmatter: { title: "é" } })).withResponse();
  assert.deepEqual([data.accepted, data.rejected, data.mode], [1, 0, "build"]);
  assert.equal(response.headers.get("x-request-id"), data.requestId);

  const content = await firn.get(address("docs/a b"));
  assert.equal(content.body, "# docs/a b é雪");
  assert.equal(content.contentType, "text/markdown; charset=utf-8");
  assert.deepEqual((await firn.get(address("docs/a b", "json"), { as: "json" })).body, { title: "é" });
  assert.equal((await firn.get(address("docs/a b"), { as: "bytes" })).body.byteLength, Buffer.byteLength(content.body));
  assert.equal(await new Response((await firn.get(address("docs/a b"), { as: "stream" })).body).text(), content.body);
  assert.equal((await fetch(firn.url(address("docs/a b")))).status, 200);

  const head = await firn.head(address("docs/a b"));
  assert.deepEqual([head.etag, head.version], [content.etag, content.version]);
  assert.deepEqual(await firn.get(address("docs/a b"), { ifNoneMatch: head.etag }), { unchanged: true, etag: head.etag });
  assert.deepEqual([await firn.exists(address("docs/a b")), await firn.exists(address("nobody"))], [true, false]);
  await assert.rejects(firn.get(address("nobody")), (error) => sdk.isResponseError(error) && error.code === "not_found");
});

test("a refused record says its line, its field and the request", async () => {
  await assert.rejects(firn.put(record("typo", { markdwon: "x" })), (error) => {
    assert.deepEqual([error.name, error.code, error.line, error.field], ["BadRequestError", "nothing_accepted", 1, "markdwon"]);
    assert.equal(error.errors[0].code, "unknown_field");
    assert.match(error.requestId, /^[0-9a-f-]{36}$/);
    return true;
  });
});

test("publish takes all or nothing", async () => {
  await assert.rejects(firn.publish([record("p0"), record("p1", { markdown: 1 })]), (error) => {
    assert.deepEqual(error.errors.map(({ line, code }) => [line, code]), [[1, "not_sent"], [2, "invalid_type"]]);
    return true;
  });
  assert.equal(await firn.exists(address("p0")), false);
  assert.equal((await firn.publish([record("p0"), record("p1")])).accepted, 2);
  assert.equal((await firn.get(address("p1"))).body, record("p1").markdown);
});

test("3,000 records of an async iterator go in requests of 1,000, and a bad one is named", async () => {
  const bad = 1_234;
  async function* records() {
    for (let idx = 0; idx < 3_000; idx += 1) yield record(`m${idx}`, idx === bad ? { markdwon: "x" } : {});
  }
  const seen = [];
  const result = await firn.putMany(records(), { mode: "bulk", onProgress: ({ records: count }) => seen.push(count) });
  assert.deepEqual(seen, [1_000, 2_000, 3_000]);
  assert.deepEqual([result.requests, result.accepted, result.rejected], [3, 2_999, 1]);
  const [error, ...others] = result.errors;
  assert.deepEqual(others, []);
  assert.deepEqual([error.index, error.line, error.code, error.record.id], [bad, bad - 1_000 + 1, "unknown_field", `m${bad}`]);
  await system.flush();
  for (const idx of [0, 999, 1_000, 2_999]) assert.equal((await firn.get(address(`m${idx}`))).body, record(`m${idx}`).markdown);
  assert.equal(await firn.exists(address(`m${bad}`)), false);
});

test("a write that the stream refuses is repeated with its key, and has its effect once", async () => {
  const keys = [];
  const statuses = [];
  const watching = new sdk.Firn({
    baseUrl: system.origin,
    token: token(),
    fetch: async (url, init) => {
      keys.push(init.headers["idempotency-key"]);
      const response = await fetch(url, init);
      statuses.push(response.status);
      return response;
    },
  });
  const held = await system.rowCount();
  // The server itself tries three times.
  await system.fault("bulk", "fail_before", { count: 3 });
  assert.equal((await watching.put(record("again"), { mode: "bulk" })).accepted, 1);
  assert.equal(statuses.length, 2);
  assert.ok(statuses[0] >= 500 && statuses[1] === 200, `${statuses}`);
  assert.equal(new Set(keys).size, 1);
  assert.equal(await system.rowCount(), held + 1);

  const { response } = await watching.put(record("again"), { mode: "bulk", idempotencyKey: keys[0] }).withResponse();
  assert.equal(response.headers.get("x-idempotency-replayed"), "true");
  assert.equal(await system.rowCount(), held + 1);
});

test("many are read at once, each as by a read of its own, and a stranger sees what is public", async () => {
  const count = 230;
  await firn.publish(Array.from({ length: count }, (_, idx) => record(`b${idx}`, idx === 7 ? { visibility: "user" } : {})));
  const addresses = Array.from({ length: count }, (_, idx) => address(`b${idx}`));
  const all = await firn.getMany([...addresses, address("nobody"), address("b1", "json")]);
  assert.deepEqual(all.slice(0, count).map(({ body }) => body), addresses.map(({ id }) => record(id).markdown));
  assert.deepEqual(all.slice(count).map(({ found, status, code }) => [found, status, code]), [[false, 404, "not_found"], [false, 404, "not_found"]]);
  const { etag, version, contentType, lastModified } = await firn.head(address("b0"));
  assert.deepEqual({ etag: all[0].etag, version: all[0].version, contentType: all[0].contentType, lastModified: all[0].lastModified }, { etag, version, contentType, lastModified });
  const stranger = new sdk.Firn({ baseUrl: system.origin });
  assert.deepEqual((await stranger.getMany([address("b6"), address("b7")])).map(({ found }) => found), [true, false]);
  const [artifact] = await firn.getMany([address("b0", "artifact.json")], { as: "json" });
  assert.equal(artifact.body.markdown, record("b0").markdown);
});

test("what one answer of many has no room for comes in another", async () => {
  const long = "é".repeat(900_000);
  const ids = Array.from({ length: 9 }, (_, idx) => `long${idx}`);
  for (const id of ids) await firn.put(record(id, { markdown: `${id} ${long}` }));
  const all = await firn.getMany(ids.map((id) => address(id)));
  assert.deepEqual(all.map(({ found, body }) => found && body.slice(0, 5)), ids);
});

test("what was deleted is gone at once, and cannot be deleted again", async () => {
  const { version } = await firn.put(record("gone")).then(() => firn.head(address("gone")));
  await assert.rejects(firn.delete(address("gone"), { ifMatch: "1" }), (error) => sdk.isFirnError(error, "PreconditionFailedError") && error.found === version);
  assert.equal(await firn.exists(address("gone")), true);
  const deleted = await firn.delete(address("gone"), { ifMatch: version, idempotencyKey: "once" });
  assert.ok(BigInt(deleted.version) > BigInt(version));
  await assert.rejects(firn.get(address("gone")), (error) => sdk.isFirnError(error, "GoneError"));
  assert.equal(await firn.exists(address("gone")), false);
  // The same request again has its effect once, and its answer.
  assert.deepEqual((await firn.delete(address("gone"), { ifMatch: version, idempotencyKey: "once" })).version, deleted.version);
  await assert.rejects(firn.delete(address("gone")), (error) => sdk.isFirnError(error, "NotFoundError"));
  await firn.put(record("gone"));
  assert.equal(await firn.exists(address("gone")), true);
});
