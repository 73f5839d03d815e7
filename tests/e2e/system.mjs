// The whole system under test: one workerd with a state folder, a port and a secret of its own, spoken to over plain
// HTTP. A test file starts one (or more), and stops it in `after`.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import http from "node:http";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { AUDIENCE, ISSUER, mintToken } from "../../scripts/keys.mjs";
import { start } from "../../scripts/runtime.mjs";

export { AUDIENCE, ISSUER };
export const INGEST = "/$.artifacts";
export const NDJSON = "application/x-ndjson";

/** Longest wait for any one answer or event; a machine that is busy with something else still makes it. */
const DEADLINE_MILLIS = 60_000;

const SECRET = randomBytes(32).toString("base64url");

/** The tests send more requests a minute than a tenant may by default. */
const TENANTS = { "e2e.example": { requests_per_minute: 60_000 } };

// The log of all systems of this process. Failures of ours belong to the test's output, refusals do not.
const log = [];
const listeners = new Set();
const print = console.error;
console.error = (...parts) => {
  const line = parts.map(String).join(" ");
  log.push(line);
  if (!line.startsWith("{")) print(line);
  for (const listen of [...listeners]) listen();
};

/** Waits for a log line about a request, and gives it parsed. */
export async function logLineOf(requestId) {
  const find = () => log.find((line) => line.startsWith("{") && line.includes(JSON.stringify(requestId)));
  const line = await until(find, listeners, `a log line of request ${requestId}`);
  return JSON.parse(line);
}

/** Waits for a log line, and gives it as it is. */
export const logLine = (isIt, what) => until(() => log.find(isIt), listeners, `a log line of ${what}`);

/** Every log line so far. */
export const logLines = () => [...log];

async function until(find, events, what) {
  const found = find();
  if (found !== undefined) return found;
  return new Promise((done, fail) => {
    const listen = () => {
      const value = find();
      if (value === undefined) return;
      settle();
      done(value);
    };
    const timer = setTimeout(() => {
      settle();
      fail(new Error(`${what} did not come within ${DEADLINE_MILLIS} ms`));
    }, DEADLINE_MILLIS);
    const settle = () => {
      clearTimeout(timer);
      events.delete(listen);
    };
    events.add(listen);
  });
}

/** A token of this process's secret. A claim set to undefined is left out. */
export function token(claims = {}, options = {}) {
  const usual = { ns: ["e2e.example"], sub: "u1", org: "o1", scope: "artifacts:read artifacts:write" };
  return mintToken({ ...usual, ...claims }, { secret: SECRET, ...options });
}

/** Records as lines. */
export const ndjson = (records) => records.map((record) => `${JSON.stringify(record)}\n`).join("");

export class System {
  /**
   * @param {{ state?: string, secrets?: Record<string, string>, vars?: object, wrapped?: Record<string, string>,
   *           tenants?: Record<string, object | string> }} options
   *   `vars`, and modules of the tests around a Worker's own (`wrapped`), by the Worker's name; `tenants` are configurations
   *   by namespace.
   */
  static async start(options = {}) {
    const system = new System(options);
    await system.#launch();
    for (const [ns, config] of Object.entries({ ...TENANTS, ...options.tenants })) await system.configure(ns, config);
    return system;
  }

  #options;
  #running;
  #agent;
  #ownsState;

  constructor(options) {
    this.#options = { ...options };
    this.#ownsState = options.state === undefined;
    this.state = options.state ?? mkdtempSync(join(tmpdir(), "firn-e2e-"));
  }

