import { DurableObject } from "cloudflare:workers";
import * as wasm from "./build/bindgen/index.js";
import { guarded } from "../shim.js";

const worker = guarded(wasm);

export default { fetch: worker.fetch };

/** The ledger of one namespace. */
export const LedgerObject = worker.durableObject(DurableObject, wasm.LedgerObject);
