// Point lookups side by side: Firn, PyIceberg, and icebird with hyparquet, over the same tables on the same server, which
// counts (range-server.mjs). Answers must be the same, or the comparison fails.
import { deepStrictEqual } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { startClients } from "./clients.mjs";
import { serveFolder } from "./range-server.mjs";
import { BUCKET, foreignTables, lakeTable } from "./tables.mjs";

/** Below it requests of one wave may miss each other on the server, so that waves would be counted too high. */
export const LATENCY_MILLIS_TO_SEE_WAVES = 10;

/** From so many files on, a lookup with manifests held costs what a cold one does: thousands of reads of data files. */
const FILES_TO_SKIP_MANIFESTS_HELD = 1_000;

/** Lookups of a case at most, where a lookup reads that many files: those of unsorted tables take seconds. */
const LOOKUPS_MAX_OF_FILES = [[1_000, 1], [100, 2]];

/**
 * What is held when a lookup begins, for each reader; a reader without an entry has no such state.
 * `before`: which lookups go before, each with nothing held: of the row itself, of one of its file that has other key
 * pages, of one that has the same. A row is read at its place only after it was found.
 */
const STATES = [
  { name: "cold", how: "find", before: [], firn: "nothing", pyiceberg: "nothing", javascript: "nothing" },
  { name: "manifests held", how: "find", before: ["far"], firn: "manifests", pyiceberg: "metadata", javascript: "manifests" },
  { name: "footer held", how: "find", before: ["far"], firn: "footers", javascript: "footers" },
  { name: "key pages held", how: "find", before: ["beside"], firn: "footers" },
  { name: "read_at, cold", how: "read_at", before: ["key"], firn: "nothing" },
  { name: "read_at, footer held", how: "read_at", before: ["key", "far"], firn: "footers" },
  { name: "read_at, key pages held", how: "read_at", before: ["key", "beside"], firn: "footers" },
];

const KB = 1_000;
const PAGE_INDEXED_COLD = { waves: 6, requests: 9, lenBytes: 110 * KB };
const PAGE_INDEXED = {
  "manifests held": { waves: 3, requests: 3, lenBytes: 25 * KB },
  "footer held": { waves: 2, requests: 2, lenBytes: 10 * KB },
  "read_at, cold": { waves: 2, requests: 2, lenBytes: 25 * KB },
  "read_at, footer held": { requests: 1 },
  "read_at, key pages held": { requests: 1 },
};

/** What Firn must not exceed, by table and state. */
const GOALS = {
  default: { cold: { waves: 6, lenBytes: 1_200 * KB } },
  indexed: { cold: PAGE_INDEXED_COLD, ...PAGE_INDEXED },
  manifests: { cold: { ...PAGE_INDEXED_COLD, manifests: 4 }, ...PAGE_INDEXED },
};

