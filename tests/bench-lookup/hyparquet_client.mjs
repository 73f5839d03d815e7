// JavaScript's side of the comparison: a lookup for every line on standard input, its answer as a line on standard output.
//
//   node hyparquet_client.mjs ORIGIN BUCKET
//
// A line is JSON, `{held, table, key}`: a state, the location of a table's metadata, the key's columns. `nothing` reads all
// anew, `manifests` keeps metadata and manifests of the lookups before, `footers` the tails of data files too.
//
// icebird 0.3 reads tables, it does not look things up: `icebergRead` opens every manifest, then every row of every data
// file, one file after the other. So its decoders are used here (metadata, Avro) and hyparquet's filters (statistics, page
// index, offset index), joined as somebody would who wants few reads: manifests and files are pruned, the tail of a file
// is read once and serves footer and page index, content is read of the winner alone, six requests are under way at once.
import { createHash } from "node:crypto";
import { basename, dirname } from "node:path/posix";
import { createInterface } from "node:readline";

import { parquetMetadataAsync, parquetReadObjects, rowIndex } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { avroMetadata, avroRead, icebergMetadata } from "icebird";

const [origin, bucket] = process.argv.slice(2);

const RIGHTS = ["version", "visibility", "owner_iss", "owner_org", "owner_sub", "deleted", "expires_at", "ts"];
const ANSWERED = ["visibility", "owner_iss", "owner_org", "owner_sub"];
const CONNECTIONS_MAX = 6;

// The sizes by which Firn guesses a tail; hyparquet's own first read is 512 KiB.
const tailLength = (size) => (size <= 24_576 ? size : Math.min(10_240 + Math.floor(size / 512), 65_536));

let running = 0;
const waiting = [];

async function get(location, headers) {
  if (running >= CONNECTIONS_MAX) await new Promise((go) => waiting.push(go));
  running += 1;
  try {
    const response = await fetch(urlOf(location), { headers });
    if (!response.ok) throw new Error(`${location}: ${response.status}`);
    return await response.arrayBuffer();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

const urlOf = (location) => location.replace(`s3://${bucket}/`, `${origin}/${bucket}/`);

async function readAvro(location) {
  const reader = { view: new DataView(await get(location)), offset: 0 };
  return avroRead({ reader, ...avroMetadata(reader) });
}

/** What of a file is read in lookups, by kind; a state says which kinds stay from one to the next. */
class Held {
  metadata = new Map();
  manifests = new Map();
  footers = new Map();

  forget(held) {
    this.footers = held === "footers" ? this.footers : new Map();
    if (held === "nothing") [this.metadata, this.manifests] = [new Map(), new Map()];
  }
}

async function once(map, key, make) {
  if (!map.has(key)) map.set(key, await make());
  return map.get(key);
}

async function dataFiles(table, key, held) {
  const [tableUrl, metadataFileName] = [urlOf(dirname(dirname(table))), basename(table)];
  const metadata = await once(held.metadata, table, () => icebergMetadata({ tableUrl, metadataFileName }));
  const current = metadata.snapshots.find((snapshot) => snapshot["snapshot-id"] === metadata["current-snapshot-id"]);
  const schema = metadata.schemas.find((candidate) => candidate["schema-id"] === metadata["current-schema-id"]);
  const wanted = new Map(schema.fields.filter(({ name }) => name in key).map(({ id, name }) => [id, Buffer.from(key[name])]));
  const list = await once(held.manifests, current["manifest-list"], () => readAvro(current["manifest-list"]));
  const specs = new Map(metadata["partition-specs"].map((spec) => [spec["spec-id"], spec.fields]));
  const survivors = list.filter((manifest) => mightHoldManifest(manifest, specs.get(manifest.partition_spec_id), wanted));
  const read = ({ manifest_path: path }) => once(held.manifests, path, () => readAvro(path));
  const entries = (await Promise.all(survivors.map(read))).flat().filter(({ status }) => status !== 2);
  if (entries.some(({ data_file: file }) => file.content)) throw new Error("delete files are not read here");
  return entries.map((entry) => entry.data_file).filter((file) => mightHoldFile(file, wanted));
}

const isBetween = (value, lower, upper) => (!lower || value.compare(lower) >= 0) && (!upper || value.compare(upper) <= 0);

function mightHoldManifest(manifest, fields, wanted) {
  return (manifest.partitions ?? []).every(({ lower_bound: lower, upper_bound: upper }, idx) => {
    const value = fields[idx].transform === "identity" && wanted.get(fields[idx]["source-id"]);
    return !value || isBetween(value, lower, upper);
  });
}

function mightHoldFile(file, wanted) {
  const boundOf = (bounds, id) => bounds?.find((bound) => Number(bound.key) === id)?.value;
  return [...wanted].every(([id, value]) => isBetween(value, boundOf(file.lower_bounds, id), boundOf(file.upper_bounds, id)));
}

/** A file whose tail is read once and then at hand. */
async function openFile({ file_path: location, file_size_in_bytes: stated }, held) {
  const byteLength = Number(stated);
  const tail = tailLength(byteLength);
  const ranged = (start, end) => get(location, { Range: `bytes=${start}-${end - 1}` });
  const known = await once(held.footers, location, async () => {
    const bytes = await ranged(byteLength - tail, byteLength);
    return { bytes, metadata: undefined };
  });
  const slice = async (start, end = byteLength) => {
    const at = start - (byteLength - tail);
    return at >= 0 ? known.bytes.slice(at, at + end - start) : ranged(start, end);
  };
  const file = { byteLength, slice };
  known.metadata ??= await parquetMetadataAsync(file, { initialFetchSize: tail });
  return { file, metadata: known.metadata };
}

async function find(table, key, held) {
  const filter = Object.fromEntries(Object.entries(key).map(([name, value]) => [name, { $eq: value }]));
  const files = await dataFiles(table, key, held);
  const found = await Promise.all(files.map(async (dataFile) => {
    const opened = { ...(await openFile(dataFile, held)), compressors };
    const options = { filter, columns: RIGHTS, useOffsetIndex: true, usePageIndex: true, includeRowIndex: true };
    const rows = await parquetReadObjects({ ...opened, ...options });
    return rows.map((row) => ({ opened, row }));
  }));
  const [winner] = found.flat().sort((a, b) => (a.row.version < b.row.version ? 1 : -1));
  if (!winner) return undefined;
  const position = winner.row[rowIndex];
  const content = { columns: ["markdown"], rowStart: position, rowEnd: position + 1, useOffsetIndex: true };
  const [{ markdown }] = await parquetReadObjects({ ...winner.opened, ...content });
  return { ...winner.row, markdown };
}

const held = new Held();
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  held.forget(asked.held);
  const began = performance.now();
  const row = await find(asked.table, asked.key, held);
  const millis = performance.now() - began;
  const sha256 = row && createHash("sha256").update(row.markdown).digest("hex");
  const rights = row && Object.fromEntries(ANSWERED.map((name) => [name, row[name] ?? null]));
  process.stdout.write(`${JSON.stringify({ millis, row: row ? { version: String(row.version), sha256, ...rights } : null })}\n`);
}
