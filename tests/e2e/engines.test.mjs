// Tables that PyIceberg wrote are served row for row: identity-partitioned by ns and type and sorted by id, and an
// unpartitioned one of another shape (foreign_tables.py). There is no ledger that knows them, and no stream fed them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { REPRESENTATIONS } from "./records.mjs";
import { ISSUER, System, assertProblem, contentPath, findPython, inParallel, seeded, token } from "./system.mjs";

const BUCKET = "s3://firn-lake/";
const WIDTH = 16;
const STRINGS = ["markdown", "mdx", "html", "esm", "dts", "css"];
const TREES = ["mdast", "hast", "estree", "tsast", "frontmatter"];
const NAMESPACES = ["alpha.example", "beta.example", "gamma"];
const TYPES = ["page", "Post"];
const NOW = Date.now() * 1_000;

const { python, skip } = findPython();

/** A row of random kinds: with and without version, rights, deletion, expiry and each content. */
function row(random, table, batch, idx) {
  const pick = (values) => random.pick(values);
  const made = {
    ns: pick(NAMESPACES), type: pick(TYPES),
    id: `${pick(["guide", "雪", "a b"])}/${String(random.int(0, 400)).padStart(4, "0")}`,
    version: pick([null, batch * 1_000 + idx, random.int(1, 5_000), Number.MAX_SAFE_INTEGER - random.int(1, 1_000_000)]),
    visibility: pick(["public", "public", "public", "unlisted", "org", "user", null, "secret"]),
    owner_iss: pick([ISSUER, ISSUER, null]), owner_org: pick(["o1", null]), owner_sub: pick(["u1", null]),
    deleted: pick([null, false, false, false, true]),
    expires_at: pick([null, null, null, NOW + 3_600_000_000, NOW - 1, -62_135_000_000_000_000]),
    ts: pick([null, 1_700_000_000_123_456]),
    hash: "0".repeat(64), size_bytes: pick([null, 12]), mode: pick([null, "build", "preview"]), ingest_id: pick([null, `${table}-${idx}`]),
    metadata: pick([null, '{"a": 1}']), __ingest_ts: NOW,
    dependencies: pick([null, [], ["a", "雪", ""]]), exports: pick([null, ["x"]]),
  };
  const text = `${table} ${batch} ${idx} ${pick(["雪と氷", "plain", "😀".repeat(20), "x".repeat(random.int(0, 9_000))])}`;
  for (const field of STRINGS) if (random.next() < 0.5) made[field] = random.next() < 0.1 ? "" : `${field} ${text}`;
  for (const field of TREES) if (random.next() < 0.3) made[field] = `{ "${field}" : [1.0, ${JSON.stringify(text)}] }`;
  return made;
}

/** Batches of rows; no key has one version twice (`seen`), since which of two equals is served is nobody's promise. */
function makeBatches(random, table, counts, seen) {
  return counts.map((count, batch) => {
    const rows = Array.from({ length: count }, (_, idx) => row(random, table, batch, idx)).filter((one) => {
      const identity = JSON.stringify([one.ns, one.type, one.id, one.version]);
      return !seen.has(identity) && seen.add(identity);
    });
    if (batch === 0 && table === "flat") rows.push(...[0, 1].map((nth) => ({ ns: "gamma", type: "page", id: `erased/${nth}`, version: 1, visibility: "public", markdown: "erased" })));
    return rows;
  });
}

const keyOf = ({ ns, type, id }) => JSON.stringify([ns, type, id]);

/** The row of each key that decides: the highest version; none is the lowest. */
function newest(rows) {
  const best = new Map();
  for (const one of rows) {
    const other = best.get(keyOf(one));
    if (other === undefined || (one.version ?? -1) > (other.version ?? -1)) best.set(keyOf(one), one);
  }
  return best;
}

