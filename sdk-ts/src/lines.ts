import { InvalidInputError } from './errors.js'
import type { ArtifactRecord } from './record.js'

/** Records from anywhere. */
export type RecordSource<R extends ArtifactRecord = ArtifactRecord> = Iterable<R> | AsyncIterable<R> | ReadableStream<R>

/** What one request may hold. */
export interface Limits {
  /** Records; the server's default is 1,000. */
  readonly recordsPerRequest?: number | undefined
  /** Bytes of the body; the server's default is 10,485,760. */
  readonly requestLenBytes?: number | undefined
}

const RECORDS_PER_REQUEST = 1_000
const REQUEST_LEN_BYTES = 10 * 1024 * 1024

/** The limits with the server's defaults. */
export function checkLimits(limits: Limits): Required<{ readonly [K in keyof Limits]: number }> {
  const { recordsPerRequest = RECORDS_PER_REQUEST, requestLenBytes = REQUEST_LEN_BYTES } = limits
  for (const [field, value] of Object.entries({ recordsPerRequest, requestLenBytes })) {
    if (!Number.isSafeInteger(value) || value < 1) throw new InvalidInputError(field, 'must be a whole number, at least 1')
  }
  return { recordsPerRequest, requestLenBytes }
}

/** The body of one request, line by line: line n is record n - 1. */
export class Body<R extends ArtifactRecord = ArtifactRecord> {
  readonly records: R[] = []
  readonly #lines: Uint8Array[] = []
  #lenBytes = 0

  get lenBytes(): number {
    return this.#lenBytes
  }

  add(record: R, line: Uint8Array): void {
    this.records.push(record)
    this.#lines.push(line)
    this.#lenBytes += line.byteLength
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.#lenBytes)
    let offset = 0
    for (const line of this.#lines) {
      all.set(line, offset)
      offset += line.byteLength
    }
    return all
  }
}

const encoder = new TextEncoder()

/** @throws InvalidInputError if it has no JSON */
export function encodeLine(record: unknown): Uint8Array {
  let text: unknown
  try {
    text = JSON.stringify(record)
  } catch (cause) {
    throw Object.assign(new InvalidInputError('record', 'must be JSON'), { cause })
  }
  if (typeof text !== 'string') throw new InvalidInputError('record', 'must be JSON')
  return encoder.encode(`${text}\n`)
}

/**
 * The records of any source, one at a time. The source is told when nobody wants more; an abort does not wait for it.
 */
export async function* recordsOf<R extends ArtifactRecord>(
  source: RecordSource<R>,
  signal: AbortSignal | undefined,
): AsyncGenerator<R, void, undefined> {
  signal?.throwIfAborted()
  if (Symbol.iterator in source) {
    for (const record of source) {
      signal?.throwIfAborted()
      yield record
    }
    return
  }
  const { next, stop } = pulls(source)
  // One listener for all pulls: a race per record against one promise would keep each of them until the signal goes.
  let abort: ((reason: unknown) => void) | undefined
  const onAbort = (): void => abort?.(signal?.reason)
  signal?.addEventListener('abort', onAbort)
  let isDone = false
  try {
    for (;;) {
      signal?.throwIfAborted()
      const result = await new Promise<IteratorResult<R, unknown>>((resolve, reject) => {
        abort = reject
        next().then(resolve, (error: unknown) => {
          isDone = true
          reject(error)
        })
      })
      if (result.done === true) {
        isDone = true
        return
      }
      yield result.value
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    // A source that hangs would hang here too, so it is told and not waited for.
    if (!isDone) stop()
  }
}

interface Pulls<R> {
  readonly next: () => Promise<IteratorResult<R, unknown>>
  readonly stop: () => void
}

function pulls<R>(source: AsyncIterable<R> | ReadableStream<R>): Pulls<R> {
  // Not every browser can iterate a stream.
  if ('getReader' in source) {
    const reader = source.getReader()
    const next = async (): Promise<IteratorResult<R, unknown>> => {
      const { done, value } = await reader.read()
      return done ? { done, value } : { done, value }
    }
    return { next, stop: () => void reader.cancel().catch(() => undefined) }
  }
  const iterator = source[Symbol.asyncIterator]()
  return {
    next: async () => iterator.next(),
    stop: () => void Promise.resolve(iterator.return?.()).catch(() => undefined),
  }
}
