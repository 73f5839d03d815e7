// Framing and validation of NDJSON, natively and in wasm, against JSON.parse of each line in the same V8 (Node's).
// JSON.parse is given lines that are strings already: cutting the body and decoding UTF-8 cost it nothing here.
//
// All variants take turns on the same body, and the best of each counts: the machine may be busy with something else.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BODY_LEN_BYTES = 8_000_000;
const MEASURING_MILLIS = Number(process.env.FIRN_BENCH_MILLIS ?? 3_000);
const STAGES = ["framing", "+ validation", "+ rows as JSON", "or rows as values", "+ their hashes (sha2)"];

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TARGET = process.env.FIRN_TARGET_DIR ?? join(ROOT, "target");

/** Builds tests/bench-workers/ndjson with the release profile; gives the folder of what was built. */
function build(dir, target, env = {}) {
  const args = ["build", "--quiet", "--locked", "--release", "-p", "firn-bench-ndjson", "--target-dir", dir, ...target];
  execFileSync("cargo", args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: "inherit" });
  return join(dir, target.at(-1) ?? "", "release");
}

/** The variables with which cargo compiles for wasm. */
function wasmEnv() {
  const lines = execFileSync("bash", ["-c", "source scripts/lib.sh && wasm_env"], { cwd: ROOT, encoding: "utf8" });
  return Object.fromEntries(lines.trim().split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

const MARKDOWN = [
  "Loose records go in, and tables of Iceberg come out. ",
  "Each artifact is read in a handful of small range reads.\n\n",
  '## A heading with `code` and "quotes"\n\n',
  "- one item of a list, and a [link](https://firn.example/docs)\n",
];
const CODE = ['\tif (a === "b") {\n', '\t\tthrow new Error("\\n");\n', "\t}\n"];

/** A body of records whose lines are about so long. */
function bodyOf(lineLenBytes, pieces) {
  const lines = [];
  for (let at = 0, lenBytes = 0; lenBytes < BODY_LEN_BYTES; at++) {
    const record = { ns: "bench.example", type: "page", id: `docs/${String(at).padStart(8, "0")}`, visibility: "public", markdown: "" };
    const wanted = lineLenBytes - JSON.stringify(record).length - 1;
    for (let piece = at, len = 0; len < wanted; piece++) {
      const text = pieces[piece % pieces.length];
      record.markdown += text;
      len += JSON.stringify(text).length - 2;
    }
    lines.push(JSON.stringify(record));
    lenBytes += lines.at(-1).length + 1;
  }
  return `${lines.join("\n")}\n`;
}

/** Nanoseconds of each function's best run, all taking turns. */
function bestOf(functions) {
  const best = functions.map(() => Infinity);
  const end = performance.now() + MEASURING_MILLIS;
  while (performance.now() < end) {
    for (const [at, run] of functions.entries()) {
      const began = performance.now();
      run();
      best[at] = Math.min(best[at], (performance.now() - began) * 1e6);
    }
  }
  return best;
}

function measure(native, wasm, text) {
  const body = Buffer.from(text);
  const lines = text.split("\n").slice(0, -1);
  const place = wasm.body(body.length);
  new Uint8Array(wasm.memory.buffer, place, body.length).set(body);
  if (wasm.take(1) !== lines.length) throw new Error("not every line was taken");
  let kept;
  const parse = () => {
    for (const line of lines) kept = JSON.parse(line);
  };
  const [parsed, ...inWasm] = bestOf([parse, ...STAGES.map((_, at) => () => wasm.take(at))]);
  const natively = execFileSync(native, { input: body, encoding: "utf8" }).trim().split(" ").map(Number);
  if (kept.ns === undefined) throw new Error("nothing was parsed");
  return { lenBytes: body.length, parsed, inWasm, natively };
}

const native = join(build(TARGET, []), "firn-bench-ndjson");
const wasmDir = build(join(TARGET, "workers"), ["--target", "wasm32-unknown-unknown"], wasmEnv());
const module = new WebAssembly.Module(readFileSync(join(wasmDir, "firn_bench_ndjson.wasm")));

const cell = (value, width) => String(value).padStart(width);
for (const [title, lineLenBytes, pieces] of [
  ["lines of 3.4 KB, Markdown", 3_400, MARKDOWN],
  ["lines of 300 bytes, Markdown", 300, MARKDOWN],
  ["lines of 3.4 KB, code with an escape every 6 bytes", 3_400, CODE],
]) {
  const { exports: wasm } = new WebAssembly.Instance(module);
  const { lenBytes, parsed, inWasm, natively } = measure(native, wasm, bodyOf(lineLenBytes, pieces));
  const speed = (nanos) => cell(Math.round((lenBytes / nanos) * 1e3), 10);
  const ratio = (nanos) => cell((parsed / nanos).toFixed(2), 14);
  console.log(`\n${title.padEnd(28)}\n${"".padEnd(24)}${cell("wasm MB/s", 10)}${cell("÷ JSON.parse", 14)}${cell("native MB/s", 14)}${cell("÷ JSON.parse", 14)}`);
  console.log(`${"JSON.parse a line".padEnd(24)}${speed(parsed)}${cell("1.00", 14)}`);
  for (const [at, stage] of STAGES.entries()) {
    console.log(`${stage.padEnd(24)}${speed(inWasm[at])}${ratio(inWasm[at])}    ${speed(natively[at])}${ratio(natively[at])}`);
  }
}