describe("tables of another engine", { skip }, () => {
  let system;
  let batches;
  let rows;

  before(async () => {
    const random = seeded();
    // One key may lie in both tables, and the highest version decides across them too.
    const seen = new Set();
    batches = { partitioned: makeBatches(random, "partitioned", [400, 150, 50], seen), flat: makeBatches(random, "flat", [150, 80, 30], seen) };
    // What a table has no column for is not there, whatever the row said.
    for (const batch of batches.flat) for (const one of batch) delete one.owner_org;
    for (const batch of batches.flat.slice(0, -1)) for (const one of batch) delete one.css;
    const all = Object.values(batches).flat(2).filter(({ id }) => !id.startsWith("erased/"));
    rows = newest(all);
    const tables = { FIRN_TABLES: "firn.partitioned,firn.flat,firn.artifacts_build" };
    const vars = { "firn-serve": tables, "firn-lake": tables };
    system = await System.start({ vars });
    await putTables(system, batches);
  });
  after(() => system?.stop());

  const checkAll = async () => {
    const statuses = new Map();
    await inParallel([...rows.values()], WIDTH, async (one) => {
      const status = await checkRow(system, one);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    });
    for (const status of [200, 404, 410]) assert.ok(statuses.get(status) > 20, `${status} came ${statuses.get(status)} times`);
  };
  const checkErased = async () => {
    for (const nth of [0, 1]) assertProblem(await system.get(contentPath({ ns: "gamma", type: "page", id: `erased/${nth}` }, ".md")), 404, "not_found");
  };

  test("are read row for row", () => checkAll());

  test("rows that their engine deleted are gone", () => checkErased());

  test("keys that lie between theirs are not found", async () => {
    for (const ns of NAMESPACES) {
      for (const id of ["a", "guide/0000x", "guide/00000", "雪", "zzz/1", "guide/9999"]) {
        assertProblem(await system.get(contentPath({ ns, type: "page", id }, ".md")), 404, "not_found");
      }
    }
    assertProblem(await system.get(contentPath({ ns: "alpha", type: "page", id: "guide/0001" }, ".md")), 404, "not_found");
  });

  test("once followed, they are known to the ledgers, and read as before", async () => {
    const answer = await system.request({ method: "POST", path: "/$.dev/flush", headers: { "Content-Length": "0" } });
    assert.equal(answer.status, 200, answer.text);
    const byTable = Object.fromEntries(answer.json.followed.map((table) => [table.table, table]));
    for (const [table, made] of Object.entries(batches)) {
      const { learned, skippedRows, unreadableFiles } = byTable[`firn.${table}`];
      const count = made.flat().filter(({ id }) => !id.startsWith("erased/")).length;
      // Rows without a version of one key are one to the ledger.
      assert.ok(learned > count / 2 && learned <= count, `${table}: ${learned} of ${count}`);
      assert.deepEqual([skippedRows, unreadableFiles], [0, 0], table);
    }
    await checkAll();
    await checkErased();
  });

  test("a newer version of our own decides over theirs", async () => {
    const theirs = [...rows.values()].find((one) => one.version < 1_000_000 && one.visibility === "public" && one.markdown && !one.deleted && (one.expires_at ?? Infinity) > NOW);
    const { ns, type, id } = theirs;
    await system.publish([{ ns, type, id, markdown: "ours" }], { token: token({ ns: NAMESPACES }) });
    await system.flush();
    assert.equal((await system.get(contentPath(theirs, ".md"))).text, "ours");
  });
});

/** Reads a row as anyone and, where that must not show it, as the admin; gives the status that anyone gets. */
async function checkRow(system, one) {
  const admin = token({ ns: NAMESPACES, scope: "artifacts:admin", sub: "root", org: undefined });
  const open = ["public", "unlisted"].includes(one.visibility);
  const gone = one.deleted === true || (one.expires_at !== null && one.expires_at <= NOW);
  const path = contentPath(one, ".artifact.json");
  const anonymous = await system.get(path);
  const answer = open ? anonymous : await system.get(path, { token: admin });
  if (!open) assertProblem(anonymous, 404, "not_found");
  if (gone) {
    assertProblem(answer, 410, "gone");
    return open ? 410 : 404;
  }
  assert.equal(answer.status, 200, `${path}: ${answer.text}`);
  assert.equal(answer.headers["x-artifact-version"], one.version === null ? undefined : String(one.version));
  const wanted = expectedArtifact(one);
  assert.deepEqual(answer.json, wanted, path);
  for (const field of TREES) if (one[field]) assert.ok(answer.text.includes(one[field]), `${field} of ${path}`);
  const [extension, field, type] = REPRESENTATIONS[hashOf(one.id) % REPRESENTATIONS.length];
  const text = await system.get(contentPath(one, extension), { token: open ? undefined : admin });
  if (one[field] === undefined) {
    assertProblem(text, 404, "not_found");
  } else {
    assert.equal(text.status, 200);
    assert.equal(text.text, one[field]);
    assert.equal(text.headers["content-type"], type);
  }
  return open ? 200 : 404;
}

const hashOf = (text) => [...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7);

/** `.artifact.json` of a row: what is null is left out, trees are JSON, versions text, instants RFC 3339. */
function expectedArtifact(one) {
  const wanted = {};
  for (const [name, value] of Object.entries(one)) {
    if (value === null || value === undefined || name === "__ingest_ts") continue;
    if (name === "version") wanted[name] = String(value);
    else if (["expires_at", "ts"].includes(name)) wanted[name] = rfc3339(value);
    else if (TREES.includes(name) || name === "metadata") wanted[name] = JSON.parse(value);
    else wanted[name] = value;
  }
  return wanted;
}

function rfc3339(micros) {
  const millis = Math.floor(micros / 1_000);
  return new Date(millis).toISOString().replace(/\.\d+Z$/, `.${String(((micros % 1_000_000) + 1_000_000) % 1_000_000).padStart(6, "0")}Z`);
}

/** Has PyIceberg write the tables into a folder, and puts what it wrote into the local R2, with a pointer for each. */
async function putTables(system, batches) {
  const folder = await mkdtemp(join(tmpdir(), "firn-foreign-"));
  try {
    const rowsFile = join(folder, "rows.json");
    await writeFile(rowsFile, JSON.stringify(batches));
    const script = fileURLToPath(new URL("foreign_tables.py", import.meta.url));
    const { stdout } = await promisify(execFile)(python, [script, rowsFile, join(folder, "bucket")]);
    const bucket = await system.bucket();
    const files = await readdir(join(folder, "bucket"), { recursive: true, withFileTypes: true });
    for (const file of files.filter((entry) => entry.isFile())) {
      const path = join(file.parentPath, file.name);
      await bucket.put(path.slice(join(folder, "bucket").length + 1), await readFile(path));
    }
    for (const [table, location] of Object.entries(JSON.parse(stdout))) {
      assert.ok(location.startsWith(BUCKET));
      await bucket.put(`catalog/firn/${table}.json`, JSON.stringify({ "metadata-location": location }));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
