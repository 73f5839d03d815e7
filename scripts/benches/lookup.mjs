// Point lookups: side by side with other readers of Iceberg tables (tests/bench-lookup/compare.mjs), then through the
// Worker that serves them (tests/bench-lookup/in-worker.mjs).
//
// FIRN_BENCH_LATENCIES (0,30): milliseconds that a request takes. FIRN_BENCH_LOOKUPS (5) of a case. FIRN_BENCH_FILES
// (1,10,100,1000) of the lake Worker's own tables. FIRN_BENCH_NAMESPACES (50), of which each has four files in the others.
// FIRN_BENCH_PARTS (readers,worker).
import { compare, render } from "../../tests/bench-lookup/compare.mjs";
import { inWorker } from "../../tests/bench-lookup/in-worker.mjs";

/** Publishing through the Workers takes a tenth of a second a file. */

const { env } = process;
const numbers = (text) => text.split(",").map(Number);
const latencies = numbers(env.FIRN_BENCH_LATENCIES ?? "0,30");
const fileCounts = numbers(env.FIRN_BENCH_FILES ?? "1,10,100,1000");
const parts = (env.FIRN_BENCH_PARTS ?? "readers,worker").split(",");

if (parts.includes("readers")) {
  const options = {
    python: env.FIRN_PYTHON,
    native: env.FIRN_NATIVE,
    latencies,
    fileCounts,
    lookups: Number(env.FIRN_BENCH_LOOKUPS ?? 5),
    namespaces: Number(env.FIRN_BENCH_NAMESPACES ?? 50),
    batches: 4,
    rowsPerFile: 600,
    say: (text) => console.error(text),
  };
  console.log(render(await compare(options), latencies));
}
if (parts.includes("worker")) {
  console.log();
  await inWorker({ fileCounts });
}
