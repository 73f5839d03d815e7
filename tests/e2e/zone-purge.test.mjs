// The purge of the zone's cache by tag: what was touched arrives at the API, within its limits, whatever it does.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { after, before, beforeEach, describe, test } from "node:test";
import { System, logLine, logLines, token } from "./system.mjs";
import { ZoneApi, send } from "./zone-api.mjs";

const ZONE = randomBytes(16).toString("hex");
const TOKEN = `zone-${randomBytes(16).toString("hex")}`;
const LIMITS = { zone: ZONE, token: TOKEN, callsPerMinute: 300, bucket: 10, tagsPerCall: 3 };
/** Artifacts of a type that a minute of calls carries; one more is purged as the type. */
const KEYS_PER_TYPE_MAX = LIMITS.callsPerMinute * LIMITS.tagsPerCall;

const prefixed = (part) => {
  const bytes = Buffer.from(part);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
};
/** The tag of a namespace, a type or an artifact, by how many parts are given. */
const tagOf = (...parts) => `firn-${"nta"[parts.length - 1]}-${createHash("sha256").update(Buffer.concat(parts.map(prefixed))).digest("hex")}`;

// The message of crates/api/src/purge/message.rs, in postcard.
const varint = (value) => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)]);
const text = (value) => [...varint(Buffer.byteLength(value)), ...Buffer.from(value)];
const list = (items, render) => [...varint(items.length), ...items.flatMap(render)];
const message = (ns, touched) => new Uint8Array([1, ...text(ns), ...touched]);
const keysMessage = (ns, keys) => message(ns, [0, ...list(keys, ([type, id]) => [...text(type), ...text(id)])]);
const typesMessage = (ns, types) => message(ns, [1, ...list(types, text)]);
const namespaceMessage = (ns) => message(ns, [2]);

const numbered = (count, type = "page") => Array.from({ length: count }, (_, idx) => [type, `doc/${idx}/雪`]);

function varsFor(api, token = TOKEN) {
  const { callsPerMinute, bucket, tagsPerCall } = LIMITS;
  const limits = { FIRN_PURGE_CALLS_PER_MINUTE: String(callsPerMinute), FIRN_PURGE_BUCKET: String(bucket), FIRN_PURGE_TAGS_PER_CALL: String(tagsPerCall) };
  const lake = { FIRN_PURGE_ZONE: ZONE, FIRN_PURGE_API: api.origin, FIRN_PURGE_TOKEN: token, ...limits };
  return { "firn-lake": lake, "firn-serve": { FIRN_PURGE_ZONE: ZONE } };
}

const wrapped = { "firn-lake": fileURLToPath(new URL("fixtures/queue-door.js", import.meta.url)) };

