// The TypeScript client for end-to-end tests: from its source, so that they do not depend on whether it was built before.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** The library as one ES module's text, which runs anywhere. */
export async function bundleSdk() {
  const entryPoints = [fileURLToPath(new URL("../../sdk-ts/src/index.ts", import.meta.url))];
  const { outputFiles } = await build({ entryPoints, bundle: true, format: "esm", target: "es2022", write: false });
  return outputFiles[0].text;
}

/** The library itself. */
export const importSdk = async () => import(`data:text/javascript;base64,${Buffer.from(await bundleSdk()).toString("base64")}`);
