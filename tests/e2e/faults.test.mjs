// A stream that fails, is slow, throttles, or dies with workerd, in bulk at the first, a middle and the last chunk of a
// request: the answer is true, and nothing that it confirmed is lost. Preview and build do not notice.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { after, afterEach, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { INGEST, NDJSON, System, assertProblem, contentPath, findPython, ndjson, poll, token } from "./system.mjs";

const NS = "e2e.example";
/** In preview more than are ever under way at once. */
const CHUNK_COUNT = { preview: 5, build: 5, bulk: 3 };
/** Content of which one record fills more than half of a chunk, so that each is a chunk alone. */
const RECORD_LEN_BYTES = { preview: 60_000, build: 600_000, bulk: 1_850_000 };
const RECORDS_PER_CHUNK = { preview: 1, build: 1, bulk: 2 };
const places = (mode) => [["the first", 0], ["a middle", CHUNK_COUNT[mode] >> 1], ["the last", CHUNK_COUNT[mode] - 1]];
/** As many sends as no request makes. */
const ALL = 1_000;

let system;
before(async () => (system = await System.start({ tenants: { [NS]: { requests_per_minute: 60_000, request_len_bytes: 30_000_000 } } })));
afterEach(() => system.clearFaults());
after(() => system.stop());

let made = 0;
/** Records that make as many chunks, listed chunk by chunk. */
function makeChunks(mode) {
  const one = () => ({ ns: NS, type: "fault", id: `f${++made}`, markdown: `${made} ${"x".repeat(RECORD_LEN_BYTES[mode])}` });
  return Array.from({ length: CHUNK_COUNT[mode] }, () => Array.from({ length: RECORDS_PER_CHUNK[mode] }, one));
}

/** Ids of those that can be read; what is there is what was sent. */
async function readable(records) {
  await system.flush();
  const found = await Promise.all(records.map(async (record) => {
    const answer = await system.get(contentPath(record, ".md"));
    assert.ok([200, 404].includes(answer.status), answer.text);
    if (answer.status === 200) assert.ok(answer.text === record.markdown, `${record.id} is not what was sent`);
    return answer.status === 200 ? [record.id] : [];
  }));
  return found.flat();
}

const ids = (chunks) => chunks.flat().map(({ id }) => id);

