import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import * as wasm from "./build/bindgen/index.js";
import { guarded } from "../shim.js";

const worker = guarded(wasm);

// What Pipelines takes in one request, in bytes of JSON.
const REQUEST_LEN_BYTES_MAX = 5_000_000;

export default { fetch: worker.fetch };

/** One stream of the local stand-in for Cloudflare Pipelines: rows waiting in SQLite for their flush into the table. */
export const StreamObject = worker.durableObject(DurableObject, wasm.StreamObject);

/**
 * The shape of the Pipelines binding. `props.stream` names the stream. Resolves when the records are durable; reports
 * nothing per record, as the real one.
 */
export class Stream extends WorkerEntrypoint {
  async send(records) {
    if (!Array.isArray(records)) throw new TypeError("send takes an array of records");
    const body = new TextEncoder().encode(JSON.stringify(records));
    if (body.length > REQUEST_LEN_BYTES_MAX) {
      throw new Error(`request of ${body.length} bytes is over the limit of ${REQUEST_LEN_BYTES_MAX}`);
    }
    const stub = this.env.STREAMS.getByName(this.ctx.props.stream);
    const answer = await stub.fetch(`http://stream/append?stream=${this.ctx.props.stream}`, { method: "POST", body });
    if (!answer.ok) throw new Error(`the stream answered ${answer.status}: ${await answer.text()}`);
  }
}
