// Size of the TypeScript client beside that of others: all that a page loads which imports the client and calls it,
// minified by esbuild, gzip -9. The others are fetched from npm into the cache, at the versions named here.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { ROOT } from "../runtime.mjs";

const OTHERS = {
  "@supabase/storage-js": ["2.119.0", "import { StorageClient } from '@supabase/storage-js'; console.log(new StorageClient('https://a.example', {}))"],
  cloudflare: ["7.3.0", "import Cloudflare from 'cloudflare'; console.log(new Cloudflare({ apiToken: 'x' }))"],
  openai: ["7.55.0", "import OpenAI from 'openai'; console.log(new OpenAI({ apiKey: 'x', dangerouslyAllowBrowser: true }))"],
  stripe: ["23.1.0", "import Stripe from 'stripe'; console.log(new Stripe('x'))"],
  "@aws-sdk/client-s3": ["3.1169.0", "import { S3Client, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'; console.log(new S3Client({}), GetObjectCommand, PutObjectCommand)"],
};

const cache = process.env.FIRN_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "firn");
const dir = join(cache, "sdk-size");
mkdirSync(dir, { recursive: true });
const dependencies = Object.fromEntries(Object.entries(OTHERS).map(([name, [version]]) => [name, version]));
writeFileSync(join(dir, "package.json"), JSON.stringify({ private: true, dependencies }));
if (!Object.keys(OTHERS).every((name) => existsSync(join(dir, "node_modules", name)))) {
  execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: dir, stdio: "inherit" });
}

async function measure(contents, resolveDir) {
  const options = { bundle: true, minify: true, format: "esm", platform: "browser", target: "es2022", write: false, logLevel: "error" };
  const { outputFiles } = await build({ ...options, stdin: { contents, resolveDir } });
  const [{ contents: code }] = outputFiles;
  return [code.byteLength, gzipSync(code, { level: 9 }).byteLength];
}

const row = (name, version, [raw, packed]) => console.log(`${name.padEnd(24)} ${version.padEnd(10)} ${String(raw).padStart(9)} ${String(packed).padStart(9)}`);
console.log(`${"client".padEnd(24)} ${"version".padEnd(10)} ${"minified".padStart(9)} ${"gzip".padStart(9)}`);
const own = "import { Firn } from './sdk-ts/src/index.ts'; console.log(new Firn({ baseUrl: 'https://a.example' }))";
row("@firn/sdk", "", await measure(own, ROOT));
row("@firn/sdk, all of it", "", await measure("export * from './sdk-ts/src/index.ts'", ROOT));
for (const [name, [version, contents]] of Object.entries(OTHERS)) row(name, version, await measure(contents, dir));
