// The TypeScript client through a proxy that breaks one exchange in five.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, test } from "node:test";
import { importSdk } from "./sdk.mjs";
import { System, inParallel, seeded, token } from "./system.mjs";

const COUNT = 1_000;
const FAULTS = ["reset before the server sees it", "503 before the server sees it", "reset after the server did it", "answer cut short"];
const FAULT_SHARE = 0.2;

let system;
let sdk;
before(async () => {
  sdk = await importSdk();
  system = await System.start();
});
after(() => system.stop());

/** A proxy before the system; `choose` says for each exchange which fault it has, if any. */
async function startProxy(choose) {
  const agent = new http.Agent({ keepAlive: true });
  const server = http.createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const fault = choose();
    if (fault === FAULTS[0]) return response.destroy();
    if (fault === FAULTS[1]) return response.writeHead(503, { "Content-Type": "text/plain" }).end("busy");
    const { host: _, ...headers } = request.headers;
    const options = { host: "127.0.0.1", port: system.port, method: request.method, path: request.url, headers, agent };
    const inner = http.request(options, async (answer) => {
      const body = [];
      for await (const piece of answer) body.push(piece);
      const bytes = Buffer.concat(body);
      if (fault === FAULTS[2]) return response.destroy();
      const { "transfer-encoding": _, ...answered } = answer.headers;
      response.writeHead(answer.statusCode, { ...answered, "content-length": bytes.byteLength });
      if (fault !== FAULTS[3]) return response.end(bytes);
      response.write(bytes.subarray(0, bytes.byteLength / 2), () => response.destroy());
    });
    inner.end(Buffer.concat(pieces));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = () => {
    server.closeAllConnections();
    server.close();
    agent.destroy();
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, stop };
}

test("1,000 puts through faults in one of five exchanges store every record once", async (context) => {
  const random = seeded(context);
  const counts = Object.fromEntries(FAULTS.map((fault) => [fault, 0]));
  let exchanges = 0;
  const proxy = await startProxy(() => {
    exchanges += 1;
    if (random.next() >= FAULT_SHARE) return undefined;
    const fault = random.pick(FAULTS);
    counts[fault] += 1;
    return fault;
  });
  // Waiting between attempts proves nothing here; a write that still runs is waited for.
  const clock = { random: Math.random, now: Date.now, after: (ms, run) => {
    const timer = setTimeout(run, ms < 30_000 ? Math.min(ms, 50) : ms);
    return () => clearTimeout(timer);
  } };
  const firn = new sdk.Firn({ baseUrl: proxy.origin, token: token(), maxRetries: 20, clock });
  const held = await system.rowCount();
  try {
    const record = (idx) => ({ ns: "e2e.example", type: "faults", id: `f/${idx}`, markdown: `# ${idx}` });
    const versions = new Set();
    await inParallel(Array.from({ length: COUNT }, (_, idx) => record(idx)), 8, async (each) => {
      assert.equal((await firn.put(each)).accepted, 1);
    });
    assert.equal((await system.rowCount()) - held, COUNT);
    const direct = new sdk.Firn({ baseUrl: system.origin });
    await inParallel(Array.from({ length: COUNT }, (_, idx) => idx), 8, async (idx) => {
      const { body, version } = await direct.get({ ns: "e2e.example", type: "faults", id: `f/${idx}`, ext: "md" });
      assert.equal(body, `# ${idx}`);
      versions.add(version);
    });
    assert.equal(versions.size, COUNT);
    context.diagnostic(`${exchanges} exchanges; ${Object.entries(counts).map(([fault, count]) => `${fault}: ${count}`).join(", ")}`);
    assert.ok(Object.values(counts).every((count) => count > 20), JSON.stringify(counts));
  } finally {
    proxy.stop();
  }
});
