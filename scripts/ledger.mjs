// Rebuilds or compares a ledger, or shows its figures, through the development origin. See scripts/ledger.
import { parseArgs } from "node:util";

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(2);
}

function given() {
  try {
    return parseArgs({ options: { origin: { type: "string", default: "http://localhost:8787" } }, allowPositionals: true });
  } catch (error) {
    return fail(error.message);
  }
}

const { values, positionals } = given();
const [work, ns, ...rest] = positionals;
if (!["rebuild", "compare", "status"].includes(work) || ns === undefined || rest.length > 0) fail("scripts/ledger rebuild|compare|status NS [--origin URL]");
const answer = await fetch(`${values.origin}/$.dev/ledger/${work}?ns=${encodeURIComponent(ns)}`, { method: "POST" }).catch((error) =>
  fail(`${values.origin}: ${error.cause?.message ?? error.message}`),
);
const text = await answer.text();
if (!answer.ok) fail(`${work} answered ${answer.status}: ${text}`);
const found = JSON.parse(text);
for (const { type, id, version, what } of found.differences ?? []) console.log(`${what}\t${type}\t${id}\t${version}`);
for (const { type, id, version } of found.parked ?? []) console.log(`parked\t${type}\t${id}\t${version}`);
delete found.differences;
delete found.parked;
console.error(Object.entries(found).map(([name, value]) => `${name} ${value}`).join(", "));
process.exit(found.differenceCount > 0 ? 1 : 0);
