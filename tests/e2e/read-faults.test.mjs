// The bucket or a ledger slow, failing, hanging or giving too little, as a reader meets it: bounded time, retries, nothing of
// ours that fails is kept, a crowd that is not held up, and stale public content rather than an error where it may be.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { System, assertProblem, contentPath, token } from "./system.mjs";

const NS = "e2e.example";
/** Opted in to be served from the tables alone while the ledger does not answer. */
const LAKE_ONLY = "lakeonly.example";
/** Enough failures in a row that a dependency is left alone (`firn_store::breaker::FAILURES_MAX`). */
const FAILURES_MAX = 20;

let system;
let worker;
let count = 0;
before(async () => {
  system = await System.start({
    tenants: { [NS]: { requests_per_minute: 60_000 }, [LAKE_ONLY]: { requests_per_minute: 60_000, lake_only_public: true } },
    vars: { "firn-serve": { FIRN_LOOKUP_DEADLINE_MILLIS: "1500" } },
    wrapped: { "firn-serve": fileURLToPath(new URL("fixtures/faulty-serve.js", import.meta.url)) },
  });
  worker = await system.worker("firn-serve");
});
beforeEach(() => system.setClock(0));
afterEach(async () => {
  await worker.fetch("http://serve/fault", { method: "DELETE" });
  await system.forgetHeld();
});
after(() => system.stop());

const fault = (of, kind, more = {}) => worker.fetch(`http://serve/fault?${new URLSearchParams({ of, kind, ...more })}`, { method: "POST" });
const calls = async () => (await worker.fetch("http://serve/calls")).json();
const pathOf = (key, query = "?fresh=true") => contentPath(key, ".md") + query;
const textOf = (key) => `# ${key.id}`;

/** Artifacts that lie in the lake alone. */
async function inTheLake(records) {
  const keys = records.map(({ ns = NS, ...record }) => ({ ns, type: "page", id: `faults/${(count += 1)}`, ...record }));
  await system.publish(keys.map((key) => ({ ...key, markdown: textOf(key) })), { token: token({ ns: [NS, LAKE_ONLY] }) });
  await system.flush({ forget: true });
  await system.forgetHeld();
  return keys;
}

function assertFound(answer, key) {
  assert.deepEqual([answer.status, answer.text], [200, textOf(key)]);
}

function assertUnavailable(answer) {
  assertProblem(answer, 503, "storage_unavailable");
  assert.ok(Number(answer.headers["retry-after"]) >= 1, answer.headers["retry-after"]);
  assert.doesNotMatch(answer.text, /bucket|R2|ledger|10001|parquet/);
}