describe("the purge of a zone", { timeout: 120_000 }, () => {
  let api;
  let system;
  before(async () => {
    api = await ZoneApi.start(LIMITS);
    system = await System.start({ vars: varsFor(api), wrapped });
  });
  beforeEach(() => api.reset());
  after(async () => {
    await system.stop();
    api.stop();
  });

  const arrived = (tags) => api.until(() => tags.every((tag) => api.purged.has(tag)));

  test("names every artifact that was touched, within the limits of the API", async () => {
    const keys = numbered(60);
    await system.queuePurge(keysMessage("a.example", keys));
    await arrived(keys.map((key) => tagOf("a.example", ...key)));
    assert.deepEqual(api.refused, []);
    assert.equal(api.purged.size, keys.length, "and nothing else");
    assert.equal(api.calls.length, keys.length / LIMITS.tagsPerCall, "each call is full");
  });

  test("names what was touched twice at once only once", async () => {
    const messages = Array.from({ length: 20 }, () => keysMessage("b.example", numbered(2)));
    await Promise.all(messages.map((bytes) => system.queuePurge(bytes)));
    const tags = numbered(2).map((key) => tagOf("b.example", ...key));
    await arrived(tags);
    await system.queuePurge(keysMessage("b.example", [["end", "end"]]));
    await arrived([tagOf("b.example", "end", "end")]);
    assert.ok(api.calls.flatMap((call) => call.tags).length < 20, "forty touches of two artifacts are a few tags");
  });

  test("grows from artifacts to their type, and from types to their namespace", async () => {
    await system.queuePurge(keysMessage("c.example", numbered(KEYS_PER_TYPE_MAX + 1)));
    await system.queuePurge(keysMessage("c.example", [["post", "x"]]));
    const types = Array.from({ length: 51 }, (_, idx) => `type-${idx}`);
    await system.queuePurge(typesMessage("d.example", types));
    await system.queuePurge(namespaceMessage("e.example"));
    const tags = [tagOf("c.example", "page"), tagOf("c.example", "post", "x"), tagOf("d.example"), tagOf("e.example")];
    await arrived(tags);
    assert.deepEqual([...api.purged].toSorted(), tags.toSorted());
  });

  const held = (response) => (response.isHeld = true);
  const FAULTS = {
    "fails (500)": (response) => send(response, 500, "<html>"),
    "answers 200 and says that it failed": (response) => send(response, 200, { success: false, errors: [{ code: 1, message: "no" }] }),
    "closes the connection": (response) => response.destroy(),
    "breaks off": (response) => (response.writeHead(200, { "Content-Length": "100" }), response.write("{"), setTimeout(() => response.destroy(), 20), held(response)),
    hangs: held,
  };
  for (const [what, fault] of Object.entries(FAULTS)) {
    test(`reaches an API that ${what}`, async () => {
      api.faults.push(fault);
      const keys = numbered(4);
      await system.queuePurge(keysMessage("f.example", keys));
      await arrived(keys.map((key) => tagOf("f.example", ...key)));
      assert.deepEqual(api.faults, []);
      assert.deepEqual(api.refused, []);
    });
  }

  test("waits as long as the API asks", async () => {
    let told;
    api.faults.push((response) => {
      told = performance.now();
      send(response, 429, { success: false, errors: [{ code: 1134, message: "slow down" }] }, { "Retry-After": "2" });
    });
    await system.queuePurge(keysMessage("g.example", numbered(9)));
    await arrived(numbered(9).map((key) => tagOf("g.example", ...key)));
    assert.ok(api.calls[0].at - told >= 1_990, `called again after ${api.calls[0].at - told} ms`);
  });

  test("goes on after workerd was killed, with what was on its way and what still waited", async () => {
    api.faults.push(held);
    const keys = numbered(30);
    await system.queuePurge(keysMessage("h.example", keys));
    await api.until(() => api.faults.length === 0);
    await system.queuePurge(keysMessage("i.example", keys));
    system.kill();
    await system.restart();
    // Its alarm comes by itself as well, but workerd takes a minute for one that it was killed in.
    await system.queuePurge(keysMessage("h.example", [["another", "one"]]));
    await arrived([tagOf("h.example", "another", "one"), ...["h.example", "i.example"].flatMap((ns) => keys.map((key) => tagOf(ns, ...key)))]);
    assert.deepEqual(api.refused.filter(({ status }) => status !== 429), []);
  });

  test("is told of what was published or deleted, but for bulk, whose copies go by their time", async () => {
    const ns = "l.example";
    const keyOf = (idx) => ["page", `told/${idx} ü`];
    const bearer = token({ ns: [ns] });
    const publish = (indexes, mode) => system.publish(indexes.map((idx) => ({ ns, type: "page", id: keyOf(idx)[1], markdown: "x" })), { mode, token: bearer });
    await publish([6, 7], "bulk");
    for (const [mode, indexes] of [["build", [0, 1]], ["preview", [2, 3]]]) {
      api.reset();
      await publish(indexes, mode);
      const tags = indexes.map((idx) => tagOf(ns, ...keyOf(idx)));
      await arrived(tags);
      assert.deepEqual([...api.purged].toSorted(), tags.toSorted(), mode);
    }
    api.reset();
    const deleted = await system.get(`/$.content/${ns}/page/${encodeURIComponent(keyOf(0)[1])}`, { method: "DELETE", token: bearer });
    assert.equal(deleted.status, 200, deleted.text);
    await arrived([tagOf(ns, ...keyOf(0))]);
    assert.equal(api.purged.size, 1);
  });

  test("does not take what is no message", async () => {
    for (const bytes of [new Uint8Array(), new Uint8Array([2, 0, 2]), new Uint8Array([1, 1])]) {
      await assert.rejects(system.queuePurge(bytes), /a purge cannot be read/);
    }
  });
});

test("a zone that refuses is logged without the token, and purged once the token is another", { timeout: 60_000 }, async () => {
  const api = await ZoneApi.start(LIMITS);
  const wrong = `wrong-${randomBytes(8).toString("hex")}`;
  const system = await System.start({ vars: varsFor(api, wrong), wrapped });
  try {
    await system.queuePurge(keysMessage("j.example", numbered(4)));
    const line = await logLine((line) => line.includes("purge_refused"), "a refused purge");
    assert.match(line, /status 403: 10000 Authentication error/);
    await system.restart({ vars: varsFor(api) });
    await system.queuePurge(keysMessage("j.example", [["end", "end"]]));
    await api.until(() => numbered(4).every((key) => api.purged.has(tagOf("j.example", ...key))));
    assert.ok(!logLines().some((line) => line.includes(wrong)));
    assert.deepEqual(api.refused.map(({ status }) => status), [403]);
  } finally {
    await system.stop();
    api.stop();
  }
});

test("without a zone nothing is queued", { timeout: 60_000 }, async () => {
  const api = await ZoneApi.start(LIMITS);
  const system = await System.start({ wrapped });
  try {
    await system.queuePurge(keysMessage("k.example", numbered(3)));
    await system.restart({ vars: varsFor(api) });
    // The oldest go first.
    await system.queuePurge(keysMessage("k.example", [["end", "end"]]));
    await api.until(() => api.purged.size > 0);
    assert.deepEqual([...api.purged], [tagOf("k.example", "end", "end")]);
  } finally {
    await system.stop();
    api.stop();
  }
});
