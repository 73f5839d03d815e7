// Who may read, on every path that an answer can take: callers × visibility × how it is read. What a caller must not read
// is never told from what does not exist, and no cache that callers share ever holds what not everyone may read.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { System, assertProblem, contentPath, token } from "./system.mjs";

const NS = "e2e.example";
const OTHER_SECRET = randomBytes(32).toString("base64url");
const READER = { ns: ["elsewhere.example"], scope: "artifacts:read" };
const VISIBILITIES = ["public", "unlisted", "org", "user"];
const OPEN = ["public", "unlisted"];

/** Each caller's token, and what it may read beyond what is open; `undefined`: its token does not verify. */
const CALLERS = {
  anonymous: { token: undefined, reads: [] },
  "of another organisation": { token: token({ ...READER, sub: "u1", org: "o2" }), reads: [] },
  "of no organisation": { token: token({ ...READER, sub: "u1", org: undefined }), reads: [] },
  "of the owner's organisation": { token: token({ ...READER, sub: "u2", org: "o1" }), reads: ["org"] },
  "the owner": { token: token({ ...READER, sub: "u1", org: "o1" }), reads: ["org", "user"] },
  "the owner with a token for writing alone": { token: token({ ...READER, sub: "u1", org: "o1", scope: "artifacts:write" }), reads: [] },
  "an admin": { token: token({ sub: "root", org: "o9", ns: [NS], scope: "artifacts:admin" }), reads: ["org", "user"] },
  "an admin of another namespace": { token: token({ sub: "root", org: "o9", ns: ["elsewhere.example"], scope: "artifacts:admin" }), reads: [] },
  "with an expired token": { token: token({ ...READER, sub: "u1", org: "o1", exp: Math.floor(Date.now() / 1000) - 3_600 }), reads: undefined },
  "with a forged token": { token: token({ ...READER, sub: "u1", org: "o1" }, { secret: OTHER_SECRET }), reads: undefined },
};

/** 200, 404 or 401: what this caller is to be told of such an artifact. */
function expected({ reads }, visibility) {
  if (reads === undefined) return 401;
  return OPEN.includes(visibility) || reads.includes(visibility) ? 200 : 404;
}

const key = (id) => ({ ns: NS, type: "page", id: `rights/${id}` });
const textOf = (id) => `# ${id}: the text that not everyone may read`;
const record = (id, visibility) => ({ ...key(id), markdown: textOf(id), visibility });
const CHANGES = [["public", "org"], ["public", "user"], ["unlisted", "org"], ["org", "public"], ["user", "org"], ["org", "user"], ["user", "unlisted"]];
const slug = (name) => name.replaceAll(/[^a-z]/g, "-");

let system;
before(async () => {
  system = await System.start();
});
after(() => system.stop());

const pathOf = (id, query = "") => `${contentPath(key(id), ".md")}${query}`;
const get = (caller, id, { query, ...options } = {}) => system.get(pathOf(id, query), { token: caller.token, ...options });

/** What an answer says besides its request's id. */
const shape = ({ status, headers, text }) => {
  const { "x-request-id": id, date, "x-firn-cost": cost, ...others } = headers;
  return { status, headers: others, text: text.replaceAll(id, "ID") };
};

/** What this caller is told of what does not exist. */
const missing = async (caller, options) => shape(await get(caller, "nothing-was-ever-here", options));

/** The answer is right for the caller; gives it where there is something to look at. */
async function assertAnswer(answer, caller, visibility, id, { status = 200, text = textOf(id), options = {} } = {}) {
  const wanted = expected(caller, visibility);
  if (wanted === 200) {
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.text, text);
    assert.equal(answer.headers["cache-control"].startsWith("public"), OPEN.includes(visibility), answer.headers["cache-control"]);
    if (!OPEN.includes(visibility)) assert.equal(answer.headers["cache-control"], "private, no-store");
    return answer;
  }
  if (wanted === 401) {
    assert.equal(answer.status, 401, answer.text);
    assert.match(answer.headers["www-authenticate"], /^Bearer/);
    assert.ok(!answer.text.includes("text that"));
    return undefined;
  }
  assert.deepEqual(shape(answer), await missing(caller, options), "forbidden and missing are alike");
  return undefined;
}

/** Runs `check` for every caller and visibility. */
async function forAll(check) {
  for (const visibility of VISIBILITIES) {
    for (const [name, caller] of Object.entries(CALLERS)) {
      try {
        await check(caller, visibility, name);
      } catch (error) {
        error.message = `${visibility}, read by a caller ${name}: ${error.message}`;
        throw error;
      }
    }
  }
}

