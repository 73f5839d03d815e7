// A headless Chromium for tests: FIRN_CHROMIUM, the system's, or Debian's, which scripts/chromium unpacks below the cache.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const SCRIPT = fileURLToPath(new URL("chromium", import.meta.url));

let found;

/** `{ path }`, or `{ skip }` with the reason why there is none. */
export function findChromium() {
  if (found !== undefined) return found;
  try {
    found = { path: execFileSync(SCRIPT, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim() };
  } catch (error) {
    const reason = String(error.stderr ?? error.message).trim().split("\n").at(-1);
    found = { skip: `no Chromium: ${reason}` };
  }
  return found;
}

/** Starts it. */
export function launch() {
  // Its sandbox needs rights that a container often has not; the pages are our own.
  return chromium.launch({ executablePath: findChromium().path, args: ["--no-sandbox", "--disable-gpu"] });
}
