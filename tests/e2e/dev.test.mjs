// scripts/dev as a person meets it: what it prints, how it refuses, and that nothing of it outlives it.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DEV = join(ROOT, "scripts/dev.mjs");
const DEADLINE_MILLIS = 60_000;
/** How it may end on a signal: as if nothing were, or as shells say that a signal ended a process. */
const ENDED = { SIGINT: [0, 130], SIGTERM: [0, 143] };

let state;
before(() => (state = mkdtempSync(join(tmpdir(), "firn-dev-"))));
after(() => rmSync(state, { recursive: true, force: true }));

const running = new Set();
// They are groups of their own: whoever ends this process would otherwise leave them behind.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    for (const dev of running) dev.killAll();
    process.exit(1);
  });
}

/** A running scripts/dev.mjs. (scripts/dev itself only builds before it, and replaces itself by it.) */
class Dev {
  /** Ends at the latest with its test. */
  constructor(t, args) {
    running.add(this);
    t.after(() => this.killAll());
    // A group of its own, so that a signal can be sent to all of it, as a terminal's Ctrl-C is.
    this.process = spawn(process.execPath, [DEV, ...args], { detached: true, stdio: ["ignore", "pipe", "pipe"] });
    this.stdout = [];
    this.stderr = [];
    createInterface({ input: this.process.stdout }).on("line", (line) => this.stdout.push(line) && this.onLine?.(line));
    createInterface({ input: this.process.stderr }).on("line", (line) => this.stderr.push(line));
    this.ended = once(this.process, "close").then(([code, signal]) => ({ code, signal }));
    this.timer = setTimeout(() => this.killAll(), DEADLINE_MILLIS);
    this.ended.then(() => clearTimeout(this.timer));
  }

  /** Waits for the line that says it is ready; gives the origin. */
  async ready() {
    const printed = new Promise((done) => (this.onLine = (line) => line.startsWith("ready ") && done(line)));
    const line = await Promise.race([printed, this.ended.then(({ code }) => assert.fail(`ended with ${code}: ${this.stderr.join("\n")}`))]);
    const [, origin] = /^ready (http:\/\/localhost:\d+)$/.exec(line) ?? assert.fail(line);
    return origin;
  }

  killAll() {
    running.delete(this);
    try {
      process.kill(-this.process.pid, "SIGKILL");
    } catch {
      // All of it has ended.
    }
  }
}

