// The edge cache as a reader meets it (RFC 9111, and the ideas of http-tests/cache-tests as cases of our own): freshness,
// validation, Vary, ranges, invalidation, and the heuristics that are refused.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { System, assertProblem, contentPath, poll, token } from "./system.mjs";

const NS = "e2e.example";
/** Another freshness, no `fresh`, and pages of one origin. */
const STRICT = "strict.example";
const ORIGIN = "https://app.example";
const TENANTS = {
  [NS]: { requests_per_minute: 60_000 },
  [STRICT]: { requests_per_minute: 60_000, max_age_secs: 100, max_age_secs_min: 20, stale_while_revalidate_secs: 50, fresh: false, cors_origins: [ORIGIN] },
};
const WRITER = token({ ns: [NS, STRICT] });

let system;
let count = 0;
before(async () => {
  system = await System.start({ tenants: TENANTS });
});
beforeEach(() => system.setClock(0));
after(() => system.stop());

const pathOf = (key, query = "", extension = ".md") => contentPath(key, extension) + query;
const get = (key, { query, extension, ...options } = {}) => system.get(pathOf(key, query, extension), options);
const write = (key, record) => system.publish([{ ...key, ...record }], { token: WRITER });

/** A new public artifact. */
async function published(text = "0123456789", { ns = NS, ...record } = {}) {
  const key = { ns, type: "page", id: `caching/${(count += 1)}/雪` };
  await write(key, { markdown: text, ...record });
  return key;
}

/** A new artifact whose copy has settled: 30 s old. */
async function cached(text, options) {
  const key = await published(text, options);
  await system.copied(pathOf(key));
  await system.setClock(30);
  return key;
}

const statusOf = (answer) => answer.headers["cache-status"] ?? "";
const assertHit = (answer) => {
  assert.match(statusOf(answer), /^firn; hit/);
  assert.equal(answer.headers["x-artifact-source"], "cache");
};
const assertMiss = (answer) => {
  assert.match(statusOf(answer), /^firn; fwd=/);
  assert.match(answer.headers["x-artifact-source"], /^(ledger|parquet)$/);
};

describe("freshness", () => {
  test("the first read is stored, and the next is a hit that says its age", async () => {
    const key = await published();
    const first = await get(key);
    assert.equal(first.status, 200);
    assertMiss(first);
    assert.match(statusOf(first), /^firn; fwd=uri-miss; stored$/);
    assert.equal(first.headers.age, undefined);
    await system.copied(pathOf(key));
    await system.setClock(30);
    const second = await get(key);
    assertHit(second);
    assert.equal(second.text, first.text);
    const age = Number(second.headers.age);
    assert.ok(age >= 30 && age < 90, second.headers.age);
    assert.match(statusOf(second), new RegExp(`ttl=${300 - age}$`));
    assert.equal(second.headers["x-firn-cost"], "reads=0; waves=0; bytes=0");
    for (const name of ["etag", "last-modified", "content-type", "cache-control", "vary", "x-artifact-version", "x-content-type-options", "accept-ranges", "content-length"]) {
      assert.equal(second.headers[name], first.headers[name], name);
    }
    assert.notEqual(second.headers["x-request-id"], first.headers["x-request-id"]);
  });

  test("a copy is not served past max-age and stale-while-revalidate", async () => {
    const key = await cached();
    await system.setClock(362);
    assertMiss(await get(key));
  });

  test("a stale copy is served once more while it is fetched anew in the background", async () => {
    const key = await cached();
    await system.setClock(330);
    const stale = await get(key);
    assertHit(stale);
    assert.match(statusOf(stale), /^firn; hit; ttl=-\d+; detail=stale$/);
    assert.ok(Number(stale.headers.age) >= 330);
    const fresh = await poll(async () => {
      const answer = await get(key);
      return /stale/.test(statusOf(answer)) ? undefined : answer;
    }, "the copy is fetched anew");
    assert.equal(fresh.text, stale.text);
    assert.ok(fresh.headers.age === undefined || Number(fresh.headers.age) < 300, fresh.headers.age);
  });

  test("max_age asks for a younger copy, within the bounds of the namespace", async () => {
    const key = await cached(undefined, { ns: STRICT });
    assertHit(await get(key));
    // 30 s old: over the least that may be asked for (20), and over what is asked for, but within its grace.
    assert.match(statusOf(await get(key, { query: "?max_age=25" })), /stale|fwd/);
    assertHit(await get(key, { query: "?max_age=60" }));
    const clamped = await get(key, { query: "?max_age=1000000" });
    assertHit(clamped);
    assert.match(clamped.headers["cache-control"], /max-age=100\b/);
    await system.setClock(0);
    assert.match((await get(key, { query: "?max_age=1" })).headers["cache-control"], /max-age=20\b/);
    for (const query of ["?max_age=", "?max_age=-1", "?max_age=soon", "?max_age=1e3", "?fresh=1"]) assertProblem(await get(key, { query }), 400, "invalid_query");
  });

  test("fresh=true passes by the cache, leaves nothing in it, and is refused where the namespace does not allow it", async () => {
    const key = await cached("old");
    const answer = await get(key, { query: "?fresh=true" });
    assert.equal(answer.status, 200);
    assertMiss(answer);
    assert.match(statusOf(answer), /fwd=bypass/);
    assert.match(answer.headers["cache-control"], /no-store/);
    assertHit(await get(key));
    const uncached = await published();
    await get(uncached, { query: "?fresh=true" });
    await system.setClock(30);
    assertMiss(await get(uncached));
    const strict = await published("x", { ns: STRICT });
    assertProblem(await get(strict, { query: "?fresh=true" }), 400, "invalid_query");
    assert.equal((await get(strict, { query: "?fresh=false" })).status, 200);
  });

  test("max-age and its grace end when the artifact expires", async () => {
    const key = await published("short", { expires_at: new Date(Date.now() + 120_000).toISOString() });
    const first = await get(key);
    const [, maxAge, grace] = /max-age=(\d+), stale-while-revalidate=(\d+)/.exec(first.headers["cache-control"]);
    assert.ok(Number(maxAge) <= 120 && Number(maxAge) + Number(grace) <= 120, first.headers["cache-control"]);
    await system.copied(pathOf(key));
    await system.setClock(60);
    assertHit(await get(key));
    await system.setClock(125);
    assertProblem(await get(key), 410, "gone");
  });

  test("rows of preview are asked for each time", async () => {
    const key = { ns: NS, type: "page", id: `caching/preview/${(count += 1)}` };
    await system.publish([{ ...key, markdown: "draft" }], { mode: "preview" });
    for (const clock of [0, 30]) {
      await system.setClock(clock);
      const answer = await get(key);
      assertMiss(answer);
      assert.equal(answer.headers["cache-control"], "public, max-age=0, must-revalidate");
    }
  });
});