  async #launch() {
    const { secrets = { FIRN_HS256_SECRET: SECRET }, vars, wrapped } = this.#options;
    this.#running = await start({ state: this.state, secrets, vars, wrapped });
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  }

  get origin() {
    return this.#running.origin;
  }

  get port() {
    return Number(new URL(this.origin).port);
  }

  /** Stores the configuration of a namespace; an isolate that holds an older one keeps it for a second. */
  async configure(ns, config) {
    const kv = await this.#running.runtime.getKVNamespace("FIRN_CONFIG", "firn-ingest");
    await kv.put(`artifact-config:${ns}`, typeof config === "string" ? config : JSON.stringify(config));
  }

  /** A Worker itself, past the origin's entry. */
  worker(name) {
    return this.#running.runtime.getWorker(name);
  }

  /** The lake's R2 bucket, past all Workers. */
  bucket() {
    return this.#running.runtime.getR2Bucket("LAKE_BUCKET", "firn-lake");
  }

  /** Hands a message to the queue that purges the zone, through the door of fixtures/queue-door.js. */
  async queuePurge(message) {
    const worker = await this.worker("firn-lake");
    const answer = await worker.fetch("http://lake/queue", { method: "POST", body: message });
    if (answer.status !== 200) throw new Error(await answer.text());
  }

  /** What the lake Worker does each minute in production. */
  async followOnSchedule() {
    const worker = await this.worker("firn-lake");
    const { outcome } = await worker.scheduled({ cron: "* * * * *" });
    assert.equal(outcome, "ok");
  }

  /** Makes sends of a mode's stream fail: after `skip` of them, the next `count` (see workers/lake/entry.js). */
  async fault(mode, kind, { skip = 0, count = 1, millis = 0, share = 1, seed = 0 } = {}) {
    const query = `stream=artifacts_${mode}&kind=${kind}&skip=${skip}&count=${count}&millis=${millis}&share=${share}&seed=${seed}`;
    const answer = await this.request({ method: "POST", path: `/$.dev/fault?${query}`, headers: { "Content-Length": "0" } });
    assert.equal(answer.status, 200, answer.text);
  }

  async clearFaults() {
    assert.equal((await this.request({ method: "DELETE", path: "/$.dev/fault" })).status, 200);
  }

  /** Everything that lies in the Cache API, of all Workers: `{ url, text }`. As miniflare keeps it. */
  cacheEntries() {
    const folder = join(this.state, "cache");
    const databases = readdirSync(join(folder, "miniflare-CacheObject")).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
    return databases.flatMap((name) => {
      const database = new DatabaseSync(join(folder, "miniflare-CacheObject", name), { readOnly: true });
      const rows = database.prepare("SELECT key, blob_id FROM _mf_entries").all();
      database.close();
      return rows.map(({ key, blob_id: blob }) => ({ url: key, text: readFileSync(join(folder, "default/blobs", blob), "utf8") }));
    });
  }

  /** workerd's process. */
  get pid() {
    return this.#running.workerdPid();
  }

  /** SIGKILL to workerd; then everything that it confirmed must be on the disk. */
  kill() {
    process.kill(this.#running.workerdPid(), "SIGKILL");
  }

  async #halt() {
    this.#agent.destroy();
    await this.#running.dispose();
  }

  /** Starts again with the same state, as after Ctrl-C or a crash; with other settings, if there are some. */
  async restart(options = {}) {
    Object.assign(this.#options, options);
    await this.#halt();
    await this.#launch();
  }

  async stop() {
    await this.#halt();
    if (this.#ownsState) rmSync(this.state, { recursive: true, force: true });
    const crashes = log.filter((line) => /panicked|RuntimeError|uncaught|code had hung/i.test(line));
    assert.deepEqual(crashes, [], "a Worker crashed");
  }

  /**
   * One request, byte for byte as given: nothing is normalised, added or followed.
   * A body that is iterable is sent in pieces without Content-Length.
   */
  request({ method = "GET", path, headers = {}, body, agent = this.#agent }) {
    return new Promise((done, fail) => {
      const options = { host: "127.0.0.1", port: this.port, method, path, headers, agent, timeout: DEADLINE_MILLIS };
      const request = http.request(options, (response) => {
        const pieces = [];
        response.on("data", (piece) => pieces.push(piece));
        response.on("error", fail);
        response.on("end", () => done(new Answer(response, Buffer.concat(pieces))));
      });
      request.on("timeout", () => request.destroy(new Error(`${method} ${path}: no answer in ${DEADLINE_MILLIS} ms`)));
      // A server that answers before it has read the body may close the connection under it; then this comes too late to count.
      request.on("error", fail);
      if (body === undefined || typeof body === "string" || Buffer.isBuffer(body)) {
        if (body !== undefined && !("Content-Length" in headers)) request.setHeader("Content-Length", Buffer.byteLength(body));
        request.end(body);
      } else {
        for (const piece of body) request.write(piece);
        request.end();
      }
    });
  }

  /** Sends records (or a body as it is) to ingest. */
  post(records, { mode, token: bearer = token(), type = NDJSON, requestId, headers = {} } = {}) {
    const all = { Authorization: bearer && `Bearer ${bearer}`, "Content-Type": type, "X-Artifact-Mode": mode, "X-Request-Id": requestId, ...headers };
    const isBody = typeof records === "string" || Buffer.isBuffer(records) || !Array.isArray(records);
    return this.request({ method: "POST", path: INGEST, headers: defined(all), body: isBody ? records : ndjson(records) });
  }

  /** Sends records that must all be taken; gives the answer's body. */
  async publish(records, options) {
    const answer = await this.post(records, options);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.accepted, records.length);
    return answer.json;
  }

  /** Sets the clock of serve so many seconds ahead: copies in the edge cache age. */
  async setClock(secs) {
    const answer = await this.request({ method: "POST", path: `/$.dev/clock?offset=${secs}`, headers: { "Content-Length": "0" } });
    assert.equal(answer.status, 200, answer.text);
  }

  /** Makes serve forget everything parsed, as a fresh isolate. */
  async forgetHeld() {
    const answer = await this.request({ method: "POST", path: "/$.dev/forget?held=1", headers: { "Content-Length": "0" } });
    assert.equal(answer.status, 200, answer.text);
  }

  /** What serve's isolate holds: `{ memoryLenBytes, heldLenBytes, hits, misses, evictions, lookups }`. */
  async isolate() {
    const answer = await this.request({ path: "/$.dev/isolate" });
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
  }

  /** Reads until the edge cache answers: a copy is stored behind the answer before it. */
  copied(path, options) {
    return poll(async () => {
      const answer = await this.get(path, options);
      assert.equal(answer.status, 200, answer.text);
      return answer.headers["x-artifact-source"] === "cache" ? answer : undefined;
    }, `no copy of ${path} came`);
  }

  /** Reads up to 100 representations at once: items are `{ ns, type, id, ext }`. */
  readBatch(items, { token: bearer, headers = {}, agent } = {}) {
    const all = { Authorization: bearer && `Bearer ${bearer}`, "Content-Type": "application/json", ...headers };
    return this.request({ method: "POST", path: "/$.content", agent, headers: defined(all), body: JSON.stringify({ items }) });
  }

  get(path, { token: bearer, method = "GET", headers = {}, agent } = {}) {
    return this.request({ method, path, agent, headers: defined({ Authorization: bearer && `Bearer ${bearer}`, ...headers }) });
  }

  /** Makes every stream commit, and counts the rows of all tables. */
  async rowCount() {
    const tables = Object.values(await this.flush());
    assert.equal(tables.reduce((sum, { dropped }) => sum + dropped, 0), 0, "no row that ingest sent violates the schema");
    return tables.reduce((sum, { rows }) => sum + rows, 0);
  }

  /** Makes every ledger send and every stream commit, and says what each table then holds; with `forget` the ledgers drop what
   *  the lake holds: `{ artifacts_build: { rows, files, dropped }, … }`. */
  async flush({ forget = false } = {}) {
    const path = forget ? "/$.dev/flush?forget=1" : "/$.dev/flush";
    const answer = await this.request({ method: "POST", path, headers: { "Content-Length": "0" } });
    assert.equal(answer.status, 200, answer.text);
    return Object.fromEntries(answer.json.tables.map(({ table, ...counts }) => [table, counts]));
  }
}

const defined = (headers) => Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined && value !== null));

