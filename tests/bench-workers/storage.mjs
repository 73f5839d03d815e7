// Cloudflare's storage as workerd speaks to it, out of memory and in another process than the workerd that is measured:
// R2, the Cache API and an empty KV namespace.
import { once } from "node:events";
import http from "node:http";

async function listen(answer) {
  const server = http.createServer(answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port, stop: () => (server.closeAllConnections(), server.close()) };
}

/** R2 as its binding speaks to it, gets alone; `note` is told of each: `{ key, range }`. */
export function startR2(objects, note) {
  return listen((request, response) => {
    const { method, object: key, range } = JSON.parse(request.headers["cf-r2-request"]);
    const bytes = objects.get(key);
    if (bytes === undefined) {
      response.writeHead(404, { "cf-r2-error": JSON.stringify({ version: 1, v4code: 10007, message: "no such key" }) });
      return response.end();
    }
    const length = Math.min(Number(range?.suffix ?? range?.length ?? bytes.length), bytes.length);
    const offset = range?.suffix === undefined ? Number(range?.offset ?? 0) : bytes.length - length;
    const body = method === "get" ? bytes.subarray(offset, offset + length) : Buffer.alloc(0);
    note({ key, range });
    const object = { name: key, version: "1", size: bytes.length, etag: "0".repeat(32), uploaded: 0, httpFields: {}, customFields: [], range: { offset, length: body.length }, checksums: {} };
    const metadata = Buffer.from(JSON.stringify(object));
    response.writeHead(200, { "cf-r2-metadata-size": metadata.length, "Content-Type": "application/json", "Content-Length": metadata.length + body.length });
    response.write(metadata);
    return response.end(body);
  });
}

/** The Cache API: what is put is given back until it is deleted; nothing ends by its age. */
export function startCache() {
  const entries = new Map();
  return listen(async (request, response) => {
    const key = `${request.headers.host}${request.url}`;
    if (request.method === "PUT") {
      entries.set(key, parseResponse(Buffer.concat(await request.toArray())));
      response.writeHead(204);
    } else if (request.method === "PURGE") {
      response.writeHead(entries.delete(key) ? 200 : 404);
    } else if (entries.has(key)) {
      const { status, headers, body } = entries.get(key);
      response.writeHead(status, [...headers, "Content-Length", body.length, "CF-Cache-Status", "HIT"]);
      return response.end(body);
    } else {
      response.writeHead(504, { "CF-Cache-Status": "MISS" });
    }
    return response.end();
  });
}

/** A put's body is a whole response of HTTP/1.1, in chunks where its length was not known. */
function parseResponse(bytes) {
  const end = bytes.indexOf("\r\n\r\n");
  const [first, ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const pairs = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
  const isChunked = pairs.some(([name, value]) => /^transfer-encoding$/i.test(name) && /chunked/i.test(value));
  const body = bytes.subarray(end + 4);
  const kept = pairs.filter(([name]) => !/^(transfer-encoding|content-length|connection)$/i.test(name));
  return { status: Number(first.split(" ")[1]), headers: kept.flat(), body: isChunked ? joinChunks(body) : body };
}

function joinChunks(bytes) {
  const parts = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    const length = Number.parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16);
    if (!length) return Buffer.concat(parts);
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
}

/** A KV namespace without a key. */
export const startKv = () => listen((_, response) => (response.writeHead(404), response.end()));
