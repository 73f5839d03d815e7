// The TypeScript client for end-to-end tests: from its source, so that they do not depend on whether it was built before.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

/** The library as one ES module's text, which runs anywhere. */
export async function bundleSdk() {
  const entryPoints = [fileURLToPath(new URL("../../sdk-ts/src/index.ts", import.meta.url))];
  const { outputFiles } = await build({ entryPoints, bundle: true, format: "esm", target: "es2022", write: false });
  return outputFiles[0].text;
}

/** The library itself. */
export async function importSdk() {
  // From a file: a data URL would stand in every stack trace.
  const dir = mkdtempSync(join(tmpdir(), "firn-sdk-"));
  try {
    const file = join(dir, "sdk.mjs");
    writeFileSync(file, await bundleSdk());
    return await import(pathToFileURL(file).href);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
