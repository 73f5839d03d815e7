// What Firn is compared with: a Worker that only reads, and a careful ingest in JavaScript; and the peer that takes
// the chunks of both over RPC.
import { WorkerEntrypoint } from "cloudflare:workers";

const BUFFER_LEN_BYTES = 256 * 1024;
// As Firn's bulk.
const CHUNK_LEN_BYTES_MAX = 4_000_000;
const IN_FLIGHT_MAX = 3;
const RECORD_LEN_BYTES_MAX = 1_900_000;
const METADATA_LEN_BYTES_MAX = 16 * 1024;

/** Takes what it is sent, as the stream's binding would, and keeps nothing. */
export class Peer extends WorkerEntrypoint {
  async send(records) {
    if (!Array.isArray(records)) throw new TypeError("send takes an array of records");
  }
}

/** The body by a BYOB reader, piece by piece. A piece is valid until the next is asked for. */
async function* pieces(body) {
  const reader = body.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(BUFFER_LEN_BYTES);
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(buffer));
    if (done) return;
    yield value;
    buffer = value.buffer;
  }
}

export class Read extends WorkerEntrypoint {
  async fetch(request) {
    let lenBytes = 0;
    for await (const piece of pieces(request.body)) lenBytes += piece.length;
    return Response.json({ lenBytes });
  }
}

const NS = /^[a-z0-9][a-z0-9._-]{0,252}$/;
const TYPE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const ID_REFUSED = /[\u0000-\u001f\u007f-\u009f\\]|(^|\/)\.{0,2}(\/|$)|@v\d+$|\.(mdast|hast|estree|tsast|artifact|d)$/;
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
const VISIBILITIES = new Set(["public", "unlisted", "org", "user"]);
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const isString = (value) => typeof value === "string";
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isStrings = (value) => Array.isArray(value) && value.every(isString);
const isText = (value) => isString(value) && value.isWellFormed();
const isId = (value) => isText(value) && value.length <= 1024 && !ID_REFUSED.test(value) && (value.length <= 341 || encoder.encode(value).length <= 1024);

// One check for each field of a record (design.md §2).
const FIELDS = new Map([
  ["ns", (value) => isString(value) && NS.test(value.toLowerCase())],
  ["type", (value) => isString(value) && TYPE.test(value)],
  ["id", isId],
  ...["markdown", "mdx", "html", "esm", "dts", "css"].map((name) => [name, isText]),
  ...["mdast", "hast", "estree", "tsast"].map((name) => [name, () => true]),
  ["frontmatter", isObject],
  ["dependencies", isStrings],
  ["exports", isStrings],
  ["visibility", (value) => VISIBILITIES.has(value)],
  ["metadata", (value) => isObject(value) && JSON.stringify(value).length <= METADATA_LEN_BYTES_MAX],
  ["expires_at", (value) => isString(value) && RFC_3339.test(value) && !Number.isNaN(Date.parse(value))],
  ["deleted", (value) => typeof value === "boolean"],
  ["if_version", (value) => isString(value) && /^(0|[1-9]\d{0,15})$/.test(value)],
]);

// Fields that are stored as JSON text: a record that has one cannot be sent as its line stands.
const AS_TEXT = ["mdast", "hast", "estree", "tsast", "frontmatter", "metadata"];

function validate(record) {
  if (!isObject(record)) return "not an object";
  for (const name in record) {
    const isValid = FIELDS.get(name);
    if (isValid === undefined) return `${name} is no field`;
    if (!isValid(record[name])) return `${name} is not valid`;
  }
  if (record.ns === undefined || record.type === undefined || record.id === undefined) return "no key";
  return undefined;
}

/** Rows to chunks of at most 1 MiB of JSON, each given to `close` as bytes that it may use until it returns. */
class Chunker {
  #bytes = new Uint8Array(CHUNK_LEN_BYTES_MAX + 4096);
  #lenBytes = 0;
  #close;

  constructor(close) {
    this.#close = close;
  }