const METRICS = ["requests", "heads", "waves", "lenBytes", "manifests", "plannedWaves"];

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Makes tables, runs every case, resolves to rows of a table and what there is to say of them. */
export async function compare({ python, native, latencies, fileCounts, lookups, namespaces, batches, rowsPerFile, say = () => {} }) {
  const folder = mkdtempSync(join(tmpdir(), "firn-bench-"));
  const server = await serveFolder(folder, BUCKET);
  let clients;
  try {
    say("tables …");
    const cases = await makeCases(folder, { python, native, fileCounts, namespaces, batches, rowsPerFile });
    clients = startClients({ origin: server.origin, bucket: BUCKET, folder, python, native });
    const measured = [];
    for (const table of cases) {
      say(`${table.name} …`);
      const keep = LOOKUPS_MAX_OF_FILES.find(([files]) => table.unsortedFiles >= files)?.[1] ?? lookups;
      const rows = table.rows.slice(0, Math.min(lookups, keep));
      if (!table.unsortedFiles) measured.push(await floorOf(clients.firn, table, rows));
      const isCase = (state) => state.name !== "manifests held" || !(table.unsortedFiles >= FILES_TO_SKIP_MANIFESTS_HELD);
      for (const state of STATES.filter(isCase)) {
        for (const reader of Object.keys(clients).filter((reader) => state[reader])) {
          const cost = await measure(server, clients[reader], { state, held: state[reader], table, rows, latencies });
          measured.push({ table: table.name, state: state.name, reader, client: clients[reader].name, ...cost });
        }
      }
    }
    return judge(measured);
  } finally {
    await Promise.all(Object.values(clients ?? {}).map((client) => client.close()));
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function makeCases(folder, { python, native, fileCounts, namespaces, batches, rowsPerFile }) {
  const foreign = foreignTables(folder, { python, namespaces, batches, rowsPerFile });
  const lakes = [];
  for (const fileCount of fileCounts) {
    lakes.push({ name: `unsorted, ${fileCount}`, unsortedFiles: fileCount, ...(await lakeTable(folder, { native, fileCount })) });
  }
  const { tables, rows } = await foreign;
  return [...Object.entries(tables).map(([name, table]) => ({ name, table, rows })), ...lakes];
}

/** The medians of what the lookups of `rows` cost; of times at every latency, of the rest at the highest. */
async function measure(server, client, { state, held, table, rows, latencies }) {
  const millis = {};
  let counted;
  for (const latency of latencies) {
    const [times, counts] = [[], []];
    for (const row of rows) {
      server.setLatency(0);
      const prepare = (which) => client.ask({ how: "find", held: "nothing", table: table.table, key: row[which] });
      for (const which of state.before) await prepare(which);
      server.setLatency(latency);
      server.take();
      const answer = await client.ask({ how: state.how, held, table: table.table, key: row.key });
      counts.push({ ...server.take(), plannedWaves: answer.plannedWaves });
      times.push(answer.millis);
      check(answer, row, { client: client.name, table: table.name, state: state.name });
    }
    millis[latency] = median(times);
    counted = Object.fromEntries(METRICS.map((name) => [name, median(counts.map((count) => count[name]))]));
    if (latency < LATENCY_MILLIS_TO_SEE_WAVES) counted.waves = undefined;
  }
  return { ...counted, millis };
}

/** What a lookup with nothing held cannot do without. */
async function floorOf(client, table, rows) {
  const floors = [];
  for (const { key } of rows) {
    await client.ask({ how: "find", held: "nothing", table: table.table, key });
    floors.push(await client.ask({ how: "floor", table: table.table, key }));
  }
  const at = (name) => median(floors.map((floor) => floor[name]));
  return { table: table.name, state: "cold", client: "floor", requests: at("requests"), waves: at("waves"), lenBytes: at("lenBytes") };
}

/** The row must be the one that was written, and every reader must say the same of it. */
function check({ row }, expected, where) {
  const at = `${where.client} in ${where.table}, ${where.state}: ${JSON.stringify(expected.key)}`;
  deepStrictEqual({ version: row?.version, sha256: row?.sha256 }, { version: expected.version, sha256: expected.sha256 }, at);
  expected.answer ??= row;
  deepStrictEqual(row, expected.answer, at);
}

/** Adds to every measurement its ratio to Firn's and how it stands to the goal; says where Firn is not the best. */
function judge(measured) {
  const firnOf = ({ table, state }) => measured.find((row) => row.table === table && row.state === state && row.reader === "firn");
  const beaten = [];
  for (const row of measured) {
    const firn = firnOf(row);
    if (!row.reader) continue;
    row.ratio = Object.fromEntries(Object.entries(row.millis).map(([latency, millis]) => [latency, millis / firn.millis[latency]]));
    if (row.reader === "firn") row.goal = goalOf(row, measured);
    for (const [latency, ratio] of Object.entries(row.ratio)) {
      if (ratio < 1) beaten.push(`${row.table}, ${row.state}: ${row.client} takes ${ratio.toFixed(2)} of its time at ${latency} ms a request`);
    }
    for (const name of ["requests", "waves", "lenBytes"]) {
      if (row[name] < firn[name]) beaten.push(`${row.table}, ${row.state}: ${row.client} has ${row[name]} ${name}, Firn ${firn[name]}`);
    }
  }
  const missed = measured.filter(({ goal }) => goal?.startsWith("miss")).map(({ table, state, goal }) => `${table}, ${state}: ${goal}`);
  return { measured, beaten, missed };
}

function goalOf(row, measured) {
  const goal = { heads: 0, ...GOALS[row.table]?.[row.state] };
  const over = Object.entries(goal).filter(([name, limit]) => row[name] > limit);
  if (over.length === 0) return GOALS[row.table]?.[row.state] ? "ok" : "";
  const floor = row.state === "cold" && measured.find((of) => of.table === row.table && of.client === "floor");
  const tell = ([name, limit]) => `${name} ${row[name]} > ${limit}${floor?.[name] > limit ? `, floor ${floor[name]}` : ""}`;
  return `miss: ${over.map(tell).join("; ")}`;
}

/** The comparison as text, a line a measurement. */
export function render({ measured, beaten, missed }, latencies) {
  const head = ["table", "state", "reader", "requests", "HEAD", "manifests", "waves", "KB", ...latencies.flatMap((l) => [`ms at ${l}`, "÷ Firn"]), "goal"];
  const number = (value, digits = 0) => (value === undefined ? "" : value.toFixed(digits));
  const lines = measured.map((row) => [
    row.table, row.state, row.client, number(row.requests), number(row.heads), number(row.manifests), number(row.waves), number(row.lenBytes / KB, 1),
    ...latencies.flatMap((latency) => [number(row.millis?.[latency], 1), number(row.ratio?.[latency], 2)]), row.goal ?? "",
  ]);
  const widths = head.map((title, idx) => Math.max(title.length, ...lines.map((line) => line[idx].length)));
  const isText = (idx) => idx < 3 || idx === head.length - 1;
  const draw = (line) => line.map((cell, idx) => (isText(idx) ? cell.padEnd(widths[idx]) : cell.padStart(widths[idx]))).join("  ").trimEnd();
  const list = (title, items) => (items.length === 0 ? [`${title}: nowhere`] : [`${title}:`, ...items.map((item) => `  ${item}`)]);
  return [draw(head), ...lines.map(draw), ...list("Firn is beaten", beaten), ...list("Firn misses its goal", missed)].join("\n");
}