describe("validation", () => {
  test("a copy answers conditions by its own tag and date", async () => {
    const key = await cached();
    const { etag, "last-modified": date } = (await get(key)).headers;
    for (const headers of [{ "If-None-Match": etag }, { "If-None-Match": `W/${etag}` }, { "If-None-Match": `"x", ${etag}` }, { "If-None-Match": "*" }, { "If-Modified-Since": date }]) {
      for (const method of ["GET", "HEAD"]) {
        const answer = await get(key, { headers, method });
        assert.deepEqual([answer.status, answer.text], [304, ""]);
        assertHit(answer);
        assert.equal(answer.headers.etag, etag);
        assert.ok(answer.headers["cache-control"]);
      }
    }
    const other = await get(key, { headers: { "If-None-Match": '"1.md"' } });
    assert.deepEqual([other.status, other.text], [200, "0123456789"]);
  });

  test("a first read that is conditional, a HEAD or a range does not leave part of an answer behind", async () => {
    for (const options of [{ headers: { "If-None-Match": "*" } }, { method: "HEAD" }, { headers: { Range: "bytes=2-3" } }]) {
      const key = await published();
      await get(key, options);
      await system.setClock(30);
      const answer = await get(key);
      assert.deepEqual([answer.status, answer.text, answer.headers["content-range"]], [200, "0123456789", undefined]);
      await system.setClock(0);
    }
  });

  test("a tag changes with the content, and each representation has its own", async () => {
    const key = await cached("one", { html: "<p>one</p>" });
    const [markdown, html] = [await get(key), await get(key, { extension: ".html" })];
    assert.notEqual(markdown.headers.etag, html.headers.etag);
    await write(key, { markdown: "two" });
    const next = await get(key, { headers: { "If-None-Match": markdown.headers.etag } });
    assert.deepEqual([next.status, next.text], [200, "two"]);
  });
});