  /** Adds a row: `line` without its closing brace, and then `suffix`. Gives a promise only where one must wait. */
  push(line, suffix) {
    const wait = this.#lenBytes + line.length + suffix.length + 2 > CHUNK_LEN_BYTES_MAX ? this.finish() : undefined;
    this.#bytes[this.#lenBytes] = this.#lenBytes === 0 ? 0x5b : 0x2c;
    this.#bytes.set(line, this.#lenBytes + 1);
    const { written } = encoder.encodeInto(suffix, this.#bytes.subarray(this.#lenBytes + 1 + line.length));
    this.#lenBytes += 1 + line.length + written;
    return wait;
  }

  finish() {
    if (this.#lenBytes === 0) return undefined;
    this.#bytes[this.#lenBytes] = 0x5d;
    const lenBytes = this.#lenBytes + 1;
    this.#lenBytes = 0;
    return this.#close(this.#bytes.subarray(0, lenBytes));
  }
}

/** A careful ingest in JavaScript. What Firn does beyond it: the hash, names twice, numbers, depth, the caller's bytes. */
export class JavaScript extends WorkerEntrypoint {
  async fetch(request) {
    const inFlight = new Set();
    const publish = new Publish((chunk) => {
      if (this.env.SEND !== "on") return undefined;
      const sent = this.env.STREAM.send(JSON.parse(decoder.decode(chunk))).then(() => inFlight.delete(sent));
      inFlight.add(sent);
      return inFlight.size >= IN_FLIGHT_MAX ? Promise.race(inFlight) : undefined;
    });
    let carry = new Uint8Array(0);
    for await (const piece of pieces(request.body)) {
      let at = 0;
      for (let end; (end = piece.indexOf(0x0a, at)) !== -1; at = end + 1) {
        let line = piece.subarray(at, end);
        if (carry.length > 0) {
          line = joined(carry, line);
          carry = new Uint8Array(0);
        }
        const wait = line.length > 0 ? publish.take(line) : undefined;
        if (wait !== undefined) await wait;
      }
      if (at < piece.length) carry = joined(carry, piece.subarray(at));
    }
    if (carry.length > 0) await publish.take(carry);
    await publish.finish();
    await Promise.all(inFlight);
    return Response.json({ accepted: publish.accepted, rejected: publish.rejected });
  }
}

/** The lines of one request to rows. */
class Publish {
  accepted = 0;
  rejected = 0;
  #version = Date.now() * 1000;
  #fixed =
    `"owner_iss":"https://firn.localhost","owner_sub":"u1","ts":"${new Date().toISOString()}","mode":"build",` +
    `"ingest_id":"${crypto.randomUUID()}"`;
  #chunker;

  constructor(close) {
    this.#chunker = new Chunker(close);
  }

  take(line) {
    const record = line.length > RECORD_LEN_BYTES_MAX ? undefined : parse(line);
    if (record === undefined || validate(record) !== undefined) {
      this.rejected++;
      return undefined;
    }
    this.accepted++;
    const deleted = record.deleted === undefined ? ',"deleted":false' : "";
    const visibility = record.visibility === undefined ? ',"visibility":"public"' : "";
    const sizeBytes = record.markdown?.length ?? 0;
    const suffix = `,"version":${++this.#version},"size_bytes":${sizeBytes},${this.#fixed}${deleted}${visibility}}`;
    return this.#chunker.push(withoutBrace(record, line), suffix);
  }

  finish() {
    return this.#chunker.finish();
  }
}

function parse(line) {
  try {
    return JSON.parse(decoder.decode(line));
  } catch {
    return undefined;
  }
}

/** The record's JSON up to its closing brace: the line itself, unless a field is stored otherwise than it is written. */
function withoutBrace(record, line) {
  if (AS_TEXT.some((name) => record[name] !== undefined) || record.ns !== record.ns.toLowerCase()) {
    for (const name of AS_TEXT) if (record[name] !== undefined) record[name] = JSON.stringify(record[name]);
    record.ns = record.ns.toLowerCase();
    return encoder.encode(JSON.stringify(record).slice(0, -1));
  }
  return line.subarray(0, line.lastIndexOf(0x7d));
}

function joined(a, b) {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

export default { fetch: () => new Response(null, { status: 404 }) };