for (const mode of ["bulk"]) {
  describe(mode, () => {
    for (const [place, skip] of places(mode)) {
      test(`a send that fails once before it stored ${place} chunk is tried again`, async () => {
        const chunks = makeChunks(mode);
        const held = await system.rowCount();
        await system.fault(mode, "fail_before", { skip });
        const answer = await system.publish(chunks.flat(), { mode });
        assert.equal(answer.chunks, CHUNK_COUNT[mode]);
        assert.equal(await system.rowCount(), held + chunks.flat().length);
        assert.deepEqual(await readable(chunks.flat()), ids(chunks));
      });

      test(`a send that fails after it stored ${place} chunk is tried again: the rows may be there twice, as one version`, async () => {
        const chunks = makeChunks(mode);
        const held = await system.rowCount();
        await system.fault(mode, "fail_after", { skip });
        await system.publish(chunks.flat(), { mode });
        assert.equal(await system.rowCount(), held + chunks.flat().length + RECORDS_PER_CHUNK[mode]);
        assert.deepEqual(await readable(chunks.flat()), ids(chunks));
      });

      for (const kind of ["fail_before", "throttle"]) {
        test(`${kind} from ${place} chunk on: what the answer confirms is there, and nothing else`, async () => {
          const chunks = makeChunks(mode);
          const held = await system.rowCount();
          // Longer than ingest waits for a stream.
          await system.fault(mode, kind, { skip, count: ALL, millis: 60_000 });
          const answer = await system.post(chunks.flat(), { mode });
          await system.clearFaults();
          if (skip === 0) {
            assertProblem(answer, 503, "stream_unavailable");
            assert.ok(Number(answer.headers["retry-after"]) >= 1);
          } else {
            assert.equal(answer.status, 207, answer.text.slice(0, 500));
            const { accepted, rejected, chunks: taken, errors } = answer.json;
            assert.equal(accepted, chunks.slice(0, skip).flat().length);
            assert.equal(accepted + rejected, chunks.flat().length);
            assert.equal(taken, skip);
            assert.deepEqual(errors.map(({ line }) => line), chunks.flat().map((_, idx) => idx + 1).slice(accepted));
            assert.equal(errors[0].code, "chunk_failed");
            for (const { code } of errors) assert.ok(mode === "bulk" ? code === "chunk_failed" : ["chunk_failed", "not_sent"].includes(code), code);
          }
          assert.deepEqual(await readable(chunks.flat()), ids(chunks.slice(0, skip)));
          assert.equal(await system.rowCount(), held + chunks.slice(0, skip).flat().length);
        });
      }

      test(`a stream that throttles ${place} chunk for a second is waited for`, async () => {
        const chunks = makeChunks(mode);
        await system.fault(mode, "throttle", { skip, millis: 1_000 });
        const began = performance.now();
        await system.publish(chunks.flat(), { mode });
        assert.ok(performance.now() - began >= 1_000, "Retry-After is kept");
        assert.deepEqual(await readable(chunks.flat()), ids(chunks));
      });

      test(`workerd is killed while ${place} chunk is under way: no answer, and what is there is whole chunks`, async () => {
        const chunks = makeChunks(mode);
        const held = await system.rowCount();
        const before = await system.publish([{ ns: NS, type: "fault", id: `confirmed${++made}`, markdown: "before" }], { mode });
        assert.equal(before.accepted, 1);
        // Nothing but the kill ends this send and those after it.
        await system.fault(mode, "delay", { skip, count: ALL, millis: 600_000 });
        const answer = assert.rejects(system.post(chunks.flat(), { mode }));
        const earlier = chunks.slice(0, skip).flat().length;
        await poll(async () => (await system.rowCount()) === held + 1 + earlier, "the chunks before it did not come");
        system.kill();
        await answer;
        await system.restart();
        assert.equal(await system.rowCount(), held + 1 + earlier);
        assert.deepEqual(await readable(chunks.flat()), ids(chunks.slice(0, skip)));
        assert.equal((await system.get(contentPath({ ns: NS, type: "fault", id: `confirmed${made}` }, ".md"))).text, "before");
        // Sent again, all of it is there.
        await system.publish(chunks.flat(), { mode });
        assert.deepEqual(await readable(chunks.flat()), ids(chunks));
      });
    }
  });
}

