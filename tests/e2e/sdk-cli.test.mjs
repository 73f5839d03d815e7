// The command line against the whole system, as it is built for the package.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { System, token } from "./system.mjs";

const SDK = fileURLToPath(new URL("../../sdk-ts", import.meta.url));
const PACKAGE = fileURLToPath(new URL("../../node_modules/highlight.js", import.meta.url));
const NS = "e2e.example";

let system;
let dir;
before(async () => {
  execFileSync(process.execPath, [join(SDK, "scripts/build.mjs")], { stdio: "inherit" });
  dir = mkdtempSync(join(tmpdir(), "firn-e2e-cli-"));
  system = await System.start();
});
after(async () => {
  rmSync(dir, { recursive: true, force: true });
  await system.stop();
});

/** Starts a command; `ended` gives its status and what it printed. */
function start(args, { bearer = token(), input } = {}) {
  const env = { ...process.env, FIRN_URL: system.origin, FIRN_TOKEN: bearer };
  const child = spawn(process.execPath, [join(SDK, "dist/cli/firn.cjs"), ...args], { cwd: dir, env });
  const out = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (piece) => (out[name] += piece));
  child.stdin.end(input);
  const ended = new Promise((done) => child.once("close", (status, signal) => done({ status, signal, ...out })));
  return { child, ended };
}

async function firn(args, options) {
  const ended = await start(args, options).ended;
  return { ...ended, json: ended.status === 2 ? undefined : ended.stdout.trim().split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line)) };
}

async function done(args, options) {
  const ended = await firn(args, options);
  assert.equal(ended.status, 0, `${args.join(" ")}: ${ended.stdout}${ended.stderr}`);
  return ended;
}

test("a package of npm that was published comes back as it was, from the ledger and from the lake", async (context) => {
  const names = ["--ns", NS, "--type", "package", "--prefix", "highlight.js/"];
  const { json: [plan] } = await done(["publish", PACKAGE, ...names, "--dry-run"]);
  const files = plan.artifacts.flatMap((artifact) => artifact.files);
  assert.ok(files.length >= 500, `${files.length}`);
  const { json: [published] } = await done(["publish", PACKAGE, ...names]);
  assert.deepEqual([published.accepted, published.rejected], [plan.artifacts.length, 0]);

  // Its files that have a representation: styles in SCSS, the licence and the like have none.
  for (const file of files) {
    mkdirSync(dirname(join(dir, "expected", file)), { recursive: true });
    cpSync(join(PACKAGE, file), join(dir, "expected", file));
  }
  context.diagnostic(`${files.length} files in ${plan.artifacts.length} artifacts; skipped: ${[...new Set(plan.skipped.map(({ path }) => extname(path) || basename(path)))].join(" ")}`);
  const ids = plan.artifacts.map(({ id }) => id).join("\n");
  for (const place of ["ledger", "parquet"]) {
    if (place === "parquet") await system.flush({ forget: true });
    assert.equal((await done(["head", `${NS}/package/${plan.artifacts[0].id}.artifact.json`])).json[0].source, place);
    const { json: [pulled] } = await done(["pull", `${NS}/package`, "--ids-file", "-", "--strip", "highlight.js/", "-o", place], { input: ids });
    assert.deepEqual([pulled.artifacts, pulled.files, pulled.failed], [plan.artifacts.length, files.length, []]);
    const { status, stdout } = spawnSync("diff", ["-r", "expected", place], { cwd: dir, encoding: "utf8" });
    assert.deepEqual([status, stdout], [0, ""]);
  }
  const { json: [again] } = await done(["publish", PACKAGE, ...names]);
  assert.deepEqual([again.accepted, again.unchanged], [plan.artifacts.length, plan.artifacts.length]);
});

