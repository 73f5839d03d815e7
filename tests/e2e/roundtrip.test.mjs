// What is sent is read back, byte for byte: 10,000 records of every kind in all modes, in every representation, out of
// the tables and after a restart too; and how GET and HEAD answer (design.md §3).
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { REPRESENTATIONS, contentHash, contentSize, randomRecord } from "./records.mjs";
import { System, assertProblem, contentPath, inParallel, seeded, token } from "./system.mjs";

const NS = "e2e.example";
const RECORD_COUNT = 10_000;
const REQUEST_RECORDS_MAX = 1_000;
const REQUEST_LEN_BYTES_MAX = 9_000_000;
const MODES = ["preview", "build", "bulk"];
const WIDTH = 16;

let system;
before(async () => (system = await System.start()));
after(() => system.stop());

/** Sizes from one byte to 1.8 MB; most are small. */
function sizeOf(random, idx) {
  if (idx % 2_000 === 1) return 1_800_000;
  if (idx % 200 === 2) return random.int(50_000, 300_000);
  if (idx % 20 === 3) return random.int(5_000, 50_000);
  return idx % 7 === 0 ? 1 : random.int(1, 3_000);
}

function makeRecords(random) {
  return Array.from({ length: RECORD_COUNT }, (_, idx) => {
    const lenBytes = sizeOf(random, idx);
    const id = `${random.pick(["docs", "雪/页", "a b/c+d", "😀", "%41", "x?y#z", "deep/er/est"])}/${idx}`;
    const made = randomRecord(random, { ns: NS, id, lenBytes, everything: lenBytes < 300_000 && idx % 50 === 0 });
    return { ...made, mode: MODES[idx % MODES.length] };
  });
}

/** The records of each mode, in requests as large as one may be. */
function* requestsOf(records) {
  for (const mode of MODES) {
    let lines = [];
    let len = 0;
    for (const record of records.filter((one) => one.mode === mode)) {
      const lineLen = Buffer.byteLength(record.line) + 1;
      if (lines.length === REQUEST_RECORDS_MAX || len + lineLen > REQUEST_LEN_BYTES_MAX) {
        yield { mode, lines };
        lines = [];
        len = 0;
      }
      lines.push(record.line);
      len += lineLen;
    }
    yield { mode, lines };
  }
}

const CACHE_CONTROL = { preview: "public, max-age=0, must-revalidate", build: "public, max-age=300, stale-while-revalidate=60", bulk: "public, max-age=300, stale-while-revalidate=60" };