const isHit = (answer) => /^firn; hit/.test(answer.headers["cache-status"] ?? "");

/** Nothing but what anyone may read ever comes out of a shared cache. */
function assertSource(answer, visibility) {
  if (answer === undefined || OPEN.includes(visibility)) return;
  assert.ok(!isHit(answer), answer.headers["cache-status"]);
  assert.notEqual(answer.headers["x-artifact-source"], "cache");
}

for (const source of ["ledger", "parquet"]) {
  describe(`of artifacts in the ${source}`, () => {
    const idOf = (visibility, name = "all") => `${source}/${visibility}/${slug(name)}`;
    before(async () => {
      const ids = VISIBILITIES.flatMap((visibility) => [...Object.keys(CALLERS), "all", "crowd"].map((name) => record(idOf(visibility, name), visibility)));
      await system.publish(ids);
      if (source === "parquet") await system.flush({ forget: true });
    });

    test("the first read", () =>
      forAll(async (caller, visibility, name) => {
        const id = idOf(visibility, name);
        const answer = await assertAnswer(await get(caller, id), caller, visibility, id);
        if (answer !== undefined) assert.equal(answer.headers["x-artifact-source"], source);
        assertSource(answer, visibility);
      }));

    test("a read of what others have read before", async () => {
      for (const visibility of VISIBILITIES) {
        for (const caller of Object.values(CALLERS)) await get(caller, idOf(visibility));
        if (OPEN.includes(visibility)) await system.copied(pathOf(idOf(visibility)));
      }
      await system.setClock(30);
      let hits = 0;
      await forAll(async (caller, visibility) => {
        const id = idOf(visibility);
        const answer = await assertAnswer(await get(caller, id), caller, visibility, id);
        assertSource(answer, visibility);
        if (answer !== undefined && isHit(answer)) hits += 1;
      });
      const readers = Object.values(CALLERS).filter(({ reads }) => reads !== undefined).length;
      assert.equal(hits, OPEN.length * readers, "what is open comes out of the cache, for whoever asks");
    });

    test("a read of what is stale", async () => {
      await forAll(async (caller, visibility) => {
        const id = idOf(visibility);
        // Filled at the time of the clock, so a copy of an earlier round is not younger than it says.
        await system.setClock(0);
        if (OPEN.includes(visibility)) await system.copied(pathOf(id));
        await system.setClock(330);
        const answer = await assertAnswer(await get(caller, id), caller, visibility, id);
        assertSource(answer, visibility);
        if (answer !== undefined && OPEN.includes(visibility)) assert.match(answer.headers["cache-status"], /detail=stale/);
      });
      await system.setClock(0);
    });

    test("reads of one cold artifact by all at once", async () => {
      for (const visibility of VISIBILITIES) {
        const id = idOf(visibility, "crowd");
        await system.forgetHeld();
        const crowd = Object.values(CALLERS).flatMap((caller) => [caller, caller, caller]);
        const answers = await Promise.all(crowd.map((caller) => get(caller, id)));
        for (const [idx, answer] of answers.entries()) assertSource(await assertAnswer(answer, crowd[idx], visibility, id), visibility);
      }
    });

    test("304, to those alone who may read", async () => {
      await forAll(async (caller, visibility) => {
        const id = idOf(visibility);
        const { etag, "last-modified": date } = (await get(CALLERS.anonymous, idOf("public"))).headers;
        const own = (await get(CALLERS["the owner"], id)).headers.etag;
        for (const headers of [{ "If-None-Match": own }, { "If-None-Match": "*" }, { "If-Modified-Since": date }]) {
          const options = { headers };
          await assertAnswer(await get(caller, id, options), caller, visibility, id, { status: 304, text: "", options });
        }
        assert.ok(etag);
      });
    });

    test("HEAD, as GET without its body", () =>
      forAll(async (caller, visibility) => {
        const id = idOf(visibility);
        const options = { method: "HEAD" };
        const answer = await assertAnswer(await get(caller, id, options), caller, visibility, id, { text: "", options });
        if (answer === undefined) return;
        const whole = await get(caller, id);
        assert.equal(Number(answer.headers["content-length"]), Buffer.byteLength(whole.text));
        for (const name of ["etag", "content-type", "cache-control", "last-modified", "x-artifact-version", "vary"]) assert.equal(answer.headers[name], whole.headers[name], name);
      }));

    test("a range, and one that cannot be satisfied", () =>
      forAll(async (caller, visibility) => {
        const id = idOf(visibility);
        const part = { headers: { Range: "bytes=0-3" } };
        await assertAnswer(await get(caller, id, part), caller, visibility, id, { status: 206, text: textOf(id).slice(0, 4), options: part });
        const beyond = { headers: { Range: "bytes=100000-" } };
        const answer = await get(caller, id, beyond);
        if (expected(caller, visibility) === 200) assertProblem(answer, 416, "range_not_satisfiable");
        else await assertAnswer(answer, caller, visibility, id, { options: beyond });
      }));

    test("a read past the caches", () =>
      forAll(async (caller, visibility) => {
        const id = idOf(visibility);
        const answer = await get(caller, id, { query: "?fresh=true" });
        if (expected(caller, visibility) !== 200) return assertAnswer(answer, caller, visibility, id, { options: { query: "?fresh=true" } });
        assert.deepEqual([answer.status, answer.text], [200, textOf(id)]);
        assert.match(answer.headers["cache-control"], /no-store/);
        assert.ok(!isHit(answer));
        return undefined;
      }));

    test("a batch: each item by its own rights", async () => {
      for (const caller of Object.values(CALLERS)) {
        const ids = [...VISIBILITIES.map((visibility) => idOf(visibility)), "nothing-was-ever-here"];
        const items = ids.map((id) => ({ ...key(id), ext: "md" }));
        const answer = await system.readBatch(items, { token: caller.token });
        if (caller.reads === undefined) {
          assertProblem(answer, 401, "unauthorized");
          continue;
        }
        assert.equal(answer.status, 200, answer.text);
        assert.match(answer.headers["cache-control"], /no-store/);
        const found = answer.json.items;
        assert.deepEqual(found.map(({ status }) => status), [...VISIBILITIES.map((visibility) => expected(caller, visibility)), 404]);
        const { ns, type, id, ext, ...absent } = found.at(-1);
        for (const [idx, item] of found.slice(0, -1).entries()) {
          if (item.status === 200) assert.equal(item.body, textOf(ids[idx]));
          else assert.deepEqual(Object.fromEntries(Object.entries(item).filter(([name]) => !["ns", "type", "id", "ext"].includes(name))), absent, "forbidden and missing are alike");
        }
      }
    });
  });
}

