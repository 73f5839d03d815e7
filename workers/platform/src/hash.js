import { createHash } from "node:crypto";

/** SHA-256 of `bytes` to `digest`, in one call from wasm. */
export function sha256(bytes, digest) {
  digest.set(createHash("sha256").update(bytes).digest());
}

export const begin = () => createHash("sha256");
