import { parseAnswer, type IngestAnswer } from './answer.js'
import { ANSWER_BYTES_MAX, readJson } from './errors.js'
import { gzip } from './gzip.js'
import type { Mode } from './record.js'
import type { Answered, CallOptions, Transport } from './transport.js'

/** How one request is written. */
export interface WriteOptions<M extends Mode = Mode> extends CallOptions {
  /** Absent: the namespace's default. */
  readonly mode?: M | undefined
  /** 1–256 of `A-Z a-z 0-9 . _ = -`; the same request with the same key has its effect once. Made where it is left out. */
  readonly idempotencyKey?: string | undefined
}

/** Sends lines of one namespace in one request. */
export async function writeLines(
  transport: Transport,
  baseUrl: string,
  lines: Uint8Array<ArrayBuffer>,
  options: WriteOptions & { readonly isGzip: boolean },
): Promise<Answered<IngestAnswer>> {
  const { mode, idempotencyKey = makeKey(), isGzip } = options
  // Once for all attempts: the server compares what it expands to.
  const packed = isGzip ? await gzip(lines) : undefined
  const headers = {
    'content-type': 'application/x-ndjson',
    'idempotency-key': idempotencyKey,
    ...(packed === undefined ? {} : { 'content-encoding': 'gzip' }),
    ...(mode === undefined ? {} : { 'x-artifact-mode': mode }),
  }
  const url = `${baseUrl}/$.artifacts`
  const takes = ({ ok }: Response): boolean => ok
  const read = async (response: Response): Promise<IngestAnswer> => parseAnswer(await readJson(response, ANSWER_BYTES_MAX))
  return transport.send({ method: 'POST', url, headers, body: packed ?? lines, cache: 'expire', takes, read }, options)
}

/** 128 random bits. Not `randomUUID`, which browsers have on secure origins only. */
export function makeKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