describe("Vary", () => {
  test("names what answers may differ by", async () => {
    const plain = await cached();
    const strict = await cached("x", { ns: STRICT });
    assert.equal((await get(plain)).headers.vary, "Accept-Encoding");
    assert.deepEqual((await get(strict)).headers.vary.split(/, */).toSorted(), ["Accept-Encoding", "Origin"]);
  });

  test("a copy carries no one's origin", async () => {
    const key = await published("x", { ns: STRICT });
    const first = await get(key, { headers: { Origin: ORIGIN } });
    assert.equal(first.headers["access-control-allow-origin"], ORIGIN);
    await system.copied(pathOf(key));
    await system.setClock(30);
    const foreign = await get(key, { headers: { Origin: "https://evil.example" } });
    assertHit(foreign);
    assert.equal(foreign.headers["access-control-allow-origin"], undefined);
    const none = await get(key);
    assertHit(none);
    assert.equal(none.headers["access-control-allow-origin"], undefined);
    const again = await get(key, { headers: { Origin: ORIGIN } });
    assertHit(again);
    assert.equal(again.headers["access-control-allow-origin"], ORIGIN);
  });

  test("what a client takes of encodings does not change its bytes or those of the next", async () => {
    const key = await published("text ".repeat(1_000));
    for (const encoding of ["gzip", "br", "identity", "*;q=0", undefined]) {
      const answer = await get(key, { headers: encoding === undefined ? {} : { "Accept-Encoding": encoding, Range: "bytes=0-9" } });
      assert.equal(answer.headers["content-encoding"], undefined);
      assert.ok(answer.text === "text ".repeat(1_000) || answer.text === "text text ", encoding);
      await system.setClock(30);
    }
  });
});

describe("ranges", () => {
  test("of a copy are cut out of it, and If-Range is compared strongly", async () => {
    const key = await cached();
    const { etag, "last-modified": date } = (await get(key)).headers;
    for (const [range, part, named] of [["bytes=2-4", "234", "bytes 2-4/10"], ["bytes=7-", "789", "bytes 7-9/10"], ["bytes=-2", "89", "bytes 8-9/10"], ["bytes=0-1000", "0123456789", "bytes 0-9/10"]]) {
      const answer = await get(key, { headers: { Range: range, "If-Range": etag } });
      assertHit(answer);
      assert.deepEqual([answer.status, answer.text, answer.headers["content-range"]], [206, part, named]);
    }
    for (const ifRange of ['"1.md"', `W/${etag}`, "Sun, 06 Nov 1994 08:49:37 GMT"]) {
      const answer = await get(key, { headers: { Range: "bytes=2-4", "If-Range": ifRange } });
      assertHit(answer);
      assert.deepEqual([answer.status, answer.text], [200, "0123456789"], ifRange);
    }
    assert.ok([200, 206].includes((await get(key, { headers: { Range: "bytes=2-4", "If-Range": date } })).status));
    for (const range of ["bytes=0-1,3-4", "lines=0-1", "bytes=4-2", "bytes=a-b"]) {
      const answer = await get(key, { headers: { Range: range } });
      assert.deepEqual([answer.status, answer.text], [200, "0123456789"], range);
    }
    const beyond = await get(key, { headers: { Range: "bytes=10-" } });
    assertProblem(beyond, 416, "range_not_satisfiable");
    assert.equal(beyond.headers["content-range"], "bytes */10");
  });
});

describe("invalidation", () => {
  test("what is written is read by the very next request, whatever was cached of it", async () => {
    const key = await cached("first", { html: "<p>first</p>" });
    await get(key, { extension: ".html" });
    await get(key, { extension: ".artifact.json" });
    for (const text of ["second", "third", "fourth"]) {
      await write(key, { markdown: text, html: `<p>${text}</p>` });
      for (const clock of [30, 0, 330, 300]) {
        await system.setClock(clock);
        assert.equal((await get(key)).text, text);
        assert.equal((await get(key, { extension: ".html" })).text, `<p>${text}</p>`);
        assert.equal((await get(key, { extension: ".artifact.json" })).json.markdown, text);
      }
    }
  });

  test("a representation that is gone is gone at once, and so is what was deleted", async () => {
    const key = await cached("text", { html: "<p>" });
    assert.equal((await get(key, { extension: ".html" })).status, 200);
    await write(key, { markdown: "text" });
    assertProblem(await get(key, { extension: ".html" }), 404, "not_found");
    assert.equal((await get(key)).status, 200);
    await write(key, { deleted: true, visibility: "public" });
    assertProblem(await get(key), 410, "gone");
    await write(key, { markdown: "back" });
    assert.equal((await get(key)).text, "back");
  });

  test("many artifacts of a type are left behind at once", { timeout: 60_000 }, async () => {
    const keys = Array.from({ length: 600 }, (_, idx) => ({ ns: NS, type: "many", id: `m/${idx}` }));
    const records = (text) => keys.map((key) => ({ ...key, markdown: `${text} ${key.id}` }));
    await system.publish(records("old"));
    const some = keys.filter((_, idx) => idx % 60 === 0);
    for (const key of some) await system.copied(pathOf(key));
    await system.setClock(30);
    for (const key of some) assertHit(await get(key));
    await system.publish(records("new"));
    for (const key of some) assert.equal((await get(key)).text, `new ${key.id}`);
  });

  test("writing one artifact leaves the copies of others", async () => {
    const [one, other] = [await cached("one"), await cached("other")];
    await get(one);
    await write(other, { markdown: "changed" });
    assertHit(await get(one));
  });

  test("a request of an unsafe method changes nothing", async () => {
    const key = await cached();
    for (const method of ["POST", "PUT", "PATCH", "PURGE"]) {
      const answer = await system.request({ method, path: pathOf(key), headers: { "Content-Length": "0" } });
      assertProblem(answer, 405, "method_not_allowed");
    }
    assertHit(await get(key));
  });
});

