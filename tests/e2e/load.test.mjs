// Many at once: a crowd for one cold artifact costs one lookup, many different ones fail nobody, and a mixed load leaves
// no memory behind. FIRN_LOAD_SECONDS (default 5) makes the load as long as you like: scripts/load runs it for a minute, with a thousand different artifacts.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { Random, System, contentPath, inParallel, seeded, token } from "./system.mjs";

const NS = "e2e.example";
const COUNT = 1_000;
const WIDTH = 200;
const SECONDS = Number(process.env.FIRN_LOAD_SECONDS ?? 5);
/** Different cold artifacts at once. Each lookup makes some seven reads of miniflare's R2, which is slow: the suite has few. */
const DIFFERENT = SECONDS >= 60 ? COUNT : 200;
const MIB = 1024 * 1024;
/** Of parsed objects; the default of FIRN_CACHE_LEN_BYTES. */
const HELD_LEN_BYTES_MAX = 32 * MIB;
/** Of the module: an isolate has 128 MB, and JavaScript's own heap needs a part of them. */
const MEMORY_LEN_BYTES_MAX = 100 * MIB;
const key = (idx, type = "page") => ({ ns: NS, type, id: `load/${idx}` });
const textOf = (idx) => `# ${idx}\n${"the same words, over and over. ".repeat(60)}`;
const READER = token({ sub: "u2", org: "o1", ns: ["x.example"], scope: "artifacts:read" });

let system;
let agent;
before(async () => {
  system = await System.start({ tenants: { [NS]: { requests_per_minute: 60_000, records_per_request: 10_000 } } });
  agent = new http.Agent({ keepAlive: true, maxSockets: COUNT });
  const open = Array.from({ length: COUNT }, (_, idx) => ({ ...key(idx), markdown: textOf(idx) }));
  const closed = Array.from({ length: 50 }, (_, idx) => ({ ...key(idx, "secret"), markdown: textOf(idx), visibility: "org" }));
  await system.publish([...open, ...closed]);
  await system.flush({ forget: true });
});
after(async () => {
  agent.destroy();
  await system.stop();
});

const get = (idx, options = {}) => system.get(contentPath(key(idx, options.type), ".md") + (options.query ?? ""), { agent, ...options });
const readsOf = (answer) => Number(/reads=(\d+)/.exec(answer.headers["x-firn-cost"])?.[1] ?? 0);
/** Of the whole workerd, with the simulators of R2 and of the cache, and all that they hold. */
const residentLenBytes = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${system.pid}/status`, "utf8"))[1]) * 1024;
const mib = (lenBytes) => `${(lenBytes / MIB).toFixed(1)} MiB`;

/** What serve's isolate holds, which is within its budgets. */
async function checkedIsolate() {
  const isolate = await system.isolate();
  assert.ok(isolate.heldLenBytes <= HELD_LEN_BYTES_MAX, JSON.stringify(isolate));
  assert.ok(isolate.memoryLenBytes <= MEMORY_LEN_BYTES_MAX, JSON.stringify(isolate));
  return isolate;
}

describe("cold", () => {
  test("a read by place keeps the pages of keys that it read: its neighbours ask for one page of content", async () => {
    await system.forgetHeld();
    const asked = [];
    for (const idx of [500, 20, 21, 22]) asked.push(readsOf(await get(idx, { query: "?fresh=true" })));
    assert.ok(asked[0] > asked[1], `${asked}`);
    assert.deepEqual(asked.slice(2), [1, 1], `${asked}`);
  });

  test("a thousand reads of one artifact cost one lookup", { timeout: 120_000 }, async (context) => {
    await system.forgetHeld();
    const alone = await get(1);
    assert.equal(alone.text, textOf(1));
    await system.forgetHeld();
    const answers = await Promise.all(Array.from({ length: COUNT }, () => get(2)));
    for (const answer of answers) assert.deepEqual([answer.status, answer.text], [200, textOf(2)]);
    const reads = answers.reduce((sum, answer) => sum + readsOf(answer), 0);
    context.diagnostic(`${reads} reads of R2; ${readsOf(alone)} of one alone`);
    assert.ok(readsOf(alone) > 0 && reads <= readsOf(alone), `${reads} reads of R2 for ${COUNT} requests; one alone needs ${readsOf(alone)}`);
  });

  test(`${DIFFERENT} reads of as many artifacts are all answered`, { timeout: 120_000 }, async (context) => {
    await system.forgetHeld();
    const before = residentLenBytes();
    const answers = await Promise.all(Array.from({ length: DIFFERENT }, (_, idx) => get(idx)));
    answers.forEach((answer, idx) => assert.deepEqual([answer.status, answer.text], [200, textOf(idx)]));
    const { memoryLenBytes, heldLenBytes, lookups } = await checkedIsolate();
    assert.equal(lookups, 0, "a lookup that ended is known no more");
    context.diagnostic(`serve's memory ${mib(memoryLenBytes)}, ${mib(heldLenBytes)} of it parsed; workerd, its simulators included, grew by ${mib(residentLenBytes() - before)}`);
  });

  test("readers that go away leave nothing for others to wait for", { timeout: 120_000 }, async () => {
    for (const idx of [900, 901, 902]) {
      await system.forgetHeld();
      const path = contentPath(key(idx), ".md") + "?max_age=11";
      const leaders = Array.from({ length: 20 }, () => {
        const request = http.request({ host: "127.0.0.1", port: system.port, path, agent: false });
        request.on("error", () => {});
        request.end();
        return request;
      });
      await new Promise((go) => setImmediate(go));
      for (const leader of leaders) leader.destroy();
      const answers = await Promise.all(Array.from({ length: 50 }, () => get(idx)));
      for (const answer of answers) assert.deepEqual([answer.status, answer.text], [200, textOf(idx)]);
    }
  });
});

