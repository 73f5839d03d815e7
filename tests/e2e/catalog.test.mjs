// Table pointers from an Iceberg REST catalog: the lake Worker's own, behind a server that asks for a token, puts a
// prefix before its paths and misbehaves on demand.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { after, before, beforeEach, describe, test } from "node:test";
import { System, assertProblem, contentPath, logLineOf } from "./system.mjs";

const TOKEN = `catalog-${randomBytes(16).toString("hex")}`;
const PREFIX = "0192a5b2-7d0e-7c1c-9d55-1f1b9a7f0c3e";
const DEADLINE_MILLIS = 5_000;
const RECORD = { ns: "e2e.example", type: "page", id: "catalog/home", markdown: "# found by the catalog" };

/** A catalog in front of the lake Worker's; `fault(path)` may answer instead. */
class Catalog {
  static async start() {
    const catalog = new Catalog();
    catalog.server = http.createServer((request, response) => void catalog.#answer(request, response));
    catalog.server.listen(0, "127.0.0.1");
    await once(catalog.server, "listening");
    catalog.uri = `http://127.0.0.1:${catalog.server.address().port}/account/bucket`;
    return catalog;
  }

  /** The system whose tables it knows. */
  origin;
  fault = undefined;
  /** Paths below the URI that were asked for. */
  asked = [];
  /** How many connections are open, and have been at once. */
  open = 0;
  openMax = 0;

  reset() {
    this.fault = undefined;
    this.asked = [];
    this.openMax = 0;
  }

  async #answer(request, response) {
    const path = request.url.replace(/^\/account\/bucket/, "");
    this.asked.push(path);
    this.openMax = Math.max(this.openMax, ++this.open);
    response.once("close", () => {
      this.open--;
      this.server.emit("closed");
    });
    if (this.fault?.(path, response)) return;
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return reply(response, 401, errorModel("NotAuthorizedException", 401));
    if (path === "/v1/config?warehouse=account_bucket") return reply(response, 200, { defaults: { prefix: "other" }, overrides: { prefix: PREFIX } });
    if (!path.startsWith(`/v1/${PREFIX}/`)) return reply(response, 404, errorModel("NoSuchWarehouseException", 404));
    const answer = await fetch(`${this.origin}${path.replace(`/${PREFIX}`, "")}`);
    reply(response, answer.status, await answer.text());
  }