describe("what is never cached", () => {
  test("that something does not exist", async () => {
    const key = { ns: NS, type: "page", id: `caching/later/${(count += 1)}` };
    assertProblem(await get(key), 404, "not_found");
    assertProblem(await get(key), 404, "not_found");
    await write(key, { markdown: "now" });
    assert.equal((await get(key)).text, "now");
  });

  test("that something is gone", async () => {
    const key = await published();
    await write(key, { deleted: true, visibility: "public" });
    const gone = await get(key);
    assertProblem(gone, 410, "gone");
    await write(key, { markdown: "again" });
    assert.equal((await get(key)).text, "again");
  });

  test("an error of ours", async () => {
    const key = await published();
    const answer = await get(key, { token: "no.token.at-all" });
    assertProblem(answer, 401, "unauthorized");
    assert.equal((await get(key)).status, 200);
  });
});

describe("heuristics that are refused", () => {
  test("no query, host name, cookie or forwarded header makes a copy of its own, or another answer", async () => {
    const key = await cached();
    const headers = [{ Cookie: "session=1" }, { "X-Forwarded-Host": "evil.example" }, { "X-Forwarded-Proto": "http" }, { "X-Original-URL": "/other" }, { "X-HTTP-Method-Override": "DELETE" }, { Host: "evil.example" }, { Forwarded: "host=evil.example" }, { "Accept-Language": "de" }, { Accept: "text/html" }, { "User-Agent": "curl" }];
    for (const header of headers) {
      const answer = await get(key, { headers: header });
      assertHit(answer);
      assert.equal(answer.text, "0123456789");
      assert.ok(!JSON.stringify(answer.headers).includes("evil.example"));
    }
    assertHit(await get(key, { query: "?utm_source=x&v=2" }));
  });

  test("every spelling of a path is the same copy, and js and mjs are one", async () => {
    const key = { ns: NS, type: "page", id: `caching/spelled/${(count += 1)} a~ü` };
    await write(key, { markdown: "spelled", esm: "export {}" });
    await system.copied(pathOf(key));
    await system.copied(pathOf(key, "", ".js"));
    await system.setClock(30);
    const spelled = pathOf(key);
    const lower = spelled.replaceAll(/%[0-9A-F]{2}/g, (triplet) => triplet.toLowerCase());
    const more = spelled.replace("page", "%70age").replace("~", "%7E");
    for (const path of [spelled, lower, more, spelled.replace(NS, NS.toUpperCase())]) {
      const answer = await system.get(path);
      assert.equal(answer.text, "spelled", path);
      assertHit(answer);
    }
    assertHit(await get(key, { extension: ".mjs" }));
  });

  test("a token does not keep what anyone may read out of the cache, nor bring anything else out of it", async () => {
    const key = await cached();
    assertHit(await get(key, { token: token({ sub: "someone", scope: "artifacts:read" }) }));
    assertProblem(await get(key, { token: "broken" }), 401, "unauthorized");
  });

  test("nothing is guessed from a date, a status or an extension: what says no max-age is not kept", async () => {
    for (const path of [`/$.content/${NS}/page/caching/none.md`, `/$.content/${NS}/page/x.unknown`, `/$.content/${NS}/page`]) {
      const answer = await system.get(path);
      assert.ok(answer.status >= 400);
      assert.equal(answer.headers["cache-control"], "no-store");
      assert.equal(answer.headers.age, undefined);
      assert.equal(answer.headers.etag, undefined);
    }
  });
});
