// Firn's ingest Worker as it was built. STUB=on takes the stream away: the text of a chunk is not decoded, not parsed
// and not sent, so that what is left is what Firn itself does.
import { memoryLenBytes } from "./hook.js";
import worker, { LedgerObject } from "./worker.js";

export { LedgerObject };

// Everything else that Firn decodes is shorter, but for a last chunk that is.
const CHUNK_LEN_BYTES_MIN = 64 * 1024;

const decode = TextDecoder.prototype.decode;
const stub = { async send() {} };

export default {
  async fetch(request, env, context) {
    if (request.method === "GET") return new Response(String(memoryLenBytes()));
    if (env.STUB !== "on") return worker.fetch(request, env, context);
    TextDecoder.prototype.decode = function (bytes, ...rest) {
      return bytes?.byteLength >= CHUNK_LEN_BYTES_MIN ? "[]" : decode.call(this, bytes, ...rest);
    };
    return worker.fetch(request, { ...env, STREAM_BULK: stub }, context);
  },
};