  /** Every connection was ended; the runner's own deadline ends this otherwise. */
  async idle() {
    while (this.open > 0) await once(this.server, "closed");
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

const errorModel = (type, code) => ({ error: { message: "secret detail", type, code } });

function reply(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
  return true;
}

const ofTable = (path) => path.includes("/tables/");
const ofConfig = (path) => path.startsWith("/v1/config");

describe("a REST catalog", () => {
  let catalog;
  let system;
  before(async () => {
    catalog = await Catalog.start();
    const FIRN_CATALOG_URI = catalog.uri;
    const vars = { FIRN_CATALOG_URI, FIRN_CATALOG_WAREHOUSE: "account_bucket", FIRN_CATALOG_TOKEN: TOKEN, FIRN_POINTER_HOLD_SECONDS: "3600", FIRN_LEDGER: "off" };
    system = await System.start({ vars: { "firn-serve": vars } });
    catalog.origin = system.origin;
    await system.publish([RECORD]);
    await system.flush();
  });
  beforeEach(async () => {
    catalog.reset();
    await forget();
  });
  after(async () => {
    await system.stop();
    catalog.stop();
  });

  const forget = (query = "?held=1") => system.request({ method: "POST", path: `/$.dev/forget${query}`, headers: { "Content-Length": "0" } });
  const read = (options) => system.get(`${contentPath(RECORD, ".md")}?fresh=true`, options);

  async function assertFound() {
    const answer = await read();
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.text, RECORD.markdown);
    return answer;
  }

  /** The problem, whose log line names the cause; neither says more than it may. */
  async function assertFails(status, code, cause) {
    const requestId = randomBytes(8).toString("hex");
    const answer = await read({ headers: { "X-Request-Id": requestId } });
    assertProblem(answer, status, code);
    assert.equal(answer.headers["retry-after"], code === "storage_unavailable" ? "2" : undefined);
    assert.doesNotMatch(answer.text, /secret|catalog-|127\.0\.0\.1|account|artifacts_/);
    const line = await logLineOf(requestId);
    assert.match(line.cause, cause);
    assert.doesNotMatch(line.cause, /catalog-[0-9a-f]/, "the token is not logged");
  }

  test("names the tables' metadata; its configuration and their pointers are held", async () => {
    const first = await assertFound();
    const tables = ["artifacts_preview", "artifacts_build", "artifacts_bulk"];
    assert.deepEqual(catalog.asked.toSorted(), ["/v1/config?warehouse=account_bucket", ...tables.map((table) => `/v1/${PREFIX}/namespaces/firn/tables/${table}?snapshots=refs`)].toSorted());
    // The cost is R2's alone: no pointer object is read, and no request to the catalog counted.
    assert.match(first.headers["x-firn-cost"], /^reads=[1-9]/);
    catalog.asked = [];
    await assertFound();
    assert.deepEqual(catalog.asked, []);
    await forget("");
    await assertFound();
    assert.equal(catalog.asked.filter(ofConfig).length, 0, "the configuration is held longer than pointers");
    assert.equal(catalog.asked.filter(ofTable).length, 3);
  });

  test("is asked instead of the bucket's pointer objects", async () => {
    const bucket = await system.bucket();
    const key = "catalog/firn/artifacts_build.json";
    const pointer = await (await bucket.get(key)).text();
    catalog.fault = (path, response) => ofTable(path) && path.includes("build") && reply(response, 200, pointer);
    await bucket.delete(key);
    try {
      await assertFound();
    } finally {
      await bucket.put(key, pointer);
    }
  });

  test("that knows a table no more has none", async () => {
    catalog.fault = (path, response) => ofTable(path) && reply(response, 404, errorModel("NoSuchTableException", 404));
    assertProblem(await read(), 404, "not_found");
  });

  for (const [what, at] of [["configuration", ofConfig], ["table", ofTable]]) {
    const answering = (status, body) => {
      catalog.fault = (path, response) => at(path) && reply(response, status, body);
    };

    test(`that refuses the token, at the ${what}`, async () => {
      for (const status of [401, 403]) {
        answering(status, errorModel("NotAuthorizedException", status));
        await assertFails(503, "configuration_invalid", new RegExp(`status ${status}`));
      }
    });

    test(`that answers 404 without being asked for a table it knows, at the ${what}`, async () => {
      answering(404, "<html>not found</html>");
      await assertFails(503, "configuration_invalid", /status 404/);
    });

    test(`that redirects, at the ${what}: the token does not follow`, async () => {
      catalog.fault = (path, response) => {
        if (!at(path)) return false;
        response.writeHead(307, { Location: `${catalog.uri}/elsewhere` });
        response.end();
        return true;
      };
      await assertFails(503, "configuration_invalid", /status 307/);
      assert.ok(!catalog.asked.includes("/elsewhere"));
    });

    for (const status of [429, 500, 503]) {
      test(`that answers ${status} for a while, at the ${what}, is asked again; for ever, given up`, async () => {
        let left = 2;
        catalog.fault = (path, response) => at(path) && left > 0 && (left--, reply(response, status, "{}"));
        await assertFound();
        await forget();
        left = Infinity;
        await assertFails(503, "storage_unavailable", new RegExp(`status ${status}`));
      });
    }

    test(`that answers garbage, at the ${what}`, async () => {
      for (const body of ["<html>welcome</html>", "{}", '{"metadata-location":null}', "\u0000\u0001", ""]) {
        answering(200, body);
        await assertFails(502, "storage_corrupt", /catalog: invalid answer/);
      }
    });

    test(`that answers without end, at the ${what}`, async () => {
      catalog.fault = (path, response) => {
        if (!at(path)) return false;
        response.writeHead(200, { "Content-Type": "application/json" });
        response.write("{");
        const endless = setInterval(() => response.write(" ".repeat(262_144)), 1);
        response.once("close", () => clearInterval(endless));
        return true;
      };
      await assertFails(502, "storage_corrupt", /bytes/);
    });

    test(`that breaks off, at the ${what}`, async () => {
      catalog.fault = (path, response) => at(path) && (response.writeHead(200, { "Content-Length": "1000" }), response.write("{"), setTimeout(() => response.destroy(), 20), true);
      await assertFails(503, "storage_unavailable", /catalog: unavailable/);
    });

    test(`that hangs, at the ${what}: the lookup ends in time, and its connections with it`, { timeout: 60_000 }, async () => {
      catalog.fault = at;
      const began = performance.now();
      await assertFails(503, "storage_unavailable", /longer than 5000 ms/);
      const took = performance.now() - began;
      assert.ok(took >= DEADLINE_MILLIS - 100, `the deadline is not waited out: ${took} ms`);
      await catalog.idle();
      assert.ok(catalog.openMax <= 6, `${catalog.openMax} connections`);
    });
  }

  test("that is slow is waited for", async () => {
    catalog.fault = (path, response) => ofTable(path) && (setTimeout(() => (catalog.fault = undefined, reply(response, 503, "{}")), 300), true);
    await assertFound();
  });
});