/** All processes that this one started, and those that they started. */
function descendants(pid) {
  const parents = new Map();
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const [, command, parent] = /^\d+ \((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${entry}/stat`, "utf8"));
      parents.set(Number(entry), { parent: Number(parent), command });
    } catch {
      // It ended meanwhile.
    }
  }
  const below = (of) => [...parents].filter(([, { parent }]) => parent === of).flatMap(([child, { command }]) => [{ pid: child, command }, ...below(child)]);
  return below(pid);
}

/** Whether a process runs; one that has ended and is not waited for does not. */
function isRunning(pid) {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** The end of a process that is not our child gives no event: asks until it is gone. */
async function gone(pid) {
  const deadline = Date.now() + 10_000;
  while (isRunning(pid)) {
    assert.ok(Date.now() < deadline, `process ${pid} is still there`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

async function run(t, args) {
  const dev = new Dev(t, args);
  // What should have refused and starts is not waited for.
  dev.onLine = (line) => line.startsWith("ready ") && dev.killAll();
  const { code } = await dev.ended;
  return { code, stdout: dev.stdout, stderr: dev.stderr };
}

describe("what it refuses", () => {
  test("a port that is taken: one clear line", async (t) => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address();
    const { code, stdout, stderr } = await run(t, ["--port", String(port), "--state", state]);
    server.close();
    assert.equal(code, 1);
    assert.deepEqual(stderr, [`error: port ${port} is taken; choose another with --port`]);
    assert.deepEqual(stdout, []);
  });

  for (const [args, message] of [
    [["--prot", "1"], /^error: .*'--prot'/],
    [["surplus"], /^error: .*'surplus'/],
    [["--port"], /^error: .*--port/],
    [["--port", "http"], /^error: --port http is not a port$/],
    [["--port", "70000"], /^error: --port 70000 is not a port$/],
    [["--port", "1.5"], /^error: --port 1.5 is not a port$/],
    [["--port", ""], /^error: --port .*is not a port$/],
    [["--no-sample=no"], /^error: .*--no-sample/],
  ]) {
    test(`${args.join(" ")}: one clear line`, async (t) => {
      const { code, stdout, stderr } = await run(t, args);
      assert.equal(code, 1);
      assert.equal(stderr.length, 1, stderr.join("\n"));
      assert.match(stderr[0], message);
      assert.deepEqual(stdout, []);
    });
  }

  test("a state folder that cannot be made: a clear error", async (t) => {
    const { code, stderr } = await run(t, ["--port", "0", "--no-sample", "--state", join(ROOT, "package.json", "below-a-file")]);
    assert.equal(code, 1);
    assert.equal(stderr.length, 1, stderr.join("\n"));
    assert.match(stderr[0], /^error: /);
  });
});

/** A token of scripts/token. */
async function scriptToken(...args) {
  const { stdout } = await promisify(execFile)(join(ROOT, "scripts/token"), args);
  return stdout.trim();
}

const publish = (origin, bearer, records) =>
  fetch(`${origin}/$.artifacts`, {
    method: "POST",
    headers: { "Content-Type": "application/x-ndjson", Authorization: `Bearer ${bearer}` },
    body: records.map((record) => `${JSON.stringify(record)}\n`).join(""),
  });

describe("without a sample", () => {
  for (const [name, signal, to] of [
    ["SIGINT to the process", "SIGINT", (pid) => pid],
    ["SIGTERM to the process", "SIGTERM", (pid) => pid],
    ["Ctrl-C in a terminal, which signals the whole group", "SIGINT", (pid) => -pid],
  ]) {
    test(`${name} ends all it started`, async (t) => {
      const dev = new Dev(t, ["--port", "0", "--no-sample", "--state", state]);
      const origin = await dev.ready();
      const started = descendants(dev.process.pid);
      assert.ok(started.some(({ command }) => command.startsWith("workerd")), JSON.stringify(started));
      assert.equal((await fetch(`${origin}/$.content/nobody/page/x.md`)).status, 404);
      process.kill(to(dev.process.pid), signal);
      const { code } = await dev.ended;
      assert.ok(ENDED[signal].includes(code), `${code}: ${dev.stderr.join("\n")}`);
      for (const { pid } of started) await gone(pid);
      await assert.rejects(fetch(origin));
      assert.deepEqual(dev.stderr, []);
    });
  }

  test("a token of scripts/token is accepted, and what it wrote is there at the next start", async (t) => {
    const first = new Dev(t, ["--port", "0", "--no-sample", "--state", state]);
    const origin = await first.ready();
    const bearer = await scriptToken("--ns", "tour.example", "--sub", "u1", "--org", "o1", "--ttl", "10m");
    const taken = await publish(origin, bearer, [{ ns: "tour.example", type: "page", id: "home", markdown: "# home" }, { ns: "tour.example", type: "page", id: "own", markdown: "# own", visibility: "org" }]);
    assert.equal(taken.status, 200, await taken.text());
    for (const [args, status] of [[["--ns", "other.example,more.example"], 403], [["--ns", "tour.example", "--scope", "artifacts:read"], 403], [["--ns", "tour.example", "--ttl=-2h"], 401]]) {
      assert.equal((await publish(origin, await scriptToken(...args), [{ ns: "tour.example", type: "page", id: "x", markdown: "x" }])).status, status, args.join(" "));
    }
    assert.equal((await fetch(`${origin}/$.dev/flush`, { method: "POST" })).status, 200);
    process.kill(first.process.pid, "SIGINT");
    await first.ended;

    const began = performance.now();
    const second = new Dev(t, ["--port", "0", "--no-sample", "--state", state]);
    const again = await second.ready();
    assert.ok(performance.now() - began < 15_000, "the second start takes less than 15 s");
    assert.equal(await (await fetch(`${again}/$.content/tour.example/page/home.md`)).text(), "# home");
    assert.equal((await fetch(`${again}/$.content/tour.example/page/own.md`)).status, 404);
    const own = await fetch(`${again}/$.content/tour.example/page/own.md`, { headers: { Authorization: `Bearer ${bearer}` } });
    assert.equal(await own.text(), "# own");
    process.kill(second.process.pid, "SIGINT");
    await second.ended;
  });

  test("the development key is made once, for its owner alone, and git does not see it", async () => {
    const key = join(ROOT, ".firn/development.key");
    assert.equal(statSync(key).mode & 0o777, 0o600);
    const held = readFileSync(key, "utf8");
    await scriptToken("--ns", "tour.example");
    assert.equal(readFileSync(key, "utf8"), held);
    const { stdout } = await promisify(execFile)("git", ["-C", ROOT, "status", "--porcelain", "--untracked-files=all", ".firn"]);
    assert.equal(stdout, "");
  });
});

describe("with the sample", () => {
  test("three curl lines that work", async (t) => {
    const own = mkdtempSync(join(tmpdir(), "firn-dev-"));
    t.after(() => rmSync(own, { recursive: true, force: true }));
    const dev = new Dev(t, ["--port", "0", "--state", own]);
    const origin = await dev.ready();
    assert.ok(dev.stdout.some((line) => /^published .*: \d+ artifacts, rows in Iceberg after [\d.]+ s$/.test(line)), dev.stdout.join("\n"));
    assert.ok(dev.stdout.some((line) => /artifacts_build: \d+ rows in \d+ data files/.test(line)));
    const curls = dev.stdout.filter((line) => line.trim().startsWith("curl "));
    assert.equal(curls.length, 3);
    for (const line of curls) {
      const url = /'(http[^']+)'/.exec(line)[1];
      assert.ok(url.startsWith(origin));
      const answer = await fetch(url);
      assert.equal(answer.status, 200, line);
      // The file itself, out of the npm package.
      const path = decodeURIComponent(new URL(url).pathname).split("/").slice(4).join("/");
      const file = readFileSync(join(ROOT, "node_modules", path), "utf8");
      const text = await answer.text();
      if (path.endsWith(".json")) assert.deepEqual(JSON.parse(text), JSON.parse(file));
      else assert.equal(text, file);
    }
    process.kill(dev.process.pid, "SIGINT");
    assert.ok(ENDED.SIGINT.includes((await dev.ended).code));
  });
});
