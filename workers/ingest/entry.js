import * as wasm from "./build/bindgen/index.js";
import { guarded } from "../shim.js";

const worker = guarded(wasm);

export default { fetch: worker.fetch };
