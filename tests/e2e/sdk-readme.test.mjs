// The examples of the package's README, run as they stand.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { System, token } from "./system.mjs";

const SDK = fileURLToPath(new URL("../../sdk-ts", import.meta.url));
const README = readFileSync(join(SDK, "README.md"), "utf8");

/** Code blocks of a language, in their order. */
const blocks = (language) => [...README.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "gm"))].map(([, code]) => code);

let system;
let dir;
let env;
before(async () => {
  execFileSync(process.execPath, [join(SDK, "scripts/build.mjs")], { stdio: "inherit" });
  dir = mkdtempSync(join(tmpdir(), "firn-readme-"));
  mkdirSync(join(dir, "node_modules/@firn"), { recursive: true });
  mkdirSync(join(dir, "bin"));
  symlinkSync(SDK, join(dir, "node_modules/@firn/sdk"), "dir");
  symlinkSync(join(SDK, "dist/cli/firn.cjs"), join(dir, "bin/firn"));
  system = await System.start();
  env = { ...process.env, PATH: `${join(dir, "bin")}:${process.env.PATH}`, FIRN_URL: system.origin, FIRN_TOKEN: token({ ns: ["app.do"] }) };
});
after(async () => {
  rmSync(dir, { recursive: true, force: true });
  await system.stop();
});

/** Not execFileSync: the system answers from this process. */
function run(command, args) {
  const child = spawn(command, args, { cwd: dir, env });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (piece) => (text += piece));
  return new Promise((done) => child.once("close", (status) => done({ status, text })));
}

test("the examples of the library run", async () => {
  const said = [];
  for (const [idx, code] of blocks("js").entries()) {
    writeFileSync(join(dir, `${idx}.mjs`), code);
    const { status, text } = await run(process.execPath, [`${idx}.mjs`]);
    assert.equal(status, 0, text);
    said.push(text);
  }
  assert.match(said[0], /^# Hello "\d+\.md"\nstill current\n$/);
  assert.equal(said[1], "1000\n2000\n3000\n");
  assert.match(said[2], /^version_conflict: version \d+ came first\n$/);
  assert.match(said[3], /^\{"imports":\{"widget":"https:\/\/firn\.example\/\$\.content\/app\.do\/module\/widget\.js"\}\}/);
});

test("the examples of the command line run", async () => {
  const [, commands, ...others] = blocks("sh");
  assert.deepEqual(others, []);
  const { status, text } = await run("bash", ["-euo", "pipefail", "-c", commands]);
  assert.equal(status, 0, text);
  assert.match(text, /\{"title":"Hello"\}/);
  assert.match(text, /✔ write/);
});
