// POST /$.artifacts (design.md §3): every status and code, every line error, and that an answer tells the truth about
// what is in the tables afterwards.
import assert from "node:assert/strict";
import { createHash, createHmac, createSign, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { after, before, describe, test } from "node:test";
import { AUDIENCE, INGEST, ISSUER, NDJSON, System, assertProblem, contentPath, inParallel, logLineOf, logLines, ndjson, poll, token } from "./system.mjs";

const NS = "e2e.example";
const RECORD_LEN_BYTES_MAX = 1_900_000;
const BODY_LEN_BYTES_MAX = 10 * 1024 * 1024;
const RECORD_COUNT_MAX = 1_000;
/** Longest body of any namespace, until it is known which. */
const CEILING_LEN_BYTES = 100_000_000;
const METADATA_LEN_BYTES_MAX = 16 * 1024;
const DEPTH_MAX = 128;

let system;
before(async () => {
  const busy = { requests_per_minute: 60_000 };
  system = await System.start({ tenants: { "a.example": busy, "b.example": busy } });
});
after(() => system.stop());

let made = 0;
/** A valid record of a key that no other record has. */
const record = (more = {}) => ({ ns: NS, type: "page", id: `r${++made}`, markdown: `# ${made}`, ...more });
const now = () => Math.floor(Date.now() / 1000);

/** Runs `work`, and gives how many rows the tables then hold more. */
async function rowsAddedBy(work) {
  const held = await system.rowCount();
  const result = await work();
  return { result, added: (await system.rowCount()) - held };
}

/** Which of these records can be read. */
async function readable(records) {
  const found = await Promise.all(records.map(async (record) => [record.id, (await system.get(contentPath(record, ".artifact.json"))).status]));
  for (const [id, status] of found) assert.ok([200, 404].includes(status), `${id} answers ${status}`);
  return found.filter(([, status]) => status === 200).map(([id]) => id);
}

describe("refusals of a head", () => {
  const b64 = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
  const tampered = () => {
    const [header, , signature] = token().split(".");
    return `${header}.${b64({ iss: ISSUER, aud: AUDIENCE, exp: now() + 3600, ns: ["other.example"], scope: "artifacts:write" })}.${signature}`;
  };
  const unsigned = (alg) => `${b64({ alg, typ: "JWT" })}.${token().split(".")[1]}.`;
  const selfSigned = (alg) => {
    const signed = `${b64({ alg, typ: "JWT" })}.${token().split(".")[1]}`;
    return `${signed}.${createHmac("sha256", "").update(signed).digest("base64url")}`;
  };

  const unauthorized = [
    ["no token", null, /no Authorization/],
    ["text that is no token", "abc", /three parts/],
    ["a token of two parts", "a.b", /three parts/],
    ["a token of four parts", `${token()}.x`, /three parts/],
    ["a token of 8 KiB + 1", `${token()}${"A".repeat(8 * 1024)}`, /at most 8192/],
    ["a header that is no JSON", `${b64("{")}.${token().split(".").slice(1).join(".")}`, /JSON/],
    ["a padded signature", `${token()}=`, /base64url/],
    ["a token that expired beyond the leeway", token({ exp: now() - 70 }), /expired/],
    ["a token without exp", token({ exp: undefined }), /"exp" is missing/],
    ["an exp that is text", token({ exp: "tomorrow" }), /"exp" has the wrong type/],
    ["a token that is not valid yet", token({ nbf: now() + 120 }), /not valid yet/],
    ["a token issued in the future", token({ iat: now() + 120 }), /issued in the future/],
    ["another audience", token({ aud: "other" }), /audience/],
    ["several other audiences", token({ aud: ["other", "firn2"] }), /audience/],
    ["no audience", token({ aud: undefined }), /"aud" is missing/],
    ["another issuer", token({ iss: "https://evil.example" }), /issuer/],
    ["no issuer", token({ iss: undefined }), /"iss" is missing/],
    ["alg none", unsigned("none"), /./],
    ["alg None", unsigned("None"), /./],
    ["alg none with a signature", token({}, { header: { alg: "none" } }), /algorithm/],
    ["an empty secret", selfSigned("HS256"), /signature/],
    ["HS512", selfSigned("HS512"), /algorithm/],
    ["RS256, for which there is no key", token({}, { header: { alg: "RS256" } }), /no key/],
    ["claims that were changed", tampered(), /signature/],
    ["another secret", token({}, { secret: "another secret of at least thirty-two bytes" }), /signature/],
    ["a critical extension", token({}, { header: { crit: ["exp"] } }), /extension/],
    ["a token of another type", token({}, { header: { typ: "logout+jwt" } }), /type/],
    ["a namespace pattern that is none", token({ ns: ["a b"] }), /"ns"/],
  ];
  for (const [name, bearer, cause] of unauthorized) {
    test(`401: ${name}`, async () => {
      const requestId = `refused-${name.replaceAll(/[^a-zA-Z0-9]/g, "-")}`;
      const answer = await system.post([record()], { token: bearer, requestId });
      assertProblem(answer, 401, "unauthorized");
      const challenge = bearer === null ? 'Bearer realm="firn"' : 'Bearer realm="firn", error="invalid_token"';
      assert.equal(answer.headers["www-authenticate"], challenge);
      const logged = await logLineOf(requestId);
      assert.match(logged.cause, cause, "the log says which check failed");
      if (bearer) assert.ok(!logLines().some((line) => line.includes(bearer)), "no token in the log");
    });
  }

  test("401 tells every failed check alike", async () => {
    const bodies = await Promise.all(unauthorized.map(([, bearer]) => system.post([record()], { token: bearer, requestId: "same" })));
    assert.equal(new Set(bodies.map((answer) => answer.text)).size, 1);
  });

  for (const [name, authorization] of [
    ["Basic", "Basic dTpw"],
    ["a bare token", token()],
    ["two tokens", `Bearer ${token()} ${token()}`],
    ["two schemes, joined", `Bearer ${token()}, Basic dTpw`],
  ]) {
    test(`401: Authorization is ${name}`, async () => {
      assertProblem(await system.post([record()], { headers: { Authorization: authorization } }), 401, "unauthorized");
    });
  }

  for (const [name, headers] of [
    ["X-Forwarded-User", { "X-Forwarded-User": "u1" }],
    ["Cf-Access-Jwt-Assertion", { "Cf-Access-Jwt-Assertion": token() }],
    ["Cookie", { Cookie: `Authorization=Bearer ${token()}` }],
  ]) {
    test(`401: ${name} lends no identity`, async () => {
      assertProblem(await system.post([record()], { token: null, headers }), 401, "unauthorized");
    });
  }

  for (const [name, claims] of [
    ["a token that just expired, within the leeway", { exp: now() - 30 }],
    ["a token that is valid in a moment, within the leeway", { nbf: now() + 30 }],
    ["an audience among others", { aud: ["other", AUDIENCE] }],
    ["an admin's scope", { scope: "artifacts:admin" }],
    ["scopes as a list", { scope: ["artifacts:read", "artifacts:write"] }],
    ["a pattern of namespaces", { ns: ["*.example"] }],
  ]) {
    test(`200: ${name}`, async () => {
      await system.publish([record()], { token: token(claims) });
    });
  }

  for (const [name, claims] of [
    ["no scope", { scope: undefined }],
    ["another scope", { scope: "artifacts:read" }],
    ["a scope in capitals", { scope: "ARTIFACTS:WRITE" }],
    ["a longer word", { scope: "artifacts:write2 xartifacts:write" }],
  ]) {
    test(`403: ${name}`, async () => {
      assertProblem(await system.post([record()], { token: token(claims) }), 403, "scope_missing");
    });
  }

  for (const [name, ns] of [
    ["no namespace at all", []],
    ["a bare star", ["*"]],
    ["two others", ["a.example", "b.example"]],
    ["a pattern that wants a label more", ["*.e2e.example"]],
    ["a pattern of another suffix", ["*.xample"]],
  ]) {
    test(`403: a token for ${name} does not write the first record's namespace`, async () => {
      const { result, added } = await rowsAddedBy(() => system.post([record(), record()], { token: token({ ns }) }));
      assertProblem(result, 403, "namespace_forbidden");
      assert.equal(added, 0);
    });
  }

  for (const method of ["GET", "PUT", "PATCH", "DELETE"]) {
    test(`405: ${method}`, async () => {
      const answer = await system.get(INGEST, { method, token: token() });
      assertProblem(answer, 405, "method_not_allowed");
      assert.equal(answer.headers.allow, "POST, OPTIONS");
    });
  }

  test("405: HEAD, without a body", async () => {
    const answer = await system.get(INGEST, { method: "HEAD" });
    assert.equal(answer.status, 405);
    assert.equal(answer.headers.allow, "POST, OPTIONS");
    assert.equal(answer.bytes.length, 0);
  });

  test("204: OPTIONS, where a page of no listed origin learns nothing", async () => {
    const headers = { Origin: "https://a.example", "Access-Control-Request-Method": "POST" };
    const answer = await system.get(INGEST, { method: "OPTIONS", headers });
    assert.deepEqual([answer.status, answer.headers.allow], [204, "POST, OPTIONS"]);
    assert.equal(answer.headers["access-control-allow-origin"], undefined);
  });

  for (const path of ["/", "/$.artifact", "/$.artifacts/", "/%24.artifacts/x", "/$.dev/none"]) {
    test(`404: ${path}`, async () => {
      assertProblem(await system.request({ method: "POST", path, headers: { Authorization: `Bearer ${token()}` }, body: "" }), 404, "not_found");
    });
  }

  for (const type of ["application/json", "text/plain", "application/ndjson", "application/x-ndjson2", "", "x"]) {
    test(`415: Content-Type ${JSON.stringify(type)}`, async () => {
      const answer = await system.post([record()], { type });
      assertProblem(answer, 415, "unsupported_media_type");
      assert.match(answer.headers["accept-post"], /application\/x-ndjson/);
    });
  }

  test("415: no Content-Type", async () => {
    assertProblem(await system.post([record()], { type: null }), 415, "unsupported_media_type");
  });

  for (const type of ["application/x-ndjson; charset=utf-8", "application/jsonl", "APPLICATION/X-JSONLINES ;a=b"]) {
    test(`200: Content-Type ${JSON.stringify(type)}`, async () => {
      await system.publish([record()], { type });
    });
  }

  for (const encoding of ["br", "gzip, gzip", "x-unknown"]) {
    test(`415: Content-Encoding ${encoding}`, async () => {
      assertProblem(await system.post([record()], { headers: { "Content-Encoding": encoding } }), 415, "unsupported_encoding");
    });
  }

  for (const mode of ["", "BUILD", "stream", "build,bulk"]) {
    test(`400: X-Artifact-Mode ${JSON.stringify(mode)}`, async () => {
      assertProblem(await system.post([record()], { mode }), 400, "invalid_mode");
    });
  }

  for (const [name, key] of [["empty", ""], ["of 257 bytes", "k".repeat(257)], ["with a space", "a b"], ["with a slash", "a/b"], ["half quoted", '"a'], ["quoted and empty", '""']]) {
    for (const header of ["Idempotency-Key", "X-Idempotency-Key"]) {
      test(`400: ${header} ${name}`, async () => {
        assertProblem(await system.post([record()], { headers: { [header]: key } }), 400, "invalid_idempotency_key");
      });
    }
  }

  for (const key of ["k".repeat(256), "aZ09._=-", '"quoted"']) {
    test(`200: Idempotency-Key ${key.slice(0, 12)}`, async () => {
      // Never the same key in two runs on one state.
      await system.publish([record()], { headers: { "Idempotency-Key": key } });
    });
  }

  test("413: Content-Length over the limit, before any of the body", async () => {
    const answer = await headOnly({ "Content-Length": BODY_LEN_BYTES_MAX + 1 });
    assert.match(answer, /^HTTP\/1\.1 413 /);
    const problem = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4).match(/\{.*\}/s)[0]);
    assert.equal(problem.code, "body_too_large");
    assert.equal(problem.limit, BODY_LEN_BYTES_MAX);
  });

  test("the checks stand in the order of the contract", async () => {
    const wrong = { type: "text/plain", mode: "none", headers: { "Content-Length": CEILING_LEN_BYTES + 1 } };
    const readOnly = token({ scope: "artifacts:read" });
    // Names no namespace: who it may write for is told last.
    const nobody = token({ ns: [] });
    const codes = [];
    for (const [method, options] of [
      ["PUT", { ...wrong, token: null }],
      ["POST", { ...wrong, token: null }],
      ["POST", { ...wrong, token: readOnly }],
      ["POST", { ...wrong, token: nobody }],
      ["POST", { ...wrong, token: nobody, type: NDJSON }],
      ["POST", { ...wrong, token: nobody, type: NDJSON, mode: "build" }],
    ]) {
      const Authorization = options.token && `Bearer ${options.token}`;
      const head = await headOnly({ "Content-Type": options.type, "X-Artifact-Mode": options.mode, Authorization, ...options.headers }, method);
      codes.push(head.match(/"code":"(\w+)"/)[1]);
    }
    assert.deepEqual(codes, ["method_not_allowed", "unauthorized", "scope_missing", "unsupported_media_type", "invalid_mode", "body_too_large"]);
  });
});

