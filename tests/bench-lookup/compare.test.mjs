// The comparison in small and without latency: every reader gives the rows that were written, and what Firn asks for is
// counted. FIRN_PYTHON has PyIceberg, FIRN_NATIVE is the folder of the native tools.
import { deepStrictEqual, ok } from "node:assert";
import test from "node:test";

import { compare, render } from "./compare.mjs";
import { longestChain } from "./range-server.mjs";

const { FIRN_PYTHON: python, FIRN_NATIVE: native } = process.env;

/** Requests and waves of each state, in the order of the states. */
const EXPECTED = {
  // A read at a place knows no manifest, and so not how long the footer is.
  default: [[9, 6], [3, 3], [1, 1], [1, 1], [4, 3], [1, 1], [1, 1]],
  indexed: [[9, 6], [3, 3], [2, 2], [1, 1], [3, 2], [2, 1], [1, 1]],
  manifests: [[9, 6], [3, 3], [2, 2], [1, 1], [3, 2], [2, 1], [1, 1]],
  "unsorted, 3": [[12, 6], [7, 3], [1, 1], [1, 1], [3, 2], [1, 1], [1, 1]],
};

test("every reader finds the rows, Firn with as few requests as it should", async () => {
  const latencies = [0];
  const options = { python, native, latencies, fileCounts: [3], lookups: 2, namespaces: 3, batches: 4, rowsPerFile: 600 };
  const result = await compare(options);
  const rowsOf = (reader) => result.measured.filter((row) => row.reader === reader);
  const costs = Object.groupBy(rowsOf("firn"), ({ table }) => table);
  const asked = Object.entries(costs).map(([table, rows]) => [table, rows.map((row) => [row.requests, row.plannedWaves])]);
  deepStrictEqual(Object.fromEntries(asked), EXPECTED, render(result, latencies));
  ok(rowsOf("firn").every(({ heads }) => heads === 0));
  // 12 manifests, of which those of one namespace survive the list.
  const opened = costs.manifests.map(({ manifests }) => manifests);
  deepStrictEqual(opened, [4, 0, 0, 0, 0, 0, 0]);
  ok(rowsOf("pyiceberg").length === 8 && rowsOf("javascript").length === 12);
});

test("waves are the longest chain of requests that do not overlap", () => {
  const chain = (...pairs) => longestChain(pairs.map(([began, ended]) => ({ began, ended })));
  deepStrictEqual(chain(), 0);
  deepStrictEqual(chain([0, 9], [1, 5], [2, 8]), 1);
  deepStrictEqual(chain([0, 9], [1, 5], [6, 8]), 2);
  deepStrictEqual(chain([0, 2], [1, 4], [3, 5], [4, 6], [6, 7]), 3);
  deepStrictEqual(chain([0, 100], [1, 2], [3, 4], [5, 6]), 3);
});
