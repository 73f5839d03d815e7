// A stand-in for Cloudflare's purge API that enforces its documented limits, and fails on demand.
import { once } from "node:events";
import http from "node:http";

const TAG = /^[\x21-\x2b\x2d-\x7e]{1,1024}$/;

export class ZoneApi {
  /** @param {{ zone: string, token: string, callsPerMinute: number, bucket: number, tagsPerCall: number }} limits */
  static async start(limits) {
    const api = new ZoneApi();
    Object.assign(api, limits, { tokens: limits.bucket, countedAt: performance.now() });
    api.server = http.createServer((request, response) => void api.#answer(request, response));
    api.server.listen(0, "127.0.0.1");
    await once(api.server, "listening");
    api.origin = `http://127.0.0.1:${api.server.address().port}`;
    return api;
  }

  /** Calls that were answered 200: `{ at, tags }`. */
  calls = [];
  /** What every other call was answered with. */
  refused = [];
  /** Answers of the next calls, each a function `(response, tags)`; what it does not end is purged as usual. */
  faults = [];
  #events = new Set();

  get purged() {
    return new Set(this.calls.flatMap(({ tags }) => tags));
  }

  reset() {
    [this.calls, this.refused, this.faults] = [[], [], []];
  }

  /** Once `isSo`; the runner's own deadline ends this otherwise. */
  async until(isSo) {
    while (!isSo()) await new Promise((go) => this.#events.add(go));
  }

  async #answer(request, response) {
    const pieces = await request.toArray();
    try {
      this.#decide(request, response, Buffer.concat(pieces).toString());
    } finally {
      for (const go of this.#events) go();
      this.#events.clear();
    }
  }

  #decide(request, response, text) {
    const refuse = (status, code, message, headers) => {
      this.refused.push({ status, message });
      send(response, status, { success: false, errors: [{ code, message }], messages: [], result: null }, headers);
    };
    if (request.method !== "POST" || request.url !== `/client/v4/zones/${this.zone}/purge_cache`) return refuse(404, 7003, "Could not route");
    if (request.headers.authorization !== `Bearer ${this.token}`) return refuse(403, 10000, "Authentication error");
    if (request.headers["content-type"] !== "application/json") return refuse(400, 6003, "Invalid request headers");
    const { tags, ...others } = JSON.parse(text);
    const isValid = Array.isArray(tags) && tags.length > 0 && tags.every((tag) => TAG.test(tag)) && Object.keys(others).length === 0;
    if (!isValid) return refuse(400, 1012, "Request must contain one of purge_everything, files, tags, hosts or prefixes");
    if (tags.length > this.tagsPerCall) return refuse(400, 1094, `at most ${this.tagsPerCall} tags`);
    const now = performance.now();
    this.tokens = Math.min(this.bucket, this.tokens + ((now - this.countedAt) / 60_000) * this.callsPerMinute);
    this.countedAt = now;
    if (this.tokens < 1) return refuse(429, 1134, "Rate limit reached", { "Retry-After": "1" });
    this.tokens -= 1;
    this.faults.shift()?.(response, tags);
    if (response.writableEnded || response.destroyed || response.isHeld) return;
    this.calls.push({ at: now, tags });
    send(response, 200, { success: true, errors: [], messages: [], result: { id: this.zone } });
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

export function send(response, status, body, headers = {}) {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}