describe("a change of visibility", () => {
  for (const [from, to] of CHANGES) {
    test(`from ${from} to ${to} is in force at the very next read`, async () => {
      const id = `changed/${from}/${to}`;
      await system.publish([record(id, from)]);
      // Copies that have settled, in every way that there is to read them.
      for (const caller of Object.values(CALLERS)) await get(caller, id);
      await system.setClock(30);
      for (const caller of Object.values(CALLERS)) await get(caller, id);
      await system.publish([record(id, to)]);
      for (const clock of [30, 330]) {
        await system.setClock(clock);
        for (const caller of Object.values(CALLERS)) {
          assertSource(await assertAnswer(await get(caller, id), caller, to, id), to);
          const part = { headers: { Range: "bytes=0-3" } };
          await assertAnswer(await get(caller, id, part), caller, to, id, { status: 206, text: textOf(id).slice(0, 4), options: part });
        }
      }
      await system.setClock(0);
      assert.equal((await get(CALLERS.anonymous, id)).status, expected(CALLERS.anonymous, to));
    });
  }

  test("a deletion is 410 for those who may read it, and nothing for the others, at the very next read", async () => {
    const id = "deleted";
    await system.publish([record(id, "public")]);
    await system.copied(pathOf(id));
    await system.setClock(30);
    assert.ok(isHit(await get(CALLERS.anonymous, id)));
    await system.publish([{ ...key(id), deleted: true }]);
    for (const caller of Object.values(CALLERS)) {
      // A tombstone is its owner's, unless it says otherwise.
      const answer = await get(caller, id);
      if (expected(caller, "user") === 200) assertProblem(answer, 410, "gone");
      else await assertAnswer(answer, caller, "user", id);
    }
    await system.setClock(0);
  });
});

test("no shared cache holds anything that not everyone may read", () => {
  const entries = system.cacheEntries();
  const isOf = (part) => ({ url, text }) => decodeURIComponent(url).includes(part) || text.includes(part);
  assert.ok(entries.some(isOf("rights/ledger/public/")) || entries.some(isOf("rights/parquet/public/")), "there are copies of what is open");
  const closed = ["ledger/org/", "ledger/user/", "parquet/org/", "parquet/user/", ...CHANGES.filter(([, to]) => !OPEN.includes(to)).map(([from, to]) => `changed/${from}/${to}`), "rights/deleted"];
  for (const part of closed) assert.deepEqual(entries.filter(isOf(part)).map(({ url }) => url), []);
});
