// The storage of scripts/benches/serve.mjs: node storage-process.mjs FOLDER, forked. Says its ports, and on any message how
// often R2 was read since the last.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { startCache, startKv, startR2 } from "../storage.mjs";

const [folder] = process.argv.slice(2);
const objects = new Map(readdirSync(folder).map((name) => [decodeURIComponent(name), readFileSync(join(folder, name))]));
let reads = 0;
const [r2, cache, kv] = await Promise.all([startR2(objects, () => (reads += 1)), startCache(), startKv()]);
process.on("message", () => {
  process.send({ reads });
  reads = 0;
});
process.on("disconnect", () => process.exit());
process.send({ r2: r2.port, cache: cache.port, kv: kv.port });