class Answer {
  constructor(response, bytes) {
    this.status = response.statusCode;
    this.headers = response.headers;
    this.bytes = bytes;
  }

  get text() {
    return this.bytes.toString("utf8");
  }

  get json() {
    return JSON.parse(this.text);
  }
}

/** The path of a representation; each segment of the id is percent-encoded. */
export function contentPath({ ns, type, id }, extension) {
  const encoded = id.split("/").map(encodeURIComponent).join("/");
  return `/$.content/${ns}/${type}/${encoded}${extension}`;
}

/** An answer is a problem of RFC 9457 with this status and code, and says so everywhere alike. */
export function assertProblem(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers["content-type"], "application/problem+json");
  assert.equal(answer.headers["cache-control"], "no-store");
  const problem = answer.json;
  assert.equal(problem.code, code, answer.text);
  assert.equal(problem.status, status);
  assert.equal(problem.type, `/problems/${code}`);
  assert.match(problem.title, /\S/);
  assert.match(problem.detail, /\S/);
  assert.equal(problem.request_id, answer.headers["x-request-id"]);
  return problem;
}

/** Runs `work` over `items`, at most `width` at once. */
export async function inParallel(items, width, work) {
  const queue = items.entries();
  const worker = async () => {
    for (const [idx, item] of queue) await work(item, idx);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** Random numbers that FIRN_SEED repeats; the seed is printed, by the test's context where there is one. */
export function seeded(test) {
  const seed = Number(process.env.FIRN_SEED ?? randomBytes(4).readUInt32LE());
  if (test) test.diagnostic(`FIRN_SEED=${seed}`);
  else console.log(`FIRN_SEED=${seed}`);
  return new Random(seed);
}

/** mulberry32: small, and the same on every machine. */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `low` up to, not including, `high`. */
  int(low, high) {
    return low + Math.floor(this.next() * (high - low));
  }

  pick(items) {
    return items[this.int(0, items.length)];
  }
}

/** Asks until `find` gives something; for what has no event. */
export async function poll(find, what) {
  const deadline = Date.now() + DEADLINE_MILLIS;
  for (;;) {
    const found = await find();
    if (found) return found;
    assert.ok(Date.now() < deadline, what);
  }
}

/** A Python that has PyIceberg and PyArrow, or why there is none. */
export function findPython() {
  const cache = process.env.FIRN_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "firn");
  const venvs = existsSync(cache) ? readdirSync(cache).filter((name) => name.startsWith("venv-")) : [];
  const candidates = [process.env.FIRN_PYTHON, ...venvs.map((name) => join(cache, name, "bin/python"))];
  for (const python of candidates.filter(Boolean)) {
    try {
      execFileSync(python, ["-c", "import pyiceberg, pyarrow"], { stdio: "ignore" });
      return { python };
    } catch {
      // The next one.
    }
  }
  return { skip: "no Python with PyIceberg and PyArrow: set FIRN_PYTHON, or run scripts/test once" };
}
