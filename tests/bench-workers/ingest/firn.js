// Firn's ingest Worker as it was built. STUB=on takes the stream away: the texts of a chunk are not decoded, no objects
// are made of its rows and none are sent, so that what is left is what Firn itself does.
import { memoryLenBytes } from "./hook.js";
import worker, { LedgerObject } from "./worker.js";

export { LedgerObject };

// Everything else that Firn decodes is shorter, but for a last chunk that is.
const CHUNK_LEN_BYTES_MIN = 64 * 1024;

const decode = TextDecoder.prototype.decode;
const noWords = new Uint32Array(0);
const stub = { async send() {} };

export default {
  async fetch(request, env, context) {
    if (request.method === "GET") return new Response(String(memoryLenBytes()));
    if (env.STUB !== "on") return worker.fetch(request, env, context);
    TextDecoder.prototype.decode = function (bytes, ...rest) {
      return bytes?.byteLength >= CHUNK_LEN_BYTES_MIN ? "[]" : decode.call(this, bytes, ...rest);
    };
    // The words that tell the rows of a chunk are the only ones that Firn hands out.
    Uint32Array.prototype.subarray = () => noWords;
    return worker.fetch(request, { ...env, STREAM_BULK: stub }, context);
  },
};
