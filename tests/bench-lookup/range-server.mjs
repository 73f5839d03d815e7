// An object store for benches: a folder over HTTP as S3 gives it, path style, to whoever asks. Every request waits a set
// time before it is answered, and all are counted.
//
// What counts as a wave is the same for every client, whatever it thinks of itself: requests are intervals, from the
// arrival of the head until the last byte was handed over, and the number of waves is the longest chain of requests
// of which each began after the one before had ended. It is the number of latencies that nothing could hide. It is only
// meaningful where a request takes much longer than a client needs to send several: not without latency.
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { resolve, sep } from "node:path";

/** Most bytes that one GET without a range gives: tables of a bench are small, a mistake should be loud. */
const BODY_LEN_BYTES_MAX = 64 * 1024 * 1024;

const pause = (millis) => new Promise((done) => setTimeout(done, millis));

/** Resolves to `{ origin, setLatency, take, close }`; `take` gives the counts since it was called last. */
export async function serveFolder(folder, bucket) {
  const root = resolve(folder) + sep;
  let latencyMillis = 0;
  let seen = [];

  async function answer(request, response) {
    const key = decodeURIComponent(new URL(request.url, "http://host").pathname).replace(`/${bucket}/`, "");
    const entry = { method: request.method, key, began: performance.now(), ended: Infinity, lenBytes: 0 };
    seen.push(entry);
    response.on("close", () => (entry.ended = performance.now()));
    if (latencyMillis > 0) await pause(latencyMillis);
    const path = resolve(root, key);
    const found = path.startsWith(root) && statSync(path, { throwIfNoEntry: false });
    if (!found?.isFile()) return end(response, 404, { "Content-Type": "application/xml" }, "<Error><Code>NoSuchKey</Code></Error>");
    const range = rangeOf(request.headers.range, found.size);
    if (range === undefined) return end(response, 416, { "Content-Range": `bytes */${found.size}` });
    const { start, length, status } = range;
    if (length > BODY_LEN_BYTES_MAX) throw new Error(`${key}: ${length} bytes in one answer`);
    const headers = { "Accept-Ranges": "bytes", "Content-Length": length, "Content-Type": "application/octet-stream", ETag: `"${found.size}"`, "Last-Modified": found.mtime.toUTCString() };
    if (status === 206) headers["Content-Range"] = `bytes ${start}-${start + length - 1}/${found.size}`;
    if (request.method === "HEAD") return end(response, 200, headers);
    entry.lenBytes = length;
    end(response, status, headers, readPart(path, start, length));
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      console.error(error);
      response.destroy();
    });
  });
  server.keepAliveTimeout = 600_000;
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    setLatency: (millis) => (latencyMillis = millis),
    take: () => counts(seen.splice(0)),
    close: () => (server.closeAllConnections(), server.close()),
  };
}

function end(response, status, headers, body) {
  response.writeHead(status, headers);
  response.end(body);
}

/** `bytes=a-b`, `bytes=a-` or `bytes=-n`; undefined where nothing of the object lies in it. */
function rangeOf(header, size) {
  if (header === undefined) return { start: 0, length: size, status: 200 };
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  if (!first && !last) return undefined;
  const start = first ? Number(first) : Math.max(0, size - Number(last));
  const endAt = first && last ? Math.min(size, Number(last) + 1) : size;
  return start < endAt ? { start, length: endAt - start, status: 206 } : undefined;
}

// At once, not through a pool of threads: the files are in memory, and the server should not be what is measured.
function readPart(path, start, length) {
  const file = openSync(path);
  try {
    const buffer = Buffer.allocUnsafe(length);
    if (readSync(file, buffer, 0, length, start) !== length) throw new Error(`${path}: short read`);
    return buffer;
  } finally {
    closeSync(file);
  }
}

/** What was asked for: requests, HEADs among them, waves, bytes, and how many different manifests were opened. */
export function counts(requests) {
  const isManifest = ({ key }) => key.endsWith(".avro") && !key.includes("/snap-");
  return {
    requests: requests.length,
    heads: requests.filter(({ method }) => method === "HEAD").length,
    waves: longestChain(requests),
    lenBytes: requests.reduce((sum, { lenBytes }) => sum + lenBytes, 0),
    manifests: new Set(requests.filter(isManifest).map(({ key }) => key)).size,
  };
}

/** The most intervals of which none overlaps another: always taking the one that ends first leaves the most room. */
export function longestChain(intervals) {
  let length = 0;
  let endedAt = -Infinity;
  for (const { began, ended } of intervals.toSorted((a, b) => a.ended - b.ended)) {
    if (began < endedAt) continue;
    length += 1;
    endedAt = ended;
  }
  return length;
}