/** What a reader does next: each a share of a hundred, what it asks, and which answers are right. */
const MIX = [
  [60, (random) => ({ ask: skewed(random), statuses: [200] })],
  [10, (random) => ({ ask: skewed(random), options: { headers: { "If-None-Match": "*" } }, statuses: [304] })],
  [6, (random) => ({ ask: skewed(random), options: { headers: { Range: "bytes=0-9" } }, statuses: [206] })],
  [4, (random) => ({ ask: skewed(random), options: { method: "HEAD" }, statuses: [200] })],
  [5, (random) => ({ ask: random.int(0, 50), options: { type: "secret", token: READER }, statuses: [200] })],
  [5, (random) => ({ ask: random.int(0, 50), options: { type: "secret" }, statuses: [404] })],
  [4, (random) => ({ ask: `missing-${random.int(0, 1e9)}`, statuses: [404] })],
  [3, (random) => ({ ask: skewed(random), options: { query: "?fresh=true" }, statuses: [200] })],
  [2, (random) => ({ batch: Array.from({ length: 20 }, () => skewed(random)) })],
  [1, (random) => ({ write: COUNT + random.int(0, 100) })],
];

/** A few are asked for much more often than the rest. */
const skewed = (random) => Math.floor(COUNT * random.next() ** 4);

function choose(random) {
  let at = random.next() * 100;
  return (MIX.find(([share]) => (at -= share) < 0) ?? MIX[0])[1](random);
}

async function act({ ask, options, statuses, batch, write }) {
  if (batch !== undefined) {
    const answer = await system.readBatch(batch.map((idx) => ({ ...key(idx), ext: "md" })), { agent });
    assert.equal(answer.status, 200, answer.text);
    answer.json.items.forEach((item, at) => assert.deepEqual([item.status, item.body], [200, textOf(batch[at])]));
  } else if (write !== undefined) {
    const text = `# ${write} at ${performance.now()}`;
    await system.publish([{ ...key(write), markdown: text }]);
    const answer = await get(write);
    assert.equal(answer.status, 200, answer.text);
  } else {
    const answer = await get(ask, options);
    assert.ok(statuses.includes(answer.status), `${answer.status} ${answer.text}`);
    if (answer.status === 200 && options?.method !== "HEAD") assert.equal(answer.text, textOf(ask));
  }
}

test(`${SECONDS} s of mixed load: every answer is right, and memory does not grow`, { timeout: (SECONDS + 120) * 1_000 }, async (context) => {
  const random = seeded(context);
  const seeds = Array.from({ length: WIDTH }, () => new Random(random.int(0, 2 ** 31)));
  const began = performance.now();
  const secondsNow = () => (performance.now() - began) / 1_000;
  const samples = [];
  const sampler = setInterval(() => samples.push({ at: secondsNow(), lenBytes: residentLenBytes() }), 500);
  let middleIsolate;
  const halfway = setTimeout(() => (middleIsolate = checkedIsolate()), SECONDS * 500);
  let count = 0;
  try {
    await inParallel(seeds, WIDTH, async (own) => {
      while (secondsNow() < SECONDS) {
        await act(choose(own));
        count += 1;
      }
    });
  } finally {
    clearInterval(sampler);
    clearTimeout(halfway);
  }
  const most = (from, to) => Math.max(...samples.filter(({ at }) => at >= SECONDS * from && at < SECONDS * to).map(({ lenBytes }) => lenBytes));
  const [middle, end] = [most(0.33, 0.67), most(0.67, 2)];
  const [wasmMiddle, wasmEnd] = [(await middleIsolate).memoryLenBytes, (await checkedIsolate()).memoryLenBytes];
  context.diagnostic(`${count} requests, ${Math.round(count / secondsNow())} a second; serve's memory ${mib(wasmMiddle)} halfway, ${mib(wasmEnd)} at the end; workerd's ${mib(middle)}, then ${mib(end)}`);
  // A short run has not seen a whole cycle of the collector, nor every size of answer.
  if (SECONDS < 60) return;
  // workerd's own is told alone: the simulators of R2, KV and the cache keep what they were given in it.
  assert.equal(wasmEnd, wasmMiddle, "the module's memory grew in the second half");
});