test("put, get, head and the exit statuses", async () => {
  const key = `${NS}/cli/docs/a b`;
  await done(["put", key, "--stdin", "md"], { input: "---\ntitle: é\n---\n# Hello\n" });
  assert.equal((await done(["get", `${key}.md`])).stdout, "---\ntitle: é\n---\n# Hello\n");
  assert.deepEqual(JSON.parse((await done(["get", `${key}.json`])).stdout), { title: "é" });
  const { json: [head] } = await done(["head", `${key}.md`]);
  assert.match(head.version, /^\d{16}$/);
  assert.equal((await firn(["put", key, "--stdin", "md", "--if-version", "0"], { input: "x" })).status, 6);
  await done(["put", key, "--stdin", "md", "--if-version", head.version], { input: "x" });
  assert.equal((await firn(["get", `${NS}/cli/nobody.md`])).status, 4);
  assert.equal((await firn(["delete", key, "--if-match", head.version])).status, 6);
  assert.match((await done(["delete", key])).json[0].version, /^\d{16}$/);
  assert.equal((await firn(["get", `${key}.md`])).status, 4);
  assert.equal((await firn(["delete", key])).status, 4);
  assert.equal((await firn(["put", key, "--stdin", "md"], { input: "x", bearer: "wrong" })).status, 5);
  assert.equal((await firn(["put", key, "--stdin", "md"], { input: "x", bearer: token({ ns: ["other.example", "third.example"] }) })).status, 5);
  const refused = await firn(["put", key, "--stdin", "md", "--visibility", "org"], { input: "x", bearer: token({ org: undefined }) });
  assert.equal(refused.status, 3);
  assert.equal(JSON.parse(refused.stderr).error.errors[0].code, "claim_missing");
});

test("an import that was killed goes on, and every record is there once", async () => {
  const count = 20_000;
  const file = "all.ndjson";
  const lines = Array.from({ length: count }, (_, idx) => JSON.stringify({ ns: NS, type: "import", id: `i/${idx}`, markdown: `# ${idx} é雪`, mdast: { n: 1.0, idx } }));
  writeFileSync(join(dir, file), `${lines.join("\n")}\n`);
  const rows = await system.rowCount();
  const state = `${file}.firn-import.json`;
  for (const requests of [3, 9]) {
    const { child, ended } = start(["import", file, "--records-per-request", "1000"]);
    const reached = new Promise((resolve) => {
      const watcher = watch(dir, () => {
        const held = existsSync(join(dir, state)) ? JSON.parse(readFileSync(join(dir, state), "utf8")) : { requests: 0 };
        if (held.requests < requests) return;
        watcher.close();
        resolve();
      });
    });
    await reached;
    child.kill("SIGKILL");
    assert.equal((await ended).signal, "SIGKILL");
    assert.ok(existsSync(join(dir, state)), "it was not over yet");
  }
  const { json: [result] } = await done(["import", file, "--records-per-request", "1000"]);
  assert.deepEqual([result.records, result.accepted, result.rejected, result.resumed], [count, count, 0, true]);
  assert.equal((await system.rowCount()) - rows, count);
  assert.equal((await done(["get", `${NS}/import/i/19999.md`])).stdout, "# 19999 é雪");
  assert.ok(!existsSync(join(dir, state)));
});

test("publish --watch writes what changes", async () => {
  mkdirSync(join(dir, "site/docs"), { recursive: true });
  writeFileSync(join(dir, "site/home.md"), "# 1\n");
  writeFileSync(join(dir, "site/docs/a.md"), "# a\n");
  const { child, ended } = start(["publish", "site", "--type", "watched", "--watch", "--no-json"]);
  const said = (text) =>
    new Promise((resolve) => {
      let seen = "";
      const listen = (piece) => {
        seen += piece;
        if (!seen.includes(text)) return;
        for (const stream of [child.stdout, child.stderr]) stream.off("data", listen);
        resolve(seen);
      };
      for (const stream of [child.stdout, child.stderr]) stream.on("data", listen);
    });
  await said("watching for changes");
  const get = async (id) => (await system.get(`/$.content/${NS}/watched/${id}.md`)).text;
  assert.deepEqual([await get("home"), await get("docs/a")], ["# 1\n", "# a\n"]);
  const changed = said("1 artifact published");
  writeFileSync(join(dir, "site/home.md"), "# 2\n");
  await changed;
  assert.equal(await get("home"), "# 2\n");
  const removed = said("1 deleted");
  rmSync(join(dir, "site/docs/a.md"));
  await removed;
  assert.notEqual((await system.get(`/$.content/${NS}/watched/docs/a.md`)).status, 200);
  child.kill("SIGINT");
  assert.equal((await ended).status, 0);
});

test("doctor finds the system well, and says what its limits are", async () => {
  const { json: [{ findings }] } = await done(["doctor"]);
  // workerd on its own sends no Date; that is said, and no fault.
  const clock = findings.find(({ check }) => check === "clock").state;
  assert.notEqual(clock, "failed");
  assert.deepEqual(findings.map(({ check, state }) => [check, state]), [["server", "ok"], ["clock", clock], ["token", "ok"], ["write", "ok"], ["limits", "ok"]]);
  assert.match(findings.at(-1).detail, /^1,000 records a request, 100\.0 MB of any request$/);
  assert.equal((await firn(["doctor"], { bearer: token({ exp: 1 }) })).status, 5);
});
