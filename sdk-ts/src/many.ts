import type { IngestAnswer } from './answer.js'
import { FirnError, ResponseError } from './errors.js'
import { Body, checkLimits, encodeLine, recordsOf, type Limits, type RecordSource } from './lines.js'
import type { LineError } from './problem.js'
import type { ArtifactRecord, Mode } from './record.js'
import type { CallOptions } from './transport.js'

/** A record that was not taken, and why. */
export interface RecordError<R extends ArtifactRecord = ArtifactRecord> extends LineError {
  /** Its place among all records of the call, from 0. `line` is its line in the request that held it. */
  readonly index: number
  /** The record itself, as it was given. */
  readonly record: R
  /** The request that held it. */
  readonly requestId: string | undefined
}

/** How far a call has come: what requests that were answered held. */
export interface PutManyProgress {
  /** Requests answered. */
  readonly requests: number
  /** Records in them, always `accepted + rejected`. */
  readonly records: number
  /** Bytes of their bodies. */
  readonly bytes: number
  /** Records taken. */
  readonly accepted: number
  /** Those of them that equal what was stored. */
  readonly unchanged: number
  /** Records not taken. */
  readonly rejected: number
}

/** What a call came to. */
export interface PutManyResult<R extends ArtifactRecord = ArtifactRecord> extends PutManyProgress {
  /** The first rejected records: at most 100 of a request, 1,000 in all. The counts are exact. */
  readonly errors: readonly RecordError<R>[]
}

/** How many records are written. */
export interface PutManyOptions extends CallOptions, Limits {
  /** Absent: the namespace's default. */
  readonly mode?: Mode | undefined
  /**
   * 1–240 of `A-Z a-z 0-9 . _ = -`; request n has the key `{this}.{n}`. The same records with the same key and limits
   * have their effect once, also in another process. Made for every call where it is left out.
   */
  readonly idempotencyKey?: string | undefined
  /** Called after every request that was answered. */
  readonly onProgress?: ((progress: PutManyProgress) => void) | undefined
}

/** A call ended before all records were sent. `cause` says why. */
export class PutManyError<R extends ArtifactRecord = ArtifactRecord> extends FirnError {
  override readonly name = 'PutManyError'
  /** What was answered before: the record to go on with is number `result.records`, from 0. */
  readonly result: PutManyResult<R>

  constructor(result: PutManyResult<R>, cause: unknown) {
    super(`records from ${result.records} on were not confirmed: ${cause instanceof Error ? cause.message : cause}`, { cause })
    this.result = result
  }
}

/** Most rejected records that are kept, so that memory does not grow with what is wrong. */
const ERRORS_KEPT_MAX = 1_000

/** Sends one request. */
export type Write = (body: Uint8Array<ArrayBuffer>, idempotencyKey: string) => Promise<IngestAnswer>

/** Cuts records into requests and sends them one after the other; holds the records of one request at a time. */
export async function putMany<R extends ArtifactRecord>(
  source: RecordSource<R>,
  options: PutManyOptions,
  key: string,
  write: Write,
): Promise<PutManyResult<R>> {
  const { signal, onProgress } = options
  const { recordsPerRequest, requestLenBytes } = checkLimits(options)
  const tally = new Tally<R>()
  let body = new Body<R>()

  const send = async (): Promise<void> => {
    const bytes = body.bytes()
    tally.add(body, await outcome(write(bytes, `${key}.${tally.progress().requests}`), body.records.length))
    body = new Body<R>()
    onProgress?.(tally.progress())
  }
  try {
    for await (const record of recordsOf(source, signal)) {
      const line = encodeLine(record)
      const isFull = body.records.length >= recordsPerRequest || body.lenBytes + line.byteLength > requestLenBytes
      const [first] = body.records
      // One request writes one namespace.
      if (first !== undefined && (isFull || first.ns !== record.ns)) await send()
      body.add(record, line)
    }
    if (body.records.length > 0) await send()
  } catch (cause) {
    if (signal?.aborted === true) throw signal.reason
    throw new PutManyError(tally.result(), cause)
  }
  return tally.result()
}

/** What became of one request. */
export type Outcome = Pick<IngestAnswer, 'accepted' | 'unchanged' | 'errors'> & { readonly requestId: string | undefined }

/** A request of which no line was taken, because of its lines, is an outcome like others. */
export async function outcome(answer: Promise<IngestAnswer>, count: number): Promise<Outcome> {
  try {
    return await answer
  } catch (error) {
    const { code, errors, requestId } = error instanceof ResponseError ? error : {}
    const isOfLines = code === 'nothing_accepted' || code === 'version_conflict'
    if (!isOfLines || errors === undefined || count === 0) throw error
    return { accepted: 0, unchanged: 0, errors, requestId }
  }
}

class Tally<R extends ArtifactRecord> {
  #progress: PutManyProgress = { requests: 0, records: 0, bytes: 0, accepted: 0, unchanged: 0, rejected: 0 }
  readonly #errors: RecordError<R>[] = []

  progress(): PutManyProgress {
    return this.#progress
  }

  result(): PutManyResult<R> {
    return { ...this.#progress, errors: [...this.#errors] }
  }

  add({ records, lenBytes }: Body<R>, { accepted, unchanged, errors, requestId }: Outcome): void {
    const before = this.#progress
    for (const error of errors) {
      const record = records[error.line - 1]
      if (record === undefined || this.#errors.length >= ERRORS_KEPT_MAX) continue
      this.#errors.push({ ...error, index: before.records + error.line - 1, record, requestId })
    }
    this.#progress = {
      requests: before.requests + 1,
      records: before.records + records.length,
      bytes: before.bytes + lenBytes,
      accepted: before.accepted + accepted,
      unchanged: before.unchanged + unchanged,
      // Lines after a limit of the request are not read and not counted by the server; they were not taken either.
      rejected: before.rejected + records.length - accepted,
    }
  }
}
