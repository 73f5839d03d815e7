// DELETE /$.content/{ns}/{type}/{id}: gone on return, for whoever could read it, wherever the row lies.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { System, assertProblem, contentPath, token } from "./system.mjs";

const NS = "e2e.example";
let system;
before(async () => (system = await System.start({ tenants: { [NS]: { requests_per_minute: 60_000 }, "few.example": { requests_per_minute: 2 }, "spent.example": { records_per_day: 1 } } })));
after(() => system.stop());

let made = 0;
const key = (id = `d/${++made} 雪`) => ({ ns: NS, type: "page", id });
const read = (record, options) => system.get(contentPath(record, ".md"), options);
const remove = (record, { token: bearer = token(), headers = {} } = {}) =>
  system.request({ method: "DELETE", path: contentPath(record, ""), headers: { ...(bearer && { Authorization: `Bearer ${bearer}` }), ...headers } });

/** Publishes a record of its own; gives it and its version. */
async function publish(more = {}, mode = "build") {
  const record = { ...key(), markdown: "there", ...more };
  await system.publish([record], { mode });
  if (mode === "bulk") await system.flush();
  const { headers } = await read(record, { token: token() });
  return { record, version: headers["x-artifact-version"] };
}

describe("a deletion", () => {
  test("is in force on return, whether the row lies in the ledger, in the lake, or only there", async () => {
    for (const [mode, forget] of [["preview"], ["build", true], ["bulk"]]) {
      const { record, version } = await publish({}, mode);
      if (forget) await system.flush({ forget });
      assert.equal((await read(record)).text, "there", mode);
      const deleted = await remove(record);
      assert.equal(deleted.status, 200, deleted.text);
      assert.deepEqual(Object.keys(deleted.json), ["version", "requestId"]);
      assert.ok(BigInt(deleted.json.version) > BigInt(version));
      assert.equal(deleted.json.requestId, deleted.headers["x-request-id"]);
      assertProblem(await read(record), 410, "gone");
      assertProblem(await remove(record), 404, "not_found");
      await system.flush({ forget: true });
      assertProblem(await read(record), 410, "gone");
      await system.publish([{ ...record, markdown: "again" }]);
      assert.equal((await read(record)).text, "again");
    }
  });

  test("hides a row of bulk that the ledger does not know yet", async () => {
    const record = { ...key(), markdown: "on its way" };
    await system.publish([record], { mode: "bulk" });
    const deleted = await remove(record);
    assert.equal(deleted.status, 200, deleted.text);
    await system.flush({ forget: true });
    // It tells nobody but who deleted it that there was something.
    assertProblem(await read(record), 404, "not_found");
    assertProblem(await read(record, { token: token() }), 410, "gone");
    assertProblem(await read(record, { token: token({ sub: "eve" }) }), 404, "not_found");
  });

  test("is seen by whoever could read, and by nobody else", async () => {
    const eve = { token: token({ sub: "eve", org: "o2" }) };
    const colleague = { token: token({ sub: "u2" }) };
    const { record: own } = await publish({ visibility: "user" });
    const { record: orgs } = await publish({ visibility: "org" });
    for (const record of [own, orgs]) assert.equal((await remove(record, eve)).status, 200);
    assertProblem(await read(own, { token: token() }), 410, "gone");
    assertProblem(await read(own, colleague), 404, "not_found");
    assertProblem(await read(orgs, colleague), 410, "gone");
    for (const record of [own, orgs]) {
      assertProblem(await read(record, eve), 404, "not_found");
      assertProblem(await read(record), 404, "not_found");
    }
  });

  test("holds to If-Match: the version, alone or as a representation's tag", async () => {
    const { record, version } = await publish();
    const etag = (await read(record)).headers.etag;
    for (const tag of ['"1"', `W/"${version}"`, '"1", "2.md"']) {
      const refused = assertProblem(await remove(record, { headers: { "If-Match": tag } }), 412, "precondition_failed");
      assert.equal(refused.found, version);
    }
    assertProblem(await remove(record, { headers: { "If-Match": version } }), 400, "invalid_header");
    assert.equal((await read(record)).text, "there");
    assert.equal((await remove(record, { headers: { "If-Match": `"1", ${etag}` } })).status, 200);
    const again = await publish();
    assert.equal((await remove(again.record, { headers: { "If-Match": `"${again.version}"` } })).status, 200);
    assert.equal((await remove((await publish()).record, { headers: { "If-Match": "*" } })).status, 200);
    assertProblem(await remove(key(), { headers: { "If-Match": "*" } }), 412, "precondition_failed");
  });

  test("under an idempotency key has its effect once", async () => {
    const { record } = await publish();
    const headers = { "Idempotency-Key": `delete-${record.id.length}-${made}` };
    const first = await remove(record, { headers });
    const again = await remove(record, { headers });
    assert.deepEqual([again.status, again.headers["x-idempotency-replayed"], again.json], [200, "true", first.json]);
    assertProblem(await remove(key(), { headers }), 422, "idempotency_mismatch");
    assertProblem(await system.post([record], { headers }), 422, "idempotency_mismatch");
  });

  test("of 8 at once one is answered 200", async () => {
    const { record } = await publish();
    const statuses = (await Promise.all(Array.from({ length: 8 }, () => remove(record)))).map(({ status }) => status);
    assert.deepEqual(statuses.toSorted(), [200, ...Array(7).fill(404)]);
  });

  test("is for those who may write the namespace, within its rate", async () => {
    const { record } = await publish();
    assertProblem(await remove(record, { token: null }), 401, "unauthorized");
    assertProblem(await remove(record, { token: token({ scope: "artifacts:read" }) }), 403, "scope_missing");
    assertProblem(await remove(record, { token: token({ ns: ["other.example"] }) }), 403, "namespace_forbidden");
    const invalid = (path) => system.request({ method: "DELETE", path, headers: { Authorization: `Bearer ${token()}` } });
    for (const path of ["/$.content/", `/$.content/${NS}/page`, `/$.content/${NS}/page/a//b`, `/$.content/${NS}/page/%zz`, `/$.content/${NS}/page/a@v1`]) {
      assertProblem(await invalid(path), 400, "invalid_path");
    }
    assert.equal((await read(record)).text, "there");
    const few = token({ ns: ["few.example"] });
    const one = { ns: "few.example", type: "page", id: "a" };
    assert.deepEqual([(await remove(one, { token: few })).status, (await remove(one, { token: few })).status], [200, 404]);
    const limited = await remove(one, { token: few });
    assertProblem(limited, 429, "rate_limited");
    assert.match(limited.headers["retry-after"], /^[1-9]\d*$/);
  });

  test("is what the answer to another method names", async () => {
    const answer = await system.request({ method: "PUT", path: contentPath(key(), ".md"), headers: { "Content-Length": "0" } });
    assertProblem(answer, 405, "method_not_allowed");
    assert.equal(answer.headers.allow, "GET, HEAD, OPTIONS, DELETE");
  });
});

test("a quota that is spent refuses until the day ends", async () => {
  const bearer = token({ ns: ["spent.example"] });
  const record = { ns: "spent.example", type: "page", id: "a", markdown: "1" };
  await system.publish([record], { token: bearer });
  const refused = await system.post([{ ...record, markdown: "2" }], { token: bearer });
  assert.equal(assertProblem(refused, 429, "quota_spent").limit, 1);
  const left = 86_400 - (Math.floor(Date.now() / 1_000) % 86_400);
  assert.ok(Math.abs(Number(refused.headers["retry-after"]) - left) < 60);
  assertProblem(await remove(record, { token: bearer }), 429, "quota_spent");
});