/** Reads one representation, and holds it against what was sent. */
async function checkText(record, [extension, field, type], source = "parquet") {
  const path = contentPath(record.key, extension);
  const answer = await system.get(path);
  const wanted = record.texts.get(field);
  if (wanted === undefined) return assertProblem(answer, 404, "not_found");
  assert.equal(answer.status, 200, `${path}: ${answer.text.slice(0, 300)}`);
  assert.ok(answer.bytes.equals(Buffer.from(wanted)), `${path}: ${answer.bytes.length} bytes are not the ${Buffer.byteLength(wanted)} that were sent`);
  const { headers } = answer;
  assert.equal(headers["content-type"], type, path);
  assert.equal(headers["cache-control"], CACHE_CONTROL[record.mode], path);
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.equal(headers["content-security-policy"], field === "html" ? "sandbox" : undefined);
  // js and mjs have one copy at the edge, and copies outlive a restart.
  const sources = source === "parquet" ? [source, "cache"] : [source];
  assert.ok(sources.includes(headers["x-artifact-source"]), headers["x-artifact-source"]);
  assert.match(headers["x-artifact-version"], /^[1-9]\d{0,15}$/);
  assert.match(headers.etag, /^"[\x21\x23-\x7e]+"$/);
  assert.match(headers["last-modified"], /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  assert.match(headers["x-firn-cost"], /^reads=\d+; waves=\d+; bytes=\d+$/);
  return answer;
}

/** Reads the whole record: every field as sent, every server-set field as promised. */
async function checkArtifact(record) {
  const answer = await system.get(contentPath(record.key, ".artifact.json"));
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  assert.equal(answer.headers["content-type"], "application/json");
  const { version, ts, owner_iss, owner_org, owner_sub, hash, size_bytes, mode, ingest_id, deleted = false, ...rest } = answer.json;
  assert.deepEqual(rest, record.artifact);
  assert.equal(version, answer.headers["x-artifact-version"]);
  assert.ok(Math.abs(Date.parse(ts) - Date.now()) < 3_600_000, ts);
  assert.deepEqual([owner_iss, owner_org, owner_sub, mode, deleted], ["https://firn.localhost", "o1", "u1", record.mode, false]);
  assert.match(ingest_id, /^[0-9a-f-]{36}$/);
  assert.equal(hash, contentHash(record.texts));
  assert.equal(size_bytes, contentSize(record.texts));
  // Trees and the like are the caller's bytes here too.
  for (const field of ["mdast", "hast", "estree", "tsast", "frontmatter"]) {
    if (record.texts.has(field)) assert.ok(answer.text.includes(`"${field}":${record.texts.get(field)}`), `${field} of ${record.key.id}`);
  }
}

describe("10,000 records", () => {
  let records;
  const versions = new Map();

  test("are taken in requests of at most a thousand, in every mode", async (t) => {
    records = makeRecords(seeded(t));
    for (const { mode, lines } of requestsOf(records)) {
      const answer = await system.post(lines.join("\n"), { mode });
      assert.equal(answer.status, 200, answer.text.slice(0, 2_000));
      assert.equal(answer.json.accepted, lines.length);
    }
  });

  test("are read from the ledger in preview and build, before the lake has any", async () => {
    const sample = records.filter(({ mode }, idx) => mode !== "bulk" && idx % 7 === 0);
    await inParallel(sample, WIDTH, async (record, idx) => {
      const has = REPRESENTATIONS.filter(([, field]) => record.texts.has(field));
      const answer = await checkText(record, has[idx % has.length], "ledger");
      assert.equal(answer.headers["x-firn-cost"], "reads=0; waves=0; bytes=0");
    });
    assert.ok(sample.length > 500);
  });

  test("are in the tables after a flush, once each", async () => {
    const taken = Object.fromEntries(MODES.map((mode) => [mode, records.filter((record) => record.mode === mode).length]));
    const tables = await system.flush({ forget: true });
    const rows = Object.fromEntries(Object.entries(tables).map(([table, { rows }]) => [table, rows]));
    assert.deepEqual(rows, { artifacts_preview: taken.preview, artifacts_build: taken.build, artifacts_bulk: taken.bulk });
    assert.equal(taken.preview + taken.build + taken.bulk, RECORD_COUNT);
  });

  test("are read back, each in a representation of its own, many in all", async (t) => {
    const reads = new Map(REPRESENTATIONS.map(([extension]) => [extension, 0]));
    let artifacts = 0;
    const began = performance.now();
    await inParallel(records, WIDTH, async (record, idx) => {
      const has = REPRESENTATIONS.filter(([, field]) => record.texts.has(field));
      const wanted = idx % 50 === 0 ? REPRESENTATIONS : [has[idx % has.length]];
      const etags = new Map();
      for (const representation of wanted) {
        const answer = await checkText(record, representation);
        reads.set(representation[0], reads.get(representation[0]) + 1);
        if (answer.status !== 200) continue;
        versions.set(record, answer.headers["x-artifact-version"]);
        etags.set(representation[1], answer.headers.etag);
      }
      assert.equal(new Set(etags.values()).size, etags.size, "each representation has a tag of its own");
      if (idx % 20 === 0) {
        await checkArtifact(record);
        artifacts += 1;
      }
    });
    const total = [...reads.values()].reduce((sum, count) => sum + count, artifacts);
    t.diagnostic(`${total} reads, ${(total / ((performance.now() - began) / 1_000)).toFixed(0)} a second`);
    for (const [extension, count] of reads) assert.ok(count >= 400, `${extension} was read ${count} times`);
    assert.equal(versions.size, RECORD_COUNT, "every artifact was read");
  });

  test("rose in version line by line", () => {
    for (const mode of MODES) {
      const given = records.filter((record) => record.mode === mode).map((record) => Number(versions.get(record)));
      for (let idx = 1; idx < given.length; idx += 1) assert.ok(given[idx] > given[idx - 1] && Number.isSafeInteger(given[idx]), `${mode}: ${given[idx]} after ${given[idx - 1]}`);
    }
  });

  test("are there after a restart with the same state", async () => {
    await system.restart();
    const sample = records.filter((_, idx) => idx % 40 === 0 || idx % 2_000 === 1);
    await inParallel(sample, WIDTH, async (record) => {
      const representation = REPRESENTATIONS.find(([, field]) => record.texts.has(field));
      const answer = await checkText(record, representation);
      assert.equal(answer.headers["x-artifact-version"], versions.get(record));
      await checkArtifact(record);
    });
    const tables = Object.values(await system.flush());
    assert.equal(tables.reduce((sum, { rows }) => sum + rows, 0), RECORD_COUNT, "nothing was written again");
  });
});

let made = 0;
const record = (more = {}) => ({ ns: NS, type: "page", id: `single/${++made}`, ...more });

describe("the highest version decides", () => {
  const key = { ns: NS, type: "page", id: "again" };
  const read = async (extension = ".md", options = {}) => system.get(contentPath(key, extension), options);

  test("across files of a table, across tables, and within a file", async () => {
    // Modes change so that the newest is in each table once, before and after older files.
    for (const [idx, mode] of ["build", "build", "bulk", "preview", "build", "preview", "bulk"].entries()) {
      const texts = [0, 1, 2].map((nth) => `# ${idx}.${nth}`);
      await system.publish(texts.map((markdown) => ({ ...key, markdown })), { mode });
      await system.flush();
      const answer = await read();
      assert.equal(answer.text, texts.at(-1), `${mode}, publish ${idx}`);
      assert.equal((await read(".artifact.json")).json.mode, mode);
    }
  });

  test("a record replaces the whole artifact: what it leaves out is gone", async () => {
    await system.publish([{ ...key, html: "<p>" }]);
    await system.flush();
    assert.equal((await read(".html")).text, "<p>");
    assertProblem(await read(".md"), 404, "not_found");
  });

  test("a tombstone hides every older version, and a later record is there again", async () => {
    for (const [mode, deletedMode] of [["build", "preview"], ["preview", "bulk"], ["bulk", "build"]]) {
      await system.publish([{ ...key, markdown: "before" }], { mode });
      await system.publish([{ ...key, deleted: true, visibility: "public" }], { mode: deletedMode });
      await system.flush();
      for (const extension of [".md", ".html", ".artifact.json"]) assertProblem(await read(extension), 410, "gone");
      await system.publish([{ ...key, markdown: "after" }], { mode });
      await system.flush();
      assert.equal((await read()).text, "after");
    }
  });

  test("an older version of wider rights is not served for a newer one of narrower", async () => {
    await system.publish([{ ...key, markdown: "for all" }], { mode: "bulk" });
    await system.publish([{ ...key, markdown: "for me", visibility: "user" }], { mode: "preview" });
    await system.flush();
    assertProblem(await read(), 404, "not_found");
    assert.equal((await read(".md", { token: token() })).text, "for me");
  });
});

describe("who may read", () => {
  const callers = {
    anonymous: undefined,
    owner: token(),
    "owner without the scope to read": token({ scope: "artifacts:write" }),
    colleague: token({ sub: "u2" }),
    "namesake of another organisation": token({ org: "o2" }),
    "user without organisation": token({ org: undefined }),
    "admin of another namespace": token({ sub: "root", org: "o9", ns: ["other.example"], scope: "artifacts:admin" }),
    admin: token({ sub: "root", org: "o9", scope: "artifacts:admin" }),
  };
  const everyone = Object.keys(callers);
  for (const [visibility, readers] of [
    ["public", everyone],
    ["unlisted", everyone],
    ["org", ["owner", "colleague", "admin"]],
    ["user", ["owner", "admin"]],
  ]) {
    test(`${visibility}: ${readers.length === everyone.length ? "anyone" : readers.join(", ")}`, async () => {
      const one = record({ markdown: "# secret?", visibility });
      const dead = record({ deleted: true, visibility });
      const past = record({ markdown: "old", visibility, expires_at: "2020-01-01T00:00:00Z" });
      await system.publish([one, dead, past]);
      await system.flush();
      const absent = await system.get(contentPath(record(), ".md"), { headers: { "X-Request-Id": "same" } });
      for (const [name, bearer] of Object.entries(callers)) {
        const get = (what, extension = ".md") => system.get(contentPath(what, extension), { token: bearer, headers: { "X-Request-Id": "same" } });
        const answer = await get(one);
        if (readers.includes(name)) {
          assert.equal(answer.status, 200, name);
          const isOpen = ["public", "unlisted"].includes(visibility);
          assert.equal(answer.headers["cache-control"], isOpen ? "public, max-age=300, stale-while-revalidate=60" : "private, no-store");
          for (const what of [dead, past]) for (const extension of [".md", ".artifact.json"]) assertProblem(await get(what, extension), 410, "gone");
        } else {
          // Not to be told from an artifact that does not exist: equal in headers and body.
          for (const refused of [answer, await get(dead), await get(past), await get(one, ".css"), await get(one, ".artifact.json")]) {
            assertProblem(refused, 404, "not_found");
            assert.equal(refused.text, absent.text, name);
            assert.deepEqual(comparable(refused.headers), comparable(absent.headers), name);
          }
        }
      }
    });
  }

  /** Without what the clock and the development origin add. */
  const comparable = ({ date, age, "cache-status": status, "x-artifact-source": source, "x-firn-cost": cost, ...headers }) => headers;

  test("a tombstone that names no visibility is its owner's alone", async () => {
    const dead = record({ deleted: true });
    await system.publish([record({ id: dead.id, markdown: "was public" }), dead]);
    await system.flush();
    assertProblem(await system.get(contentPath(dead, ".md")), 404, "not_found");
    assertProblem(await system.get(contentPath(dead, ".md"), { token: callers.owner }), 410, "gone");
  });

  test("401: a token that does not verify, even for what anyone may read", async () => {
    const one = record({ markdown: "x" });
    await system.publish([one]);
    await system.flush();
    for (const bearer of ["abc", token({ aud: "other" }), token({ exp: 1 })]) {
      const answer = await system.get(contentPath(one, ".md"), { token: bearer });
      assertProblem(answer, 401, "unauthorized");
      assert.match(answer.headers["www-authenticate"], /^Bearer /);
    }
    assert.equal((await system.get(contentPath(one, ".md"))).status, 200);
  });

  test("another namespace of the same id is another artifact", async () => {
    const one = record({ markdown: "mine" });
    await system.publish([one]);
    await system.flush();
    for (const other of [{ ...one, ns: "e2e2.example" }, { ...one, type: "Page" }, { ...one, id: one.id.toUpperCase() }]) {
      assertProblem(await system.get(contentPath(other, ".md")), 404, "not_found");
    }
  });
});

describe("GET and HEAD", () => {
  const all = record({
    id: "every/representation", markdown: "# m", mdx: "<M/>", html: "<p>h", css: "c{}", esm: "export {}", dts: "type D = 1", frontmatter: { f: 1 },
    mdast: ["m"], hast: "h", estree: 1, tsast: null, dependencies: ["d"], exports: [], metadata: { m: 1 },
  });
  before(async () => {
    await system.publish([all, record({ id: "dot.json", markdown: "of an id with an extension in it", frontmatter: { a: 1 } }), record({ id: "空/é ?#%+&=", markdown: "odd" }), record({ id: "empty", html: "", exports: [] })]);
    await system.flush();
  });

  for (const [extension, field, type] of [...REPRESENTATIONS, [".artifact.json", null, "application/json"]]) {
    test(`${extension}: HEAD is GET without its body`, async () => {
      const path = contentPath(all, extension);
      const got = await system.get(path, { headers: { "X-Request-Id": "same" } });
      const head = await system.get(path, { method: "HEAD", headers: { "X-Request-Id": "same" } });
      assert.equal(got.status, 200);
      assert.equal(got.headers["content-type"], type);
      if (field) assert.equal(got.text, typeof all[field] === "string" && !["hast"].includes(field) ? all[field] : JSON.stringify(all[field]));
      assert.equal(head.status, 200);
      assert.equal(head.bytes.length, 0);
      assert.equal(Number(head.headers["content-length"]), got.bytes.length);
      const comparable = ({ date, age, "cache-status": status, "x-artifact-source": source, "x-firn-cost": cost, "content-length": len, "transfer-encoding": framing, ...headers }) => headers;
      assert.deepEqual(comparable(head.headers), comparable(got.headers));
    });
  }

  test("js and mjs are one representation", async () => {
    const tags = await Promise.all([".js", ".mjs"].map(async (extension) => (await system.get(contentPath(all, extension))).headers.etag));
    assert.equal(tags[0], tags[1]);
  });

  test("a tag is of one version and one representation", async () => {
    const one = record();
    const tags = [];
    for (const markdown of ["a", "b", "a"]) {
      await system.publish([{ ...one, markdown, css: "a" }]);
      await system.flush();
      for (const extension of [".md", ".css"]) tags.push((await system.get(contentPath(one, extension))).headers.etag);
    }
    assert.equal(new Set(tags).size, 6);
  });

  test("an id is percent-decoded once, and the longest known extension wins", async () => {
    const get = (path) => system.get(`/$.content/${NS}/page/${path}`);
    assert.equal((await get("dot.json.md")).text, "of an id with an extension in it");
    assert.equal((await get("dot.json.json")).text, '{"a":1}');
    assertProblem(await get("dot.json"), 404, "not_found");
    assert.equal((await get(`${encodeURIComponent("空/é ?#%+&=")}.md`)).text, "odd");
    assert.equal((await get(`${encodeURIComponent("空")}/${encodeURIComponent("é ?#%+&=")}%2Emd`)).text, "odd");
    assertProblem(await get(`${encodeURIComponent(encodeURIComponent("空/é ?#%+&="))}.md`), 404, "not_found");
    assert.equal((await system.get(`/$.content/${NS.toUpperCase()}/page/every/representation.md`)).text, "# m");
    assert.equal((await system.get(`/$.content/${NS}/page/every/representation.md?x=y`)).text, "# m");
  });

  test("an empty representation is served, an absent one is not", async () => {
    const answer = await system.get(contentPath({ ns: NS, type: "page", id: "empty" }, ".html"));
    assert.equal(answer.status, 200);
    assert.equal(answer.bytes.length, 0);
    assertProblem(await system.get(contentPath({ ns: NS, type: "page", id: "empty" }, ".md")), 404, "not_found");
  });

  test("max-age and stale-while-revalidate end when the artifact does", async () => {
    const soon = (secs) => new Date(Date.now() + secs * 1_000).toISOString();
    const [short, mid, long] = [record({ markdown: "x", expires_at: soon(100) }), record({ markdown: "x", expires_at: soon(330) }), record({ markdown: "x", expires_at: soon(3_600) })];
    await system.publish([short, mid, long]);
    await system.flush();
    const ages = async (one) => (await system.get(contentPath(one, ".md"))).headers["cache-control"].match(/^public, max-age=(\d+), stale-while-revalidate=(\d+)$/).slice(1).map(Number);
    const within = ([age, stale], [low, high], most) => assert.ok(age >= low && age <= high && age + stale <= most, `${age} ${stale}`);
    within(await ages(short), [40, 100], 100);
    within(await ages(mid), [270, 300], 330);
    assert.deepEqual(await ages(long), [300, 60]);
  });

  for (const [path, code] of [
    ["/$.content/", "invalid_path"],
    ["/$.content/a", "invalid_path"],
    ["/$.content/a/b", "invalid_path"],
    ["/$.content//b/c.md", "invalid_path"],
    ["/$.content/a//c.md", "invalid_path"],
    ["/$.content/a_/-b/c.md", "invalid_path"],
    ["/$.content/-a/b/c.md", "invalid_path"],
    ["/$.content/a/b/c//d.md", "invalid_path"],
    ["/$.content/a/b/c%5Cd.md", "invalid_path"],
    ["/$.content/a/b/c%00d.md", "invalid_path"],
    ["/$.content/a/b/%zz.md", "invalid_path"],
    ["/$.content/a/b/%ff.md", "invalid_path"],
    ["/$.content/a/b/c%2F..%2Fd.md", "invalid_path"],
    ["/$.content/a/b/c@v1.md", "invalid_path"],
    [`/$.content/a/b/${"x".repeat(1_025)}.md`, "invalid_path"],
    ["/$.content/a/b/c", "unknown_extension"],
    ["/$.content/a/b/c.exe", "unknown_extension"],
    ["/$.content/a/b/c.MD", "unknown_extension"],
    ["/$.content/a/b/.md", "unknown_extension"],
    ["/$.content/a/b/c.ts", "unknown_extension"],
  ]) {
    test(`400 ${code}: ${path.slice(0, 40)}`, async () => {
      assertProblem(await system.get(path), 400, code);
      const head = await system.get(path, { method: "HEAD" });
      assert.equal(head.status, 400);
      assert.equal(head.bytes.length, 0);
    });
  }

  for (const method of ["POST", "PUT", "PATCH"]) {
    test(`405: ${method}`, async () => {
      const answer = await system.request({ method, path: contentPath(all, ".md"), headers: { Authorization: `Bearer ${token()}`, "Content-Length": "0" } });
      assertProblem(answer, 405, "method_not_allowed");
      assert.equal(answer.headers.allow, "GET, HEAD, OPTIONS, DELETE");
    });
  }

  test("404 in a namespace, a type and a table that nobody wrote", async () => {
    for (const key of [{ ns: "nobody", type: "page", id: "x" }, { ns: NS, type: "none", id: "x" }, { ns: NS, type: "page", id: "nothing/here" }]) {
      for (const [extension] of [...REPRESENTATIONS, [".artifact.json"]]) assertProblem(await system.get(contentPath(key, extension)), 404, "not_found");
    }
  });

  test("404 before anything was ever written", async () => {
    const empty = await System.start();
    try {
      assertProblem(await empty.get(contentPath(all, ".md")), 404, "not_found");
      await empty.flush();
      assertProblem(await empty.get(contentPath(all, ".md")), 404, "not_found");
      // A table that is made later is found, though its absence was remembered.
      await empty.publish([all]);
      await empty.flush();
      assert.equal((await empty.get(contentPath(all, ".md"))).text, "# m");
    } finally {
      await empty.stop();
    }
  });
});
