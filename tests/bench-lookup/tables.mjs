// Makes the tables of the comparison in a folder, which then is the bucket.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));

export const BUCKET = "firn-lake";

/** Rows of a file of the lake Worker: what a small publication flushes. */
const ROWS_PER_LAKE_FILE = 50;
const CONTENT_LEN_BYTES = 3_000;

async function run(command, args, input) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const parts = [];
  child.stdout.on("data", (part) => parts.push(part));
  // A child that ends early closes the pipe; its exit status tells.
  child.stdin.on("error", () => {});
  const ended = once(child, "close");
  for (const part of input ?? []) if (!child.stdin.write(part)) await Promise.race([once(child.stdin, "drain"), ended]);
  child.stdin.end();
  const [status] = await ended;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${status}`);
  return Buffer.concat(parts).toString();
}

/** Tables that PyIceberg wrote, and rows that they hold. */
export async function foreignTables(folder, { python, namespaces, batches, rowsPerFile }) {
  const numbers = [namespaces, batches, rowsPerFile].map(String);
  return JSON.parse(await run(python, [join(HERE, "tables.py"), folder, ...numbers]));
}

/** A table as the lake Worker writes it: a flush a file, ids of every file spread over the whole range, no order. */
export async function lakeTable(folder, { native, fileCount }) {
  const args = [folder, `files_${fileCount}`, "--commits", String(fileCount), "--root", `s3://${BUCKET}`];
  const printed = await run(join(native, "examples", "write_table"), args, lakeRows(fileCount));
  const count = Math.min(fileCount, 4);
  const fileIdxs = Array.from({ length: 8 }, (_, idx) => Math.floor((idx % count) * (fileCount / count)));
  const rows = fileIdxs.map((fileIdx, idx) => sample(fileIdx, (idx * 19 + 3) % ROWS_PER_LAKE_FILE));
  return { table: printed.trim().split("\n").at(-1), rows };
}

function* lakeRows(fileCount) {
  for (let fileIdx = 0; fileIdx < fileCount; fileIdx++) {
    const rows = Array.from({ length: ROWS_PER_LAKE_FILE }, (_, row) => JSON.stringify(lakeRow(fileIdx, row)));
    yield `${rows.join("\n")}\n`;
  }
}

const keyOf = (fileIdx, row) => {
  // 37 and 50 have no common divisor: every number once, in no order.
  const number = String((row * 37) % ROWS_PER_LAKE_FILE).padStart(4, "0");
  return { ns: "bench.example", type: "page", id: `guide/${number}-${fileIdx}` };
};

function lakeRow(fileIdx, row) {
  const markdown = content(fileIdx, row);
  return {
    ...keyOf(fileIdx, row), version: versionOf(fileIdx, row), visibility: "public", owner_iss: "https://issuer.example",
    owner_org: "org", owner_sub: `user-${row % 7}`, ts: "2026-11-20T10:00:00Z", hash: sha256(`${fileIdx} ${row}`),
    size_bytes: markdown.length, mode: "build", ingest_id: `run-${fileIdx}`, markdown,
  };
}

const versionOf = (fileIdx, row) => 1_780_000_000_000_000 + fileIdx * ROWS_PER_LAKE_FILE + row;
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** Text that a codec makes about a third of. */
function content(fileIdx, row) {
  let state = fileIdx * ROWS_PER_LAKE_FILE + row + 1;
  const words = [`# ${fileIdx} ${row}\n\n`];
  for (let len = 0; len < CONTENT_LEN_BYTES; len += 6) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words.push(VOCABULARY[state >>> 21]);
  }
  return words.join(" ");
}

const VOCABULARY = Array.from({ length: 2_048 }, (_, idx) => sha256(String(idx)).slice(0, 3 + (idx % 5)));

/** A row, and others of its file: one that lies elsewhere, one beside it. */
function sample(fileIdx, row) {
  const [far, beside] = [(row + 25) % ROWS_PER_LAKE_FILE, row ^ 1];
  return {
    key: keyOf(fileIdx, row), far: keyOf(fileIdx, far), beside: keyOf(fileIdx, beside),
    version: String(versionOf(fileIdx, row)), sha256: sha256(content(fileIdx, row)),
  };
}
