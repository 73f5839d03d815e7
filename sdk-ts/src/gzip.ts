/** What is shorter fits into one packet anyway. */
const GZIP_FROM_BYTES = 1_400

/**
 * A server refuses what expands to more than 200 times its length, as a bomb. Records that repeat themselves come near
 * that; a body that shrinks to less than a hundredth goes as it is.
 */
const GZIP_RATIO_MAX = 100

/** The body compressed, or nothing where this runtime cannot or it is not worth it. */
export async function gzip(body: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (body.byteLength < GZIP_FROM_BYTES || typeof CompressionStream === 'undefined') return undefined
  const stream = new Blob([body]).stream().pipeThrough(new CompressionStream('gzip'))
  const packed = new Uint8Array(await new Response(stream).arrayBuffer())
  return packed.byteLength < body.byteLength && packed.byteLength * GZIP_RATIO_MAX > body.byteLength ? packed : undefined
}
