// A page of another origin, in headless Chromium: it imports an ES module and a stylesheet straight from /$.content/, and
// the client reads with a token in it. Its picture is left in .firn/page.png.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import http from "node:http";
import { dirname } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { findChromium, launch } from "../../scripts/chromium.mjs";
import { bundleSdk, importSdk } from "./sdk.mjs";
import { System, token } from "./system.mjs";

const NS = "e2e.example";
const PICTURE = fileURLToPath(new URL("../../.firn/page.png", import.meta.url));
const { skip } = findChromium();

let system;
let pages;
let origin;
const files = new Map();
before(async () => {
  if (skip) return;
  pages = http.createServer((request, response) => {
    const [type, body] = files.get(request.url) ?? [];
    response.writeHead(body === undefined ? 404 : 200, { "Content-Type": type ?? "text/plain" }).end(body);
  });
  pages.listen(0, "127.0.0.1");
  await once(pages, "listening");
  // Another origin than the system's: another port.
  origin = `http://localhost:${pages.address().port}`;
  system = await System.start({ tenants: { [NS]: { cors_origins: [origin], requests_per_minute: 60_000 } } });
});
after(async () => {
  pages?.close();
  await system?.stop();
});

const record = (id, more) => ({ ns: NS, type: "web", id, ...more });

/** The page: an import map, a stylesheet and a module, all of them artifacts. */
function page(firn) {
  const url = (id, ext) => firn.url({ ns: NS, type: "web", id, ext });
  const imports = JSON.stringify({ imports: { greeting: url("greeting", "js"), "@firn/sdk": "/sdk.js" } });
  return `<!doctype html><meta charset="utf-8"><title>Firn</title>
<link rel="stylesheet" href="${url("look", "css")}">
<script type="importmap">${imports}</script>
<main><h1 id="greeting"></h1><p id="read"></p></main>
<script type="module">
import { greet } from "greeting";
import { Firn } from "@firn/sdk";
document.querySelector("#greeting").textContent = greet("Zoë");
const firn = new Firn({ baseUrl: ${JSON.stringify(system.origin)}, token: ${JSON.stringify(token())} });
const { body, version } = await firn.get(${JSON.stringify({ ns: NS, type: "web", id: "mine", ext: "md" })});
document.querySelector("#read").textContent = body + " " + /^\\d+$/.test(version);
document.body.dataset.done = "yes";
</script>`;
}

test("a page of another origin imports a module and a stylesheet from Firn, and the client reads in it with a token", { skip }, async (context) => {
  files.set("/sdk.js", ["text/javascript", await bundleSdk()]);
  const { Firn } = await importSdk();
  const firn = new Firn({ baseUrl: system.origin, token: token() });
  await firn.publish([
    record("greeting", { esm: "import { name } from './lib/name.js';\nexport const greet = (who) => `Hello ${who}, from ${name}`;\n" }),
    record("lib/name", { esm: "export const name = 'Firn';\n" }),
    record("mine", { markdown: "# for its owner", visibility: "user" }),
    record("look", { css: "body { background: rgb(10, 60, 90); color: white; font: 20px sans-serif; padding: 40px } h1 { letter-spacing: 2px }\n" }),
  ]);
  files.set("/", ["text/html", page(firn)]);

  const browser = await launch();
  try {
    const tab = await browser.newPage({ viewport: { width: 800, height: 300 } });
    const problems = [];
    tab.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    tab.on("pageerror", (error) => problems.push(String(error)));
    await tab.goto(origin);
    await tab.waitForSelector("body[data-done]", { timeout: 20_000 }).catch(() => undefined);
    assert.deepEqual(problems, []);
    assert.equal(await tab.textContent("#greeting"), "Hello Zoë, from Firn");
    assert.equal(await tab.textContent("#read"), "# for its owner true");
    assert.equal(await tab.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(10, 60, 90)");
    mkdirSync(dirname(PICTURE), { recursive: true });
    await tab.screenshot({ path: PICTURE });
    context.diagnostic(`picture: ${PICTURE}`);
  } finally {
    await browser.close();
  }
});