for (const mode of ["preview", "build"]) {
  describe(`${mode}: the ledger takes it, whatever the stream does`, () => {
    /** Published while the stream has the fault, and readable at once. */
    async function publishThrough(fault, options) {
      const records = makeChunks(mode).flat();
      const held = await system.rowCount();
      await system.fault(mode, fault, options);
      const answer = await system.publish(records, { mode });
      assert.equal(answer.chunks, CHUNK_COUNT[mode]);
      for (const record of records) {
        const read = await system.get(contentPath(record, ".md"));
        assert.equal(read.headers["x-artifact-source"], "ledger");
        assert.ok(read.text === record.markdown);
      }
      return { records, held };
    }

    // What was stored although the send failed is confirmed, or sent twice: as the follower or the outbox is first.
    for (const [fault, copies] of [["fail_before", 1], ["fail_after", 2]]) {
      test(`${fault}: accepted and readable at once; the outbox sends it again`, async () => {
        const { records, held } = await publishThrough(fault, { count: 1 });
        await poll(async () => (await system.rowCount()) >= held + records.length, "the rows did not come to the lake");
        assert.ok([1, copies].includes(((await system.rowCount()) - held) / records.length));
        assert.deepEqual(await readable(records), records.map(({ id }) => id));
      });
    }

    test("throttle: the outbox waits as long as the stream asks", async () => {
      const { records, held } = await publishThrough("throttle", { count: 1, millis: 2_000 });
      const began = performance.now();
      await poll(async () => (await system.rowCount()) === held + records.length, "the rows did not come to the lake");
      assert.ok(performance.now() - began >= 1_000, "Retry-After is kept");
    });

    test("a stream that is down: everything is readable, nothing is in the lake; then all of it is", async () => {
      const { records, held } = await publishThrough("fail_before", { count: ALL });
      assert.equal(await system.rowCount(), held);
      await system.clearFaults();
      await poll(async () => (await system.rowCount()) === held + records.length, "the rows did not come to the lake");
      assert.deepEqual(await readable(records), records.map(({ id }) => id));
    });

    test("workerd is killed while the outbox sends: all of it is readable after the restart, and comes to the lake", async () => {
      const { records, held } = await publishThrough("delay", { count: ALL, millis: 600_000 });
      system.kill();
      await system.restart();
      for (const record of records) assert.ok((await system.get(contentPath(record, ".md"))).text === record.markdown);
      await poll(async () => (await system.rowCount()) === held + records.length, "the rows did not come to the lake");
      assert.deepEqual(await readable(records), records.map(({ id }) => id));
    });
  });
}

describe("an idempotency key whose request died", () => {
  const withKey = (key) => ({ "Idempotency-Key": key });

  test("bulk, workerd killed at the second of three chunks: running, then resumed; another body is refused; each row is one version", async () => {
    const chunks = makeChunks("bulk");
    const records = chunks.flat();
    const held = await system.rowCount();
    const headers = withKey(`died-${made}`);
    // Nothing but the kill ends this send and those after it.
    await system.fault("bulk", "delay", { skip: 1, count: ALL, millis: 600_000 });
    const answer = assert.rejects(system.post(records, { mode: "bulk", headers }));
    await poll(async () => (await system.rowCount()) === held + RECORDS_PER_CHUNK.bulk, "the first chunk did not come");
    system.kill();
    await answer;
    await system.restart();
    // An answer that comes before the body was read may find the connection broken under it.
    const ask = (body) => system.post(body, { mode: "bulk", headers }).catch(() => undefined);
    const running = await poll(() => ask(records), "no answer came");
    assertProblem(running, 409, "idempotency_in_progress");
    const wait = Number(running.headers["retry-after"]);
    assert.ok(wait >= 1 && wait <= 30, `${wait}`);
    const other = [{ ...records[0], markdown: "another body" }, ...records.slice(1)];
    // Until the lease is over the key is taken, whoever asks.
    const refused = await poll(async () => {
      const asked = await ask(other);
      return asked?.status === 409 ? undefined : asked;
    }, "the lease did not end");
    assertProblem(refused, 422, "idempotency_mismatch");
    assert.equal(await system.rowCount(), held + RECORDS_PER_CHUNK.bulk, "nothing more was sent");
    const resumed = await system.post(records, { mode: "bulk", headers });
    assert.deepEqual([resumed.status, resumed.json.accepted], [200, records.length], resumed.text.slice(0, 300));
    assert.equal(await system.rowCount(), held + records.length, "the first chunk was not sent again");
    assert.deepEqual(await readable(records), ids(chunks));
    const replayed = await system.post(records, { mode: "bulk", headers });
    assert.deepEqual([replayed.headers["x-idempotency-replayed"], replayed.json], ["true", resumed.json]);
  });

  for (const mode of ["preview", "build"]) {
    test(`${mode}, the client gone in the middle: the key is free at once, for any body`, async () => {
      const records = makeChunks(mode).flat();
      const headers = { ...withKey(`gone-${made}`), Authorization: `Bearer ${token()}`, "Content-Type": NDJSON, "X-Artifact-Mode": mode };
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
      const bytes = Buffer.from(ndjson(records));
      const socket = connect(system.port, "127.0.0.1");
      socket.write(`${[`POST ${INGEST} HTTP/1.1`, "Host: localhost", ...lines, `Content-Length: ${bytes.length + 100}`].join("\r\n")}\r\n\r\n`);
      socket.end(bytes);
      let answer = "";
      socket.on("data", (piece) => (answer += piece));
      await once(socket, "close");
      assert.match(answer, /^HTTP\/1\.1 400 /);
      assert.deepEqual(await readable(records), []);
      const others = makeChunks(mode).flat();
      assert.equal((await system.publish(others, { mode, headers: withKey(headers["Idempotency-Key"]) })).accepted, others.length);
      assertProblem(await system.post(records, { mode, headers: withKey(headers["Idempotency-Key"]) }), 422, "idempotency_mismatch");
    });
  }
});

