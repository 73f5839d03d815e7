import { WorkerEntrypoint } from "cloudflare:workers";
import * as wasm from "./build/bindgen/index.js";
import { guarded } from "../shim.js";

const worker = guarded(wasm);

export default { fetch: worker.fetch };

/** Called by ingest after a commit, over a service binding: copies of what was written are gone when it returns. */
export class Purge extends WorkerEntrypoint {
  purge(message) {
    return worker.call(() => wasm.purge(message, this.env));
  }
}
