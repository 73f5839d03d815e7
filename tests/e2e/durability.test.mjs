// What was confirmed is in the tables, once, although workerd is killed again and again while it takes and commits rows.
// The moments are random, and such that commits are met between their steps. FIRN_SEED repeats them as far as the machine
// lets it; FIRN_KILLS asks for more.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { statSync, watch } from "node:fs";
import { join, sep } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { contentHash } from "./records.mjs";
import { System, contentPath, findPython, inParallel, ndjson, seeded, token } from "./system.mjs";

const NS = "e2e.example";
const MODES = ["preview", "build", "bulk"];
const KILL_COUNT = Number(process.env.FIRN_KILLS ?? 20);
const SENDER_COUNT = 6;
/** Longest time from a round's first confirmed send to its kill: several flushes of each stream. */
const ROUND_MILLIS_MAX = 1_000;
const READ_WIDTH = 16;

// No pause between a send and its flush, or the shortest there is: so a kill meets a flush nearly always.
const vars = { "firn-lake": { FIRN_STREAMS: "artifacts_preview=0,artifacts_build=1,artifacts_bulk=0" } };

/** Every record that was ever sent, by id: its text, and whether an answer confirmed it. */
const sent = new Map();

let system;
before(async () => (system = await System.start({ vars })));
after(() => system.stop());

/** Sends one request after another until workerd is gone. */
async function sendUntilKilled(round, sender, random, events) {
  for (let nth = 0; ; nth += 1) {
    const mode = random.pick(MODES);
    // Now and then more than three of preview's chunks, so that some are confirmed to ingest and others not.
    const isLarge = random.next() < 0.2;
    const records = Array.from({ length: isLarge ? 12 : random.int(1, 6) }, (_, idx) => {
      const id = `${round}/${sender}/${nth}/${idx}`;
      const markdown = `${id} ${"x".repeat(isLarge ? 40_000 : random.int(0, 2_000))}`;
      sent.set(id, { markdown, round, confirmed: false });
      return { ns: NS, type: "kill", id, markdown };
    });
    let answer;
    try {
      answer = await system.post(ndjson(records), { mode });
    } catch {
      // The connection broke: taken or not, nobody knows.
      return;
    }
    if (answer.status >= 500) return;
    assert.ok([200, 207].includes(answer.status), answer.text);
    const rejected = new Set(answer.json.errors.map(({ line }) => line));
    assert.equal(answer.json.accepted, records.length - rejected.size);
    records.forEach(({ id }, idx) => (sent.get(id).confirmed = !rejected.has(idx + 1)));
    events.confirmed();
  }
}

/** Makes every stream commit, over and over, on top of what the streams' own clocks do. */
async function flushUntilKilled() {
  try {
    for (;;) await system.request({ method: "POST", path: "/$.dev/flush", headers: { "Content-Length": "0" } });
  } catch {
    // Killed.
  }
}

/** The moments of a kill, in turns. Each gives a promise of its moment, once something was confirmed in the round. */
const MOMENTS = [
  // Any.
  (random) => delay(random.int(0, ROUND_MILLIS_MAX)),
  // Between any two steps of a commit: a few objects are stored for each.
  (random) => {
    let left = random.int(1, 80);
    return stored((file) => file.endsWith(".sqlite-wal") && --left === 0);
  },
  // Right after a commit came to be, before its stream can know: the object that names the metadata is the only small one.
  () => {
    let isPointer = false;
    return stored((file) => {
      if (isPointer) return file.endsWith(".sqlite-wal");
      isPointer = /[/]blobs[/][0-9a-f]+$/.test(file) && sizeOf(file) < POINTER_LEN_BYTES_MAX;
      return false;
    });
  },
];
const POINTER_LEN_BYTES_MAX = 300;

/** Waits for a change of the files behind the local R2. */
function stored(isMoment) {
  return new Promise((done, fail) => {
    const watcher = watch(system.state, { recursive: true });
    const deadline = setTimeout(() => watcher.close() ?? fail(new Error("nothing was committed")), 60_000);
    watcher.on("change", (_, file) => {
      if (!file.startsWith(`r2${sep}`) || !isMoment(file)) return;
      clearTimeout(deadline);
      watcher.close();
      done();
    });
  });
}

function sizeOf(file) {
  try {
    return statSync(join(system.state, file)).size;
  } catch {
    // It was replaced meanwhile.
    return Infinity;
  }
}

async function round(number, random) {
  const events = {};
  const confirmed = new Promise((done) => (events.confirmed = done));
  const senders = Array.from({ length: SENDER_COUNT }, (_, sender) => sendUntilKilled(number, sender, random, events));
  if (number % 2 === 1) senders.push(flushUntilKilled());
  await confirmed;
  await MOMENTS[number % MOMENTS.length](random);
  system.kill();
  await Promise.all(senders);
  await system.restart();
}

describe(`workerd is killed ${KILL_COUNT} times while it takes and commits rows`, () => {
  let tables;

  test("it starts again each time, and takes more", async (t) => {
    const random = seeded(t);
    for (let number = 0; number < KILL_COUNT; number += 1) {
      const known = sent.size;
      await round(number, random);
      const ofRound = [...sent.values()].slice(known);
      assert.ok(ofRound.some(({ confirmed }) => confirmed), `round ${number} confirmed nothing`);
    }
    const counts = Map.groupBy(sent.values(), ({ confirmed }) => confirmed);
    t.diagnostic(`${counts.get(true).length} records were confirmed, ${counts.get(false)?.length ?? 0} were not`);
    tables = await system.flush();
    for (const [table, { rows, files, dropped }] of Object.entries(tables)) {
      t.diagnostic(`${table}: ${rows} rows in ${files} files`);
      assert.equal(dropped, 0);
    }
  });

  test("nothing confirmed is missing", async () => {
    const found = new Set();
    await inParallel([...sent], READ_WIDTH, async ([id, { markdown, confirmed }]) => {
      const answer = await system.get(contentPath({ ns: NS, type: "kill", id }, ".md"));
      if (answer.status === 404) {
        assert.ok(!confirmed, `${id} was confirmed and is missing`);
      } else {
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.text, markdown);
        found.add(id);
      }
    });
    const rows = Object.values(tables).reduce((sum, table) => sum + table.rows, 0);
    assert.ok(rows >= found.size);
  });

  const { python, skip } = findPython();
  // A batch that the stream took before the kill, and the outbox had not noted, is sent again: the same row, never another.
  test("PyIceberg finds each artifact in one version", { skip }, async () => {
    const script = fileURLToPath(new URL("lake_rows.py", import.meta.url));
    const { stdout } = await promisify(execFile)(python, [script, system.origin], { maxBuffer: 1 << 30 });
    const rows = stdout.trim().split("\n").map((line) => JSON.parse(line));
    const versions = new Map();
    for (const { ns, type, id, version, hash } of rows) {
      assert.equal(version, versions.get(id) ?? version, `${id} is there in two versions`);
      versions.set(id, version);
      assert.deepEqual([ns, type], [NS, "kill"]);
      assert.equal(hash, contentHash(new Map([["markdown", sent.get(id).markdown]])), id);
    }
    for (const [id, { confirmed }] of sent) if (confirmed) assert.ok(versions.has(id), `${id} was confirmed and is missing`);
  });

  test("after all of it the system takes and serves records as ever", async () => {
    const key = { ns: NS, type: "kill", id: "afterwards" };
    for (const mode of MODES) {
      await system.publish([{ ...key, markdown: mode }], { mode, token: token() });
      await system.flush();
      assert.equal((await system.get(contentPath(key, ".md"))).text, mode);
    }
  });
});