describe("the bucket", () => {
  for (const [kind, does] of [["fail", "fails"], ["throttle", "throttles"], ["short", "gives too little"]]) {
    test(`that ${does} once is asked again`, async () => {
      const [key] = await inTheLake([{}]);
      await fault("bucket", kind, { count: 1 });
      await calls();
      const answer = await system.get(pathOf(key));
      assertFound(answer, key);
      assert.match(answer.headers["x-firn-cost"], new RegExp(`^reads=${(await calls()).bucket};`), "an attempt that failed is counted");
    });

    test(`that ${does} always is a 503, and nothing of it is kept`, async () => {
      const [key] = await inTheLake([{}]);
      await fault("bucket", kind);
      assertUnavailable(await system.get(pathOf(key, "")));
      await fault("bucket", kind, { count: 0 });
      assertFound(await system.get(pathOf(key, "")), key);
    });
  }

  test("that hangs is a 503 within the deadline, for those too who wait for the same lookup", { timeout: 60_000 }, async () => {
    const [key] = await inTheLake([{}]);
    await fault("bucket", "hang");
    for (const answer of await Promise.all(Array.from({ length: 20 }, () => system.get(pathOf(key, ""))))) assertUnavailable(answer);
    await fault("bucket", "hang", { count: 0 });
    assertFound(await system.get(pathOf(key, "")), key);
  });

  test("that is slow is waited for", { timeout: 60_000 }, async () => {
    const [key] = await inTheLake([{}]);
    await fault("bucket", "slow", { millis: 200 });
    assertFound(await system.get(pathOf(key)), key);
  });

  test("that fails a leader does so to no follower once it recovers", { timeout: 60_000 }, async () => {
    const [key] = await inTheLake([{}]);
    // Each of three attempts of the leader's first read.
    await fault("bucket", "fail", { count: 3 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => system.get(pathOf(key))));
    for (const answer of answers) {
      if (answer.status !== 200) assertUnavailable(answer);
    }
    assertFound(await system.get(pathOf(key)), key);
  });

  test("that goes on failing is left alone, and asked again later", { timeout: 60_000 }, async () => {
    const [key] = await inTheLake([{}]);
    await fault("bucket", "fail");
    await calls();
    let asked = 0;
    for (let reads = 0; asked < FAILURES_MAX; reads += 1) {
      assert.ok(reads < FAILURES_MAX, `${asked} calls in ${reads} reads`);
      assertUnavailable(await system.get(pathOf(key)));
      asked += (await calls()).bucket;
    }
    assertUnavailable(await system.get(pathOf(key)));
    assert.equal((await calls()).bucket, 0);
    await fault("bucket", "fail", { count: 0 });
    // As if its time were over.
    await system.forgetHeld();
    assertFound(await system.get(pathOf(key)), key);
  });

  test("that fails leaves the copy that the namespace's bound still allows, and no older one", { timeout: 60_000 }, async () => {
    const [key] = await inTheLake([{}]);
    await system.copied(pathOf(key, ""));
    await system.setClock(100);
    await fault("bucket", "fail");
    // Too old for this caller: 10 s and 60 s more. The namespace allows 300 s and 60 s more.
    const late = await system.get(pathOf(key, "?max_age=10"));
    assertFound(late, key);
    assert.match(late.headers["cache-status"], /^firn; hit; ttl=-\d+; detail=failed$/);
    await system.setClock(400);
    assertUnavailable(await system.get(pathOf(key, "?max_age=10")));
  });
});

describe("a ledger", () => {
  for (const kind of ["fail", "hang"]) {
    test(`that ${kind}s is a 503: nobody else knows who may read`, { timeout: 60_000 }, async () => {
      const [open, closed] = await inTheLake([{}, { visibility: "org" }]);
      await fault("ledger", kind);
      assertUnavailable(await system.get(pathOf(open)));
      assertUnavailable(await system.get(pathOf(closed), { token: token() }));
      await fault("ledger", kind, { count: 0 });
      await system.forgetHeld();
      assertFound(await system.get(pathOf(open)), open);
      assertFound(await system.get(pathOf(closed), { token: token() }), closed);
    });
  }

  test("that fails leaves fresh copies readable", async () => {
    const [key] = await inTheLake([{}]);
    await system.copied(pathOf(key, ""));
    await system.setClock(30);
    await fault("ledger", "fail");
    assertFound(await system.get(pathOf(key, "")), key);
  });

  test("that fails leaves what is public to a namespace that opted in, and nothing else", { timeout: 60_000 }, async () => {
    const [open, closed] = await inTheLake([{ ns: LAKE_ONLY }, { ns: LAKE_ONLY, visibility: "org" }]);
    await fault("ledger", "fail");
    assertFound(await system.get(pathOf(open)), open);
    assertUnavailable(await system.get(pathOf(closed), { token: token({ ns: [LAKE_ONLY] }) }));
    assertUnavailable(await system.get(pathOf({ ...closed, id: "never" })));
  });

  test("that goes on failing is left alone", { timeout: 60_000 }, async () => {
    const [key] = await inTheLake([{}]);
    await fault("ledger", "fail");
    await calls();
    for (let reads = 0; reads <= FAILURES_MAX; reads += 1) assertUnavailable(await system.get(pathOf(key)));
    assert.equal((await calls()).ledger, FAILURES_MAX);
  });
});