/** Sends a head and none of its body; gives the raw answer. */
async function headOnly(headers, method = "POST") {
  const all = { Host: "localhost", Authorization: `Bearer ${token()}`, "Content-Type": NDJSON, Connection: "close", ...headers };
  const lines = Object.entries(all).filter(([, value]) => value !== null);
  const head = `${method} ${INGEST} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
  return new Promise((done, fail) => {
    let text = "";
    const socket = connect(system.port, "127.0.0.1", () => socket.write(head));
    socket.setTimeout(30_000, () => socket.destroy(new Error("no answer to a head")));
    socket.on("data", (piece) => {
      text += piece;
      if (/\r\n\r\n.*\}/s.test(text)) socket.destroy();
    });
    socket.on("close", () => done(text));
    socket.on("error", fail);
  });
}

describe("request ids", () => {
  test("a well-formed one is the caller's, in answers and in problems", async () => {
    const requestId = `A.b_c-${"x".repeat(122)}`;
    const taken = await system.post([record()], { requestId });
    assert.equal(taken.headers["x-request-id"], requestId);
    assert.equal(taken.json.requestId, requestId);
    assert.equal(assertProblem(await system.post([], { token: null, requestId }), 401, "unauthorized").request_id, requestId);
  });

  for (const [name, requestId] of [["with a space", "a b"], ["of 129 bytes", "a".repeat(129)], ["with a quote", '"'], ["empty", ""], ["absent", undefined], ["with a slash", "a/b"]]) {
    test(`one ${name} is replaced by a fresh one`, async () => {
      const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
      const taken = await system.post([record()], { requestId });
      assert.match(taken.headers["x-request-id"], uuid);
      assert.equal(taken.json.requestId, taken.headers["x-request-id"]);
      const refused = await system.post([], { token: null, requestId });
      assert.match(assertProblem(refused, 401, "unauthorized").request_id, uuid);
      assert.notEqual(refused.headers["x-request-id"], taken.headers["x-request-id"]);
    });
  }
});

describe("answers", () => {
  const FLUSH_SECS = { preview: 5, build: 30, bulk: 120 };
  for (const mode of ["preview", "build", "bulk", undefined]) {
    test(`200: all taken in ${mode ?? "the default mode, build"}`, async () => {
      const began = Date.now();
      const records = [record(), record(), record()];
      const { result: answer, added } = await rowsAddedBy(() => system.post(records, { mode }));
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.headers["content-type"], "application/json");
      assert.equal(answer.headers["cache-control"], "no-store");
      const { estimatedAvailableAt, requestId, ...rest } = answer.json;
      const took = mode ?? "build";
      assert.deepEqual(rest, { accepted: 3, unchanged: 0, rejected: 0, chunks: 1, pipeline: `artifacts_${took}`, mode: took, errors: [] });
      assert.equal(requestId, answer.headers["x-request-id"]);
      assert.match(estimatedAvailableAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      const promised = Date.parse(estimatedAvailableAt) - FLUSH_SECS[took] * 1_000;
      assert.ok(promised >= began - 1_000 && promised <= Date.now() + 1_000, estimatedAvailableAt);
      assert.equal(added, 3);
    });
  }

  for (const [name, body] of [["no bytes", ""], ["blank lines", "\n\r\n  \t\n\n"], ["a byte order mark", "\ufeff"], ["a chunked body without a byte", []]]) {
    test(`200 with zeros: ${name}`, async () => {
      const body_ = Array.isArray(body) ? new Set() : body;
      for (const mode of ["build", "bulk"]) {
        const answer = await system.post(body_, { mode });
        assert.equal(answer.status, 200, answer.text);
        const { accepted, unchanged, rejected, chunks, errors, mode: said } = answer.json;
        assert.deepEqual({ accepted, unchanged, rejected, chunks, errors, said }, { accepted: 0, unchanged: 0, rejected: 0, chunks: 0, errors: [], said: mode });
      }
    });
  }

  test("lines: CRLF, blank ones, a byte order mark, no final newline, space around the object", async () => {
    const records = Array.from({ length: 5 }, () => record());
    const [a, b, c, d, e] = records.map((r) => JSON.stringify(r));
    const { result, added } = await rowsAddedBy(() => system.post(`\ufeff${a}\r\n\r\n\n  ${b} \t\r\n${c}\n \n${d}\r\n${e}`));
    assert.equal(result.status, 200, result.text);
    assert.equal(result.json.accepted, 5);
    assert.equal(added, 5);
    assert.deepEqual(await readable(records), records.map((r) => r.id));
  });

  test("a body in pieces of any size is the same body", async () => {
    const records = Array.from({ length: 40 }, (_, idx) => record({ markdown: "雪😀é".repeat(idx) }));
    const bytes = Buffer.from(ndjson(records));
    for (const len of [1, 7, 4096]) {
      const pieces = [];
      for (let at = 0; at < bytes.length; at += len) pieces.push(bytes.subarray(at, at + len));
      const answer = await system.post(new Set(pieces));
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.json.accepted, 40);
    }
  });

  test("a namespace is lower-cased on entry", async () => {
    const one = record({ ns: NS.toUpperCase() });
    await system.publish([one]);
    await system.flush();
    assert.equal((await system.get(contentPath({ ...one, ns: NS }, ".md"))).text, one.markdown);
  });

  // Bytes of content a record, records, and the chunks that they must make; a row adds some 350 bytes of its own.
  for (const [mode, len, count, chunks] of [
    ["preview", 60_000, 10, 10],
    ["preview", 40_000, 10, 5],
    ["preview", 150_000, 3, 3],
    ["build", 600_000, 10, 10],
    ["build", 300_000, 9, 3],
    ["bulk", 600_000, 12, 2],
    ["bulk", 1_800_000, 4, 2],
  ]) {
    test(`chunks: ${count} records of ${len} bytes are ${chunks} in ${mode}`, async () => {
      const records = Array.from({ length: count }, () => record({ markdown: "x".repeat(len) }));
      const { result, added } = await rowsAddedBy(() => system.publish(records, { mode }));
      assert.equal(result.chunks, chunks);
      assert.equal(added, count);
    });
  }
});

/** A line that is no record, with its code and field. */
const raw = (line, code, field) => ({ line: Buffer.isBuffer(line) ? line : Buffer.from(line), code, field });
const bad = (more, code, field) => raw(JSON.stringify(record(more)), code, field);
/** A record whose JSON ends in this text. */
const text = (tail) => `${JSON.stringify(record()).slice(0, -1)},${tail}}`;
const nested = (depth) => "[".repeat(depth) + "]".repeat(depth);

const BAD_LINES = {
  invalid_utf8: [
    raw(Buffer.concat([Buffer.from(text('"html":"').slice(0, -1)), Buffer.from([0xff]), Buffer.from('"}')]), "invalid_utf8"),
    raw(Buffer.from([0xc3, 0x28]), "invalid_utf8"),
    // A surrogate and an overlong form, encoded.
    raw(Buffer.concat([Buffer.from(text('"html":"').slice(0, -1)), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]), "invalid_utf8"),
    raw(Buffer.concat([Buffer.from('{"ns":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')]), "invalid_utf8"),
    // A mark in the middle of a body is no space.
    raw(`\ufeff${JSON.stringify(record())}`, "invalid_json"),
  ],
  invalid_json: [
    raw("{", "invalid_json"),
    raw("nonsense", "invalid_json"),
    raw(`${JSON.stringify(record())}x`, "invalid_json"),
    raw(`${JSON.stringify(record())}${JSON.stringify(record())}`, "invalid_json"),
    raw(text(""), "invalid_json"),
    raw("{'ns':1}", "invalid_json"),
    raw(text('"mdast":[1,]'), "invalid_json", "mdast"),
    raw(text('"mdast":01'), "invalid_json", "mdast"),
    raw(text('"mdast":+1'), "invalid_json", "mdast"),
    raw(text('"mdast":.5'), "invalid_json", "mdast"),
    raw(text('"mdast":NaN'), "invalid_json", "mdast"),
    raw(text('"mdast":nul'), "invalid_json", "mdast"),
    raw(text('"html":"a\tb"'), "invalid_json", "html"),
    raw(text('"html":"\\x"'), "invalid_json", "html"),
    raw(text('"html":"\\u12"'), "invalid_json", "html"),
    raw(text('"html":"'), "invalid_json", "html"),
  ],
  not_an_object: [raw("[]", "not_an_object"), raw('"text"', "not_an_object"), raw("1", "not_an_object"), raw("null", "not_an_object"), raw("true", "not_an_object")],
  duplicate_key: [
    raw(text('"markdown":"again"'), "duplicate_key", "markdown"),
    raw(text('"\\u006darkdown":"by escape"'), "duplicate_key", "markdown"),
    raw(text('"frontmatter":{"a":1,"a":1}'), "duplicate_key", "frontmatter"),
    raw(text('"mdast":[{"b":{"x":1,"\\u0078":2}}]'), "duplicate_key", "mdast"),
  ],
  nesting_too_deep: [raw(text(`"mdast":${nested(DEPTH_MAX)}`), "nesting_too_deep", "mdast")],
  number_out_of_range: [raw(text('"mdast":1e400'), "number_out_of_range", "mdast"), raw(text('"metadata":{"a":-1E309}'), "number_out_of_range", "metadata")],
  lone_surrogate: [
    raw(text('"html":"\\ud800"'), "lone_surrogate", "html"),
    raw(text('"html":"\\udc00x"'), "lone_surrogate", "html"),
    raw(text('"html":"\\ud83d\\u0041"'), "lone_surrogate", "html"),
    raw(text('"hast":{"\\udfff":1}'), "lone_surrogate", "hast"),
    raw(text('"exports":["\\ud800\\ud800"]'), "lone_surrogate", "exports"),
  ],
  unknown_field: [bad({ markdwn: "typo" }, "unknown_field", "markdwn"), bad({ Markdown: "capital" }, "unknown_field", "Markdown"), bad({ __proto: 1 }, "unknown_field", "__proto"), bad({ "": 1 }, "unknown_field", "")],
  server_set_field: [
    "version", "ts", "owner_iss", "owner_org", "owner_sub", "hash", "size_bytes", "mode", "ingest_id", "blob_digest", "blob_size_bytes", "blob_content_type", "blob_key",
    "signature", "signature_key_id", "__ingest_ts",
  ].map((field) => bad({ [field]: null }, "server_set_field", field)),
  missing_field: ["ns", "type", "id"].map((field) => bad({ [field]: undefined }, "missing_field", field)),
  invalid_type: [
    bad({ markdown: 42 }, "invalid_type", "markdown"),
    bad({ markdown: null }, "invalid_type", "markdown"),
    bad({ css: ["x"] }, "invalid_type", "css"),
    bad({ deleted: "yes" }, "invalid_type", "deleted"),
    bad({ deleted: 1 }, "invalid_type", "deleted"),
    bad({ frontmatter: [] }, "invalid_type", "frontmatter"),
    bad({ frontmatter: null }, "invalid_type", "frontmatter"),
    bad({ metadata: "{}" }, "invalid_type", "metadata"),
    bad({ exports: "a" }, "invalid_type", "exports"),
    bad({ dependencies: ["a", 1] }, "invalid_type", "dependencies"),
    bad({ visibility: true }, "invalid_type", "visibility"),
    bad({ expires_at: 1_700_000_000 }, "invalid_type", "expires_at"),
    bad({ ns: 1 }, "invalid_type", "ns"),
    bad({ id: null }, "invalid_type", "id"),
    bad({ if_version: 0 }, "invalid_type", "if_version"),
  ],
  invalid_value: [
    bad({ ns: "" }, "invalid_value", "ns"),
    bad({ ns: "-a" }, "invalid_value", "ns"),
    bad({ ns: "a_é" }, "invalid_value", "ns"),
    bad({ ns: "a".repeat(254) }, "invalid_value", "ns"),
    bad({ type: "" }, "invalid_value", "type"),
    bad({ type: "a/b" }, "invalid_value", "type"),
    bad({ type: "t".repeat(65) }, "invalid_value", "type"),
    ...["", "/a", "a/", "a//b", ".", "a/../b", "a\\b", "a\u0000", "a\u007f", "a@v12", "a.d", "a.mdast", "a.artifact", "é".repeat(513)].map((id) => bad({ id }, "invalid_value", "id")),
    bad({ visibility: "private" }, "invalid_value", "visibility"),
    bad({ visibility: "Public" }, "invalid_value", "visibility"),
    bad({ expires_at: "tomorrow" }, "invalid_value", "expires_at"),
    bad({ expires_at: "2030-01-31" }, "invalid_value", "expires_at"),
    bad({ expires_at: "2030-02-30T00:00:00Z" }, "invalid_value", "expires_at"),
    bad({ if_version: "01" }, "invalid_value", "if_version"),
    bad({ if_version: "" }, "invalid_value", "if_version"),
    bad({ if_version: "9007199254740992" }, "invalid_value", "if_version"),
  ],
  record_too_large: [
    raw(`{${" ".repeat(RECORD_LEN_BYTES_MAX)}}`, "record_too_large"),
    // The line fits; the row that it makes does not.
    raw(text(`"html":"${"x".repeat(RECORD_LEN_BYTES_MAX - 150)}"`), "record_too_large"),
  ],
  metadata_too_large: [bad({ metadata: { a: "x".repeat(METADATA_LEN_BYTES_MAX - 7) } }, "metadata_too_large", "metadata")],
  namespace_mismatch: [bad({ ns: "other.example" }, "namespace_mismatch", "ns")],
  claim_missing: [],
};

const assertErrors = (errors, expected) => {
  assert.deepEqual(errors.map(({ line, code, field }) => ({ line, code, field })), expected);
  for (const { detail } of errors) assert.match(detail, /\S/);
};

describe("line errors", () => {
  for (const [code, lines] of Object.entries(BAD_LINES)) {
    if (lines.length === 0) continue;
    test(`bulk lists ${code} with its line and field, and takes the lines between`, async () => {
      const good = lines.map(() => record());
      const last = record();
      const pieces = [];
      const expected = [];
      let line = 0;
      const push = (bytes, end) => pieces.push(Buffer.from(bytes), Buffer.from(end)) && (line += 1);
      lines.forEach(({ line: bytes, code: found, field }, idx) => {
        push(JSON.stringify(good[idx]), "\r\n");
        push(" ", "\n");
        push(bytes, idx % 2 ? "\n" : "\r\n");
        expected.push({ line, code: found, field });
      });
      push(JSON.stringify(last), "");
      const { result, added } = await rowsAddedBy(() => system.post(Buffer.concat(pieces), { mode: "bulk" }));
      assert.equal(result.status, 207, result.text);
      assertErrors(result.json.errors, expected);
      assert.equal(result.json.accepted, good.length + 1);
      assert.equal(result.json.rejected, lines.length);
      assert.equal(added, good.length + 1);
    });

    test(`build takes nothing with a line of ${code}`, async () => {
      for (const { line, code: found, field } of lines) {
        const before = record();
        const answer = await system.post(Buffer.concat([Buffer.from(`${JSON.stringify(before)}\n`), line]));
        const problem = assertProblem(answer, 400, "nothing_accepted");
        assert.equal(problem.accepted, 0);
        assert.equal(problem.rejected, 2);
        assert.equal(problem.chunks, 0);
        assertErrors(problem.errors, [{ line: 1, code: "not_sent", field: undefined }, { line: 2, code: found, field }]);
      }
    });
  }

  test("a first line that is bad does not stop bulk", async () => {
    const good = [record(), record()];
    for (const first of [...BAD_LINES.invalid_json.slice(0, 1), ...BAD_LINES.missing_field, ...BAD_LINES.record_too_large]) {
      const body = Buffer.concat([first.line, Buffer.from(`\n${ndjson(good)}`)]);
      const { result, added } = await rowsAddedBy(() => system.post(body, { mode: "bulk" }));
      assert.equal(result.status, 207, result.text);
      assertErrors(result.json.errors, [{ line: 1, code: first.code, field: first.field }]);
      assert.equal(result.json.accepted, 2);
      assert.equal(added, 2);
    }
  });

  test("400: bulk of which no line is good", async () => {
    const problem = assertProblem(await system.post("{\n[]\n", { mode: "bulk" }), 400, "nothing_accepted");
    assertErrors(problem.errors, [{ line: 1, code: "invalid_json", field: undefined }, { line: 2, code: "not_an_object", field: undefined }]);
    assert.equal(problem.rejected, 2);
  });

  test("visibility needs the claim by which readers are compared", async () => {
    for (const [claims, visibility, is] of [
      [{ org: undefined }, "org", "claim_missing"],
      [{ sub: undefined }, "user", "claim_missing"],
      [{ org: undefined }, "user", undefined],
      [{ sub: undefined }, "org", undefined],
      [{ sub: undefined, org: undefined }, "public", undefined],
      [{ sub: undefined, org: undefined }, "unlisted", undefined],
    ]) {
      const answer = await system.post([record({ visibility })], { mode: "bulk", token: token(claims) });
      if (is) assertErrors(assertProblem(answer, 400, "nothing_accepted").errors, [{ line: 1, code: is, field: "visibility" }]);
      else assert.equal(answer.status, 200, answer.text);
    }
  });

  test("if_version is not for bulk", async () => {
    const answer = await system.post([record({ if_version: "0" }), record()], { mode: "bulk" });
    assert.equal(answer.status, 207, answer.text);
    assertErrors(answer.json.errors, [{ line: 1, code: "if_version_in_bulk", field: "if_version" }]);
  });

  test("what is just within its limit is taken", async () => {
    const records = [
      record({ id: "é".repeat(512), type: "t".repeat(64) }),
      record({ metadata: { a: "x".repeat(METADATA_LEN_BYTES_MAX - 8) } }),
      record({ html: "x".repeat(RECORD_LEN_BYTES_MAX - 1_000) }),
      record({ expires_at: "9999-12-31T23:59:59.999999Z" }),
      record({ expires_at: "2999-11-20T10:00:00.5+02:00", if_version: "0" }),
    ];
    const lines = [...records.map((r) => JSON.stringify(r)), text(`"mdast":${nested(DEPTH_MAX - 1)}`), text('"mdast":1.7976931348623157e308'), text('"mdast":null')];
    const { result, added } = await rowsAddedBy(() => system.post(lines.join("\n")));
    assert.equal(result.status, 200, result.text);
    assert.equal(added, lines.length);
  });

  test("a hundred errors are listed, all are counted", async () => {
    const answer = await system.post(`${"{}\n".repeat(250)}${JSON.stringify(record())}`, { mode: "bulk" });
    assert.equal(answer.status, 207, answer.text);
    assert.equal(answer.json.rejected, 250);
    assert.deepEqual(answer.json.errors.map(({ line }) => line), Array.from({ length: 100 }, (_, idx) => idx + 1));
  });

  test("an error quotes no content and little of a name", async () => {
    const secret = "s3cret".repeat(100);
    const answer = await system.post([{ ...record(), [secret]: secret }, { ...record(), markdown: secret, deleted: "x" }], { mode: "bulk" });
    for (const error of assertProblem(answer, 400, "nothing_accepted").errors) {
      assert.ok(JSON.stringify(error).length < 400, JSON.stringify(error));
    }
    assert.ok(!answer.text.includes(secret));
  });
});

describe("one namespace a request", () => {
  const several = token({ ns: ["a.example", "b.example"] });

  test("the token's, if it names just one: a first record of another is a line error", async () => {
    const answer = await system.post([record({ ns: "other.example" }), record()], { mode: "bulk" });
    assert.equal(answer.status, 207, answer.text);
    assertErrors(answer.json.errors, [{ line: 1, code: "namespace_mismatch", field: "ns" }]);
  });

  test("the first record's otherwise, though the token may write the other too", async () => {
    const records = ["a", "b", "a", "A"].map((label) => record({ ns: `${label}.example` }));
    const answer = await system.post(records, { mode: "bulk", token: several });
    assert.equal(answer.status, 207, answer.text);
    assertErrors(answer.json.errors, [{ line: 2, code: "namespace_mismatch", field: "ns" }]);
    assert.equal(answer.json.accepted, 3);
  });

  test("a bad line before it does not decide it", async () => {
    const answer = await system.post(`{}\n${ndjson([record({ ns: "b.example" }), record({ ns: "a.example" })])}`, { mode: "bulk", token: several });
    assert.equal(answer.status, 207, answer.text);
    assertErrors(answer.json.errors, [{ line: 1, code: "missing_field", field: "ns" }, { line: 3, code: "namespace_mismatch", field: "ns" }]);
  });
});

describe("limits of a request", () => {
  const many = (count) => Array.from({ length: count }, () => record());

  test("1,000 records are taken in every mode", async () => {
    for (const mode of ["preview", "build", "bulk"]) await system.publish(many(RECORD_COUNT_MAX), { mode });
  });

  test("413: 1,001 records in build take nothing", async () => {
    const { result, added } = await rowsAddedBy(() => system.post(many(RECORD_COUNT_MAX + 1)));
    assert.equal(assertProblem(result, 413, "too_many_records").limit, RECORD_COUNT_MAX);
    assert.equal(added, 0);
  });

  test("207: 1,001 records in bulk are a thousand and an error at the line of the last", async () => {
    const lines = many(RECORD_COUNT_MAX + 1).map((r) => JSON.stringify(r));
    const { result, added } = await rowsAddedBy(() => system.post(`\n\n${lines.join("\n\n")}`, { mode: "bulk" }));
    assert.equal(result.status, 207, result.text);
    assert.equal(result.json.accepted, RECORD_COUNT_MAX);
    assert.equal(result.json.rejected, 1);
    assertErrors(result.json.errors, [{ line: 2 * RECORD_COUNT_MAX + 3, code: "limit_reached", field: undefined }]);
    assert.equal(added, RECORD_COUNT_MAX);
  });

  const pieces = (bytes) => {
    const cut = new Set();
    for (let at = 0; at < bytes.length; at += 256 * 1024) cut.add(bytes.subarray(at, at + 256 * 1024));
    return cut;
  };
  // Lines of 100 KB, one byte over the limit in all.
  const overLimit = () => {
    const lines = [];
    let len = 0;
    while (len < BODY_LEN_BYTES_MAX) {
      const line = JSON.stringify(record({ markdown: "x".repeat(Math.max(1, Math.min(100_000, BODY_LEN_BYTES_MAX - len - 80))) }));
      lines.push(line);
      len += line.length + 1;
    }
    const bytes = Buffer.from(lines.join("\n"));
    assert.ok(bytes.length > BODY_LEN_BYTES_MAX);
    return { bytes, count: lines.length };
  };

  test("413: 10 MiB + 1 without Content-Length, of which nothing could be taken", async () => {
    for (const [name, bytes] of [["blank", Buffer.alloc(BODY_LEN_BYTES_MAX + 1, 0x20)], ["one line", Buffer.alloc(BODY_LEN_BYTES_MAX + 1, 0x78)]]) {
      for (const mode of ["build", "bulk"]) {
        const { result, added } = await rowsAddedBy(() => system.post(pieces(bytes), { mode }));
        assert.equal(assertProblem(result, 413, "body_too_large").limit, BODY_LEN_BYTES_MAX, name);
        assert.equal(added, 0);
      }
    }
  });

  test("207: bulk over 10 MiB without Content-Length stops at a line and says which", async () => {
    const { bytes, count } = overLimit();
    const { result, added } = await rowsAddedBy(() => system.post(pieces(bytes), { mode: "bulk" }));
    assert.equal(result.status, 207, result.text);
    const { accepted, rejected, errors } = result.json;
    assert.ok(accepted > 0 && accepted < count);
    assert.equal(rejected, 1);
    assertErrors(errors, [{ line: accepted + 1, code: "limit_reached", field: undefined }]);
    assert.equal(added, accepted);
  });

  test("build over 10 MiB without Content-Length tells the truth about what it took", async () => {
    const { result, added } = await rowsAddedBy(() => system.post(pieces(overLimit().bytes)));
    if (result.status === 413) {
      assertProblem(result, 413, "body_too_large");
      assert.equal(added, 0, "413 means that nothing was taken");
    } else {
      // Until a publish is atomic, chunks that were sent before the limit stay taken.
      assert.equal(result.status, 207, result.text);
      assert.equal(added, result.json.accepted);
      assert.equal(result.json.errors.at(-1).code, "limit_reached");
    }
  });

  test("exactly 10 MiB is within the limit", async () => {
    const one = JSON.stringify(record());
    const bytes = Buffer.alloc(BODY_LEN_BYTES_MAX, "\n");
    bytes.write(one, BODY_LEN_BYTES_MAX - one.length);
    for (const body of [bytes, pieces(bytes)]) assert.equal((await system.post(body)).json.accepted, 1);
  });
});

describe("a bad line in an all-or-nothing mode", () => {
  for (const [mode, len] of [["preview", 10_000], ["build", 100_000]]) {
    test(`${mode}: the answer says which lines were taken, and the table agrees`, async () => {
      const records = Array.from({ length: 60 }, () => record({ markdown: "x".repeat(len) }));
      const badIdx = 45;
      const lines = records.map((r) => JSON.stringify(r));
      lines[badIdx] = JSON.stringify({ ...records[badIdx], markdown: 42 });
      const { result, added } = await rowsAddedBy(() => system.post(lines.join("\n"), { mode }));
      const { accepted, rejected, errors } = result.json;
      assert.equal(accepted + rejected, 60);
      assert.equal(added, accepted);
      if (accepted === 0) assertProblem(result, 400, "nothing_accepted");
      else assert.equal(result.status, 207, result.text);
      const rejectedLines = new Map(errors.map(({ line, code }) => [line, code]));
      assert.equal(rejectedLines.size, rejected, "each rejected line is listed once");
      assert.equal(rejectedLines.get(badIdx + 1), "invalid_type");
      for (const [line, code] of rejectedLines) if (line !== badIdx + 1) assert.equal(code, "not_sent");
      const taken = records.filter((_, idx) => !rejectedLines.has(idx + 1)).map((r) => r.id);
      assert.deepEqual(await readable(records), taken);
      for (let idx = badIdx; idx < 60; idx += 1) assert.ok(rejectedLines.has(idx + 1), "nothing after the bad line was sent");
    });
  }
});

describe("a body that breaks off", () => {
  // Nine such rows fill one of preview's chunks of 100 KiB, two one of bulk's of 4,000,000 bytes.
  const RECORD_LEN_BYTES = { preview: 10_000, bulk: 1_850_000 };
  const RECORDS_PER_CHUNK = { preview: 9, bulk: 2 };
  const frame = {
    "Content-Length": { header: (len) => `Content-Length: ${len}`, piece: (bytes) => bytes },
    chunked: { header: () => "Transfer-Encoding: chunked", piece: (bytes) => Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]) },
  };
  const BREAKS = { FIN: (socket) => socket.end(), RST: (socket) => socket.resetAndDestroy() };

  /** Sends a head and `bytes` of a longer body, waits for `reached`, and breaks off. Gives what was answered, if anything. */
  async function breakOff({ framing, how, mode, bytes, requestId, reached }) {
    const head = [
      `POST ${INGEST} HTTP/1.1`, "Host: localhost", `Authorization: Bearer ${token()}`, `Content-Type: ${NDJSON}`, `X-Artifact-Mode: ${mode}`, `X-Request-Id: ${requestId}`,
      frame[framing].header(bytes.length + 100),
    ];
    const socket = connect(system.port, "127.0.0.1");
    socket.setTimeout(30_000, () => socket.destroy());
    let answer = "";
    socket.on("data", (piece) => (answer += piece));
    socket.on("error", () => {});
    const closed = once(socket, "close");
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    await new Promise((done) => socket.write(frame[framing].piece(bytes), done));
    await reached();
    BREAKS[how](socket);
    await closed;
    return answer;
  }

  for (const framing of Object.keys(frame)) {
    for (const how of Object.keys(BREAKS)) {
      // Preview and build take nothing of a body that breaks off; bulk keeps its whole chunks.
      for (const [mode, where, count] of [["preview", "in its first chunk", 5], ["preview", "after whole chunks", 60], ["bulk", "in its first chunk", 1], ["bulk", "after whole chunks", 5]]) {
        test(`${mode}, ${framing}, ${how}, ${where}: the open chunk is not taken, and it is no success`, async () => {
          const requestId = `break-${mode}-${framing}-${how}-${count}`;
          const records = Array.from({ length: count }, () => record({ markdown: "x".repeat(RECORD_LEN_BYTES[mode]) }));
          const held = await system.rowCount();
          // Whole lines: only the framing can tell that something is missing.
          const bytes = Buffer.from(ndjson(records));
          const firstChunk = async () => (await system.rowCount()) > held;
          const reached = async () => mode === "bulk" && count > RECORDS_PER_CHUNK[mode] && poll(firstChunk, "no chunk was sent while the body was still open");
          const answer = await breakOff({ framing, how, mode, bytes, requestId, reached });
          // The runtime has seen the break before it takes another connection's request.
          await system.publish([record()], { mode: "preview" });
          const added = (await system.rowCount()) - held - 1;

          const found = await readable(records);
          assert.equal(found.length, added);
          assert.equal(added % RECORDS_PER_CHUNK[mode], 0, "whole chunks only");
          assert.ok(added < count && added > 0 === (mode === "bulk" && count > RECORDS_PER_CHUNK[mode]), `${added} of ${count} were taken`);
          assert.deepEqual(found, records.slice(0, added).map((r) => r.id));
          if (how === "FIN") {
            assert.match(answer, /^HTTP\/1\.1 400 /);
            const problem = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4).match(/\{.*\}/s)[0]);
            assert.equal(problem.code, "body_incomplete");
            assert.equal(problem.accepted, added, "the answer is true");
            assert.equal((await logLineOf(requestId)).code, "body_incomplete");
          } else {
            assert.equal(answer, "");
          }
        });
      }
    }
  }

  test("every truncation of a body with a declared length says so and takes nothing", async () => {
    const bytes = Buffer.from(ndjson([record({ markdown: "雪😀" }), record({ markdown: "b" })]));
    const { added } = await rowsAddedBy(() =>
      inParallel(Array.from(bytes.keys()), 16, async (lenBytes) => {
        const head = [
          `POST ${INGEST} HTTP/1.1`, "Host: localhost", `Authorization: Bearer ${token()}`, `Content-Type: ${NDJSON}`, "X-Artifact-Mode: bulk",
          `Content-Length: ${bytes.length}`,
        ];
        const socket = connect(system.port, "127.0.0.1");
        let answer = "";
        socket.on("data", (piece) => (answer += piece));
        socket.write(`${head.join("\r\n")}\r\n\r\n`);
        socket.end(bytes.subarray(0, lenBytes));
        await once(socket, "close");
        assert.match(answer, /^HTTP\/1\.1 400 /, `${lenBytes} bytes`);
        assert.match(answer, /"code":"body_incomplete"/, `${lenBytes} bytes`);
      }),
    );
    assert.equal(added, 0);
  });
});

describe("gzip", () => {
  const post = (bytes, options) => system.post(bytes, { ...options, headers: { "Content-Encoding": "gzip", ...options?.headers } });
  const chopped = (bytes, len) => new Set(Array.from({ length: Math.ceil(bytes.length / len) }, (_, idx) => bytes.subarray(idx * len, (idx + 1) * len)));

  test("a body is its content, in one member or several, in one piece or many", async () => {
    const records = Array.from({ length: 200 }, (_, idx) => record({ markdown: "雪😀é plain ".repeat(idx) }));
    const bytes = Buffer.from(ndjson(records));
    const half = bytes.length >> 1;
    for (const body of [gzipSync(bytes), Buffer.concat([gzipSync(bytes.subarray(0, half)), gzipSync(""), gzipSync(bytes.subarray(half), { level: 0 })]), chopped(gzipSync(bytes), 100)]) {
      const { result, added } = await rowsAddedBy(() => post(body));
      assert.equal(result.status, 200, result.text);
      assert.equal(result.json.accepted, 200);
      // The same records again are unchanged, and are not written again.
      assert.equal(added, 200 - result.json.unchanged);
    }
    for (const one of records.slice(-3)) assert.equal((await system.get(contentPath(one, ".md"))).text, one.markdown);
  });

  test("an empty one and the encoding's other names", async () => {
    assert.equal((await post(gzipSync(""))).json.accepted, 0);
    assert.equal((await post("")).json.accepted, 0);
    for (const name of ["GZIP", "x-gzip"]) assert.equal((await post(gzipSync(ndjson([record()])), { headers: { "Content-Encoding": name } })).json.accepted, 1);
    assert.equal((await system.post([record()], { headers: { "Content-Encoding": "identity" } })).json.accepted, 1);
  });

  test("400: what is no gzip, is cut off, or has another checksum takes nothing", async () => {
    const whole = gzipSync(ndjson([record(), record()]));
    const corrupt = Buffer.from(whole);
    corrupt[whole.length - 6] ^= 1;
    for (const body of [Buffer.from(ndjson([record()])), whole.subarray(0, -1), whole.subarray(0, whole.length >> 1), whole.subarray(0, 5), corrupt, Buffer.concat([whole, Buffer.from("tail")])]) {
      for (const mode of ["build", "bulk"]) {
        const { result, added } = await rowsAddedBy(() => post(body, { mode }));
        assertProblem(result, 400, "body_incomplete");
        assert.equal(added, 0);
      }
    }
  });

  test("413: a bomb ends early, and limits count the content", async () => {
    const bomb = gzipSync(Buffer.alloc(64 << 20, " "));
    assert.ok(bomb.length < 100_000);
    assertProblem(await post(bomb), 413, "body_too_large");
    // Small as sent; 10 MiB + 1 of content that compresses no better than text does.
    const line = JSON.stringify({ filler: createHash("sha256").update("x").digest("hex").repeat(200) });
    const text = Buffer.from(`${Array.from({ length: 900 }, (_, idx) => `${idx}${line}`).join("\n")}`);
    assert.ok(text.length > BODY_LEN_BYTES_MAX);
    const { result, added } = await rowsAddedBy(() => post(gzipSync(text, { level: 1 })));
    assertProblem(result, 413, "body_too_large");
    assert.equal(added, 0);
    const records = Array.from({ length: 1_001 }, () => record());
    assertProblem(await post(gzipSync(ndjson(records))), 413, "too_many_records");
  });
});

describe("a namespace's configuration", () => {
  const tenantToken = (ns) => token({ ns: [ns] });
  let number = 0;
  /** A namespace that has this configuration and was never asked for before. */
  async function tenant(config) {
    const ns = `tenant${++number}.example`;
    await system.configure(ns, config);
    return { ns, options: { token: tenantToken(ns) }, record: (more) => record({ ns, ...more }) };
  }

  test("modes: one that is not allowed is refused, the default is taken", async () => {
    const { options, record: one } = await tenant({ modes: ["bulk", "preview"], default_mode: "bulk" });
    assertProblem(await system.post([one()], { ...options, mode: "build" }), 400, "invalid_mode");
    assert.equal((await system.publish([one()], options)).mode, "bulk");
    assert.equal((await system.publish([one()], { ...options, mode: "preview" })).mode, "preview");
  });

  test("a default mode of bulk skips a bad first line, also where the record names the namespace", async () => {
    const { ns, record: one } = await tenant({ default_mode: "bulk" });
    const answer = await system.post(`{}\n${ndjson([one()])}`, { token: token({ ns: [ns, "more.example"] }) });
    assert.equal(answer.status, 207, answer.text);
    assert.equal(answer.json.accepted, 1);
  });

  test("records and bytes a request", async () => {
    const { ns, options, record: one } = await tenant({ records_per_request: 3, request_len_bytes: 2_000 });
    await system.publish([one(), one(), one()], options);
    assert.equal(assertProblem(await system.post([one(), one(), one(), one()], options), 413, "too_many_records").limit, 3);
    const large = ndjson([one({ markdown: "x".repeat(2_000) })]);
    for (const body of [large, new Set([large])]) assert.equal(assertProblem(await system.post(body, options), 413, "body_too_large").limit, 2_000);
    // A token of several namespaces leaves it to the first record.
    const several = { token: token({ ns: [ns, "more.example"] }) };
    assertProblem(await system.post(large, several), 413, "body_too_large");
    assertProblem(await system.post([one(), one(), one(), one()], several), 413, "too_many_records");
  });

  test("413: a Content-Length over the deployment's ceiling, whatever the namespace", async () => {
    const answer = await headOnly({ Authorization: `Bearer ${token({ ns: ["a.example", "b.example"] })}`, "Content-Length": CEILING_LEN_BYTES + 1 });
    assert.match(answer, /^HTTP\/1\.1 413 /);
  });

  test("default visibility", async () => {
    const { options, record: one } = await tenant({ default_visibility: "org" });
    const [plain, open] = [one(), one({ visibility: "public" })];
    await system.publish([plain, open], options);
    await system.flush();
    assertProblem(await system.get(contentPath(plain, ".md")), 404, "not_found");
    assert.equal((await system.get(contentPath(plain, ".md"), options)).status, 200);
    assert.equal((await system.get(contentPath(open, ".md"))).status, 200);
  });

  test("503: a broken one takes nothing and says what is wrong", async () => {
    for (const [config, about] of [["{", /JSON/], ["[]", /JSON/], [{ mode: "build" }, /"mode"/], [{ records_per_request: 0 }, /records_per_request/], [{ modes: [] }, /modes/], [{ default_mode: "build", modes: ["bulk"] }, /mode/]]) {
      const { options, record: one } = await tenant(config);
      const { result, added } = await rowsAddedBy(() => system.post([one()], options));
      assert.match(assertProblem(result, 503, "configuration_invalid").detail, about);
      assert.equal(added, 0);
    }
  });

  test("429: over the requests a minute, and its neighbour is not", async () => {
    const limit = 5;
    // The window is a fixed minute; one that ends meanwhile is no window of this test.
    await poll(async () => {
      const { options, record: one } = await tenant({ requests_per_minute: limit });
      const minute = () => Math.floor(Date.now() / 60_000);
      const began = minute();
      const answers = [];
      for (let nth = 0; nth < limit + 2; nth += 1) answers.push(await system.post([one()], options));
      if (minute() !== began) return false;
      assert.deepEqual(answers.map(({ status }) => status), [...Array(limit).fill(200), 429, 429]);
      const refused = answers.at(-1);
      assert.equal(assertProblem(refused, 429, "rate_limited").limit, limit);
      const wait = Number(refused.headers["retry-after"]);
      assert.ok(wait >= 1 && wait <= 60, `Retry-After: ${wait}`);
      assert.equal(refused.headers["ratelimit-policy"], `"namespace";q=${limit};w=60`);
      assert.equal(refused.headers.ratelimit, `"namespace";r=0;t=${wait}`);
      return true;
    }, "no minute was long enough");
    await system.publish([record()]);
  });

  test("429 at once and at the same time: concurrent requests do not slip through", async () => {
    await poll(async () => {
      const { options, record: one } = await tenant({ requests_per_minute: 10 });
      const began = Math.floor(Date.now() / 60_000);
      const statuses = [];
      await inParallel(Array.from({ length: 40 }), 20, async () => statuses.push((await system.post([one()], options)).status));
      if (Math.floor(Date.now() / 60_000) !== began) return false;
      assert.equal(statuses.filter((status) => status === 200).length, 10);
      assert.equal(statuses.filter((status) => status === 429).length, 30);
      return true;
    }, "no minute was long enough");
  });
});

describe("keys", () => {
  test("without a configured key everything that needs a token is refused", async () => {
    const bare = await System.start({ secrets: {} });
    try {
      for (const bearer of [null, token(), token({}, { secret: "" }), token({ scope: "artifacts:admin" })]) {
        assertProblem(await bare.post([record()], { token: bearer }), 401, "unauthorized");
      }
      const tables = Object.values(await bare.flush());
      assert.deepEqual(tables.map(({ rows }) => rows), [0, 0, 0]);
    } finally {
      await bare.stop();
    }
  });

  test("the algorithm is the key's, never the token's", async () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const ed = generateKeyPairSync("ed25519");
    const jwk = (pair, alg, kid) => ({ ...pair.publicKey.export({ format: "jwk" }), alg, kid, use: "sig" });
    const keys = [jwk(rsa, "RS256", "rsa"), jwk(ec, "ES256", "ec"), jwk(ed, "EdDSA", "ed")];
    const other = await System.start({ secrets: { FIRN_JWKS: JSON.stringify({ keys }) } });
    const payload = token().split(".")[1];
    const mint = (alg, kid, signer) => {
      const input = `${Buffer.from(JSON.stringify({ alg, kid })).toString("base64url")}.${payload}`;
      return `${input}.${signer(Buffer.from(input)).toString("base64url")}`;
    };
    const byRsa = (input) => createSign("sha256").update(input).sign(rsa.privateKey);
    const byEc = (input) => sign("sha256", input, { key: ec.privateKey, dsaEncoding: "ieee-p1363" });
    const byEd = (input) => sign(null, input, ed.privateKey);
    const pem = rsa.publicKey.export({ type: "spki", format: "pem" });
    const byHmac = (secret) => (input) => createHmac("sha256", secret).update(input).digest();
    try {
      for (const good of [mint("RS256", "rsa", byRsa), mint("RS256", undefined, byRsa), mint("ES256", "ec", byEc), mint("EdDSA", "ed", byEd)]) {
        assert.equal((await other.post([record()], { token: good })).status, 200, good);
      }
      const attacks = [
        mint("HS256", "rsa", byHmac(pem)),
        mint("HS256", undefined, byHmac(pem)),
        mint("HS256", "rsa", byHmac(rsa.publicKey.export({ type: "spki", format: "der" }))),
        mint("HS256", "rsa", byHmac(rsa.publicKey.export({ format: "jwk" }).n)),
        mint("ES256", "rsa", byEc),
        mint("RS256", "ec", byRsa),
        mint("none", "rsa", () => Buffer.alloc(0)),
        mint("EdDSA", "ed", byRsa),
        // DER, as OpenSSL gives it, is no signature of a JWS.
        mint("ES256", "ec", (input) => sign("sha256", input, ec.privateKey)),
        token(),
      ];
      for (const attack of attacks) assertProblem(await other.post([record()], { token: attack }), 401, "unauthorized");
    } finally {
      await other.stop();
    }
  });

  test("keys behind a URL: fetched once, whatever tokens arrive, and 503 while there are none", async () => {
    const pair = generateKeyPairSync("ed25519");
    const stranger = generateKeyPairSync("ed25519");
    const mint = (kid, key) => {
      const input = `${Buffer.from(JSON.stringify({ alg: "EdDSA", kid })).toString("base64url")}.${token().split(".")[1]}`;
      return `${input}.${sign(null, Buffer.from(input), key).toString("base64url")}`;
    };
    let fetches = 0;
    let status = 500;
    const provider = createServer((_, response) => {
      fetches += 1;
      const jwk = { ...pair.publicKey.export({ format: "jwk" }), kid: "one", alg: "EdDSA" };
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify({ keys: [jwk] }));
    }).listen(0, "127.0.0.1");
    await once(provider, "listening");
    const vars = { "firn-ingest": { FIRN_JWKS_URL: `http://127.0.0.1:${provider.address().port}/jwks` } };
    const down = await System.start({ secrets: {}, vars });
    try {
      const answer = await down.post([record()], { token: mint("one", pair.privateKey) });
      assert.equal(answer.status, 503, answer.text);
      assert.ok(Number(answer.headers["retry-after"]) >= 1);
      assert.ok(!answer.text.includes("127.0.0.1"));
    } finally {
      await down.stop();
    }
    status = 200;
    fetches = 0;
    const up = await System.start({ secrets: {}, vars });
    try {
      const together = await Promise.all(Array.from({ length: 8 }, () => up.post([record()], { token: mint("one", pair.privateKey) })));
      assert.deepEqual(together.map((answer) => answer.status), Array(8).fill(200));
      for (let nth = 0; nth < 5; nth += 1) assertProblem(await up.post([record()], { token: mint(`unknown${nth}`, stranger.privateKey) }), 401, "unauthorized");
      assertProblem(await up.post([record()], { token: mint("one", stranger.privateKey) }), 401, "unauthorized");
      assert.equal(fetches, 1, "unknown keys ask for a fetch at most every 30 s");
    } finally {
      await up.stop();
      provider.close();
    }
  });

  test("503: a broken setting refuses everything, and only the log says which", async () => {
    const broken = await System.start({ vars: { "firn-ingest": { FIRN_AUDIENCES: " , " } } });
    try {
      const answer = await broken.post([record()], { requestId: "broken-setting" });
      assertProblem(answer, 503, "configuration_invalid");
      assert.ok(!answer.text.includes("FIRN_"));
      assert.match((await logLineOf("broken-setting")).cause, /FIRN_AUDIENCES/);
    } finally {
      await broken.stop();
    }
  });
});
