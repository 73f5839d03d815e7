import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import * as wasm from "./build/bindgen/index.js";
import { guarded } from "../shim.js";

const worker = guarded(wasm);

// What Pipelines takes in one request, in bytes of JSON.
const REQUEST_LEN_BYTES_MAX = 5_000_000;

// Faults that the development origin asked for, by stream: how often, and what happens instead of a plain send.
const faults = new Map();
const FAULTS = ["fail_before", "fail_after", "delay", "throttle", "drop", "drop_rows", "repeat_rows"];

export default {
  fetch(request, env, context) {
    const url = new URL(request.url);
    if (env.FIRN_DEVELOPMENT === "on" && url.pathname === "/$.dev/fault") return setFault(request, url);
    return worker.fetch(request, env, context);
  },

  /** Each minute in production: the tables are followed. */
  scheduled(event, env, context) {
    return worker.call(() => wasm.scheduled(event, env, context));
  },
};

/**
 * `POST /$.dev/fault?stream=S&kind=K&skip=0&count=1&millis=0&share=1&seed=0`: after `skip` sends, the next `count` of the
 * stream fail before or after they are stored, are delayed, throttled (429 with Retry-After of `millis`), or dropped; or a
 * `share` of their rows is dropped or stored twice, which rows by `seed`. DELETE: none.
 */
function setFault(request, url) {
  const number = (name, otherwise) => Number(url.searchParams.get(name) ?? otherwise);
  const [stream, kind] = [url.searchParams.get("stream"), url.searchParams.get("kind")];
  if (request.method === "DELETE") faults.clear();
  else if (request.method !== "POST" || !stream || !FAULTS.includes(kind)) {
    return Response.json({ error: `POST with stream, and kind one of ${FAULTS.join(", ")}; or DELETE` }, { status: 400 });
  } else {
    const counts = { skip: number("skip", 0), count: number("count", 1), millis: number("millis", 0) };
    faults.set(stream, { kind, ...counts, share: number("share", 1), seed: number("seed", 0) });
  }
  return Response.json(Object.fromEntries(faults));
}

/** The fault of this send, if one is due. */
function dueFault(stream) {
  const fault = faults.get(stream);
  if (fault === undefined) return undefined;
  if (fault.skip > 0) {
    fault.skip--;
    return undefined;
  }
  if (fault.count-- <= 0) {
    faults.delete(stream);
    return undefined;
  }
  return fault;
}

/** The queue of what is to be purged from the zone; one object. */
export const PurgeObject = worker.durableObject(DurableObject, wasm.PurgeObject);

/** Whether a row is among the share that a fault strikes: a step of a linear congruential generator (Numerical Recipes). */
function strikes(fault) {
  fault.seed = (Math.imul(fault.seed, 1_664_525) + 1_013_904_223) >>> 0;
  return fault.seed / 2 ** 32 < fault.share;
}

/** One stream of the local stand-in for Cloudflare Pipelines: rows waiting in SQLite for their flush into the table. */
export const StreamObject = worker.durableObject(DurableObject, wasm.StreamObject);

/**
 * The shape of the Pipelines binding. `props.stream` names the stream. Resolves when the records are durable; reports
 * nothing per record, as the real one.
 */
export class Stream extends WorkerEntrypoint {
  async send(records) {
    if (!Array.isArray(records)) throw new TypeError("send takes an array of records");
    let body = new TextEncoder().encode(JSON.stringify(records));
    if (body.length > REQUEST_LEN_BYTES_MAX) {
      throw new Error(`request of ${body.length} bytes is over the limit of ${REQUEST_LEN_BYTES_MAX}`);
    }
    const fault = dueFault(this.ctx.props.stream);
    if (fault?.kind === "throttle") throw new Error(`429 too many requests; Retry-After: ${Math.ceil(fault.millis / 1000)}`);
    if (fault?.kind === "fail_before") throw new Error("503 the stream failed before it stored the records");
    if (fault?.kind === "delay") await scheduler.wait(fault.millis);
    if (fault?.kind === "drop") return;
    if (fault?.kind === "drop_rows" || fault?.kind === "repeat_rows") {
      const copies = fault.kind === "drop_rows" ? 0 : 2;
      const stored = records.flatMap((record) => (strikes(fault) ? Array(copies).fill(record) : [record]));
      body = new TextEncoder().encode(JSON.stringify(stored));
    }
    const stub = this.env.STREAMS.getByName(this.ctx.props.stream);
    const answer = await stub.fetch(`http://stream/append?stream=${this.ctx.props.stream}`, { method: "POST", body });
    if (fault?.kind === "fail_after") throw new Error("503 the stream failed after it stored the records");
    if (!answer.ok) throw new Error(`the stream answered ${answer.status}: ${await answer.text()}`);
  }
}
