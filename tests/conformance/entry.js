import * as wasm from "./build/bindgen/index.js";
import { guarded } from "../../workers/shim.js";

export default { fetch: guarded(wasm).fetch };