describe("a client that goes while a chunk is under way", () => {
  for (const framing of ["Content-Length", "chunked"]) {
    for (const [place, skip] of places("preview")) {
      test(`${framing}, FIN, ${place} chunk: the answer says what was taken`, async () => {
        const chunks = makeChunks("preview");
        const records = chunks.flat();
        const bytes = Buffer.from(ndjson(records));
        await system.fault("preview", "delay", { skip, millis: 300 });
        const length = framing === "chunked" ? "Transfer-Encoding: chunked" : `Content-Length: ${bytes.length + 100}`;
        const head = [`POST ${INGEST} HTTP/1.1`, "Host: localhost", `Authorization: Bearer ${token()}`, `Content-Type: ${NDJSON}`, "X-Artifact-Mode: preview", length];
        const socket = connect(system.port, "127.0.0.1");
        let answer = "";
        socket.on("data", (piece) => (answer += piece));
        socket.write(`${head.join("\r\n")}\r\n\r\n${framing === "chunked" ? `${(bytes.length + 100).toString(16)}\r\n` : ""}`);
        socket.end(bytes);
        await once(socket, "close");
        assert.match(answer, /^HTTP\/1\.1 400 /);
        const problem = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4).match(/\{.*\}/s)[0]);
        assert.equal(problem.code, "body_incomplete");
        const found = await readable(records);
        assert.equal(found.length, problem.accepted, "the answer is true");
        assert.deepEqual(found, ids(chunks).slice(0, found.length));
        assert.ok(found.length < chunks.length, "the open chunk was not taken");
      });
    }
  }
});

describe("a send that takes longer than ingest waits", () => {
  // Ingest gives up an attempt after 15 s.
  test("is tried again: all is taken, and nothing is lost", async () => {
    const chunks = makeChunks("bulk");
    await system.fault("bulk", "delay", { skip: 1, millis: 15_500 });
    const began = performance.now();
    const answer = await system.publish(chunks.flat(), { mode: "bulk" });
    assert.equal(answer.chunks, CHUNK_COUNT.bulk);
    assert.ok(performance.now() - began >= 15_000, "the slow send was given up, not awaited");
    assert.deepEqual(await readable(chunks.flat()), ids(chunks));
  });
});

describe("after all of it", () => {
  const { python, skip } = findPython();
  test("rows that are there twice are the same row: one version, one content", { skip }, async () => {
    await system.flush();
    const script = fileURLToPath(new URL("lake_rows.py", import.meta.url));
    const { stdout } = await promisify(execFile)(python, [script, system.origin], { maxBuffer: 1 << 30 });
    const seen = new Map();
    let twice = 0;
    for (const line of stdout.trim().split("\n")) {
      const { id, version, hash } = JSON.parse(line);
      const key = `${id} ${version}`;
      if (seen.has(key)) {
        twice += 1;
        assert.equal(hash, seen.get(key), key);
      }
      seen.set(key, hash);
    }
    assert.ok(twice > 0, "resends were stored");
  });
});
