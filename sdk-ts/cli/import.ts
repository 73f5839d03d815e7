// firn import: a file of records, line by line as it is. How far it came stands in a file beside it, with the idempotency
// key of its requests: started again after an interruption it goes on, and what was under way is not written twice.

import { createReadStream, existsSync, openSync, closeSync, readFileSync, renameSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { createGunzip } from 'node:zlib'

import { isFirnError } from '../src/errors.js'
import { checkLimits } from '../src/lines.js'
import { outcome, type Outcome } from '../src/many.js'
import type { LineError } from '../src/problem.js'
import type { Mode } from '../src/record.js'
import { Transport } from '../src/transport.js'
import { parseBase } from '../src/url.js'
import { makeKey, writeLines } from '../src/write.js'
import { count, plural, size, type Context } from './context.js'
import { EXIT, Exit, UsageError } from './exit.js'
import { startProgress } from './progress.js'

/** How a file is imported. */
export interface ImportFlags {
  readonly mode: Mode
  readonly restart?: boolean
  readonly rejected?: string
  readonly recordsPerRequest?: number
  readonly requestLenBytes?: number
}

/** How far an import has come; all of it is behind what the server has answered. */
interface State {
  /** What the file was; another one begins anew. */
  readonly file: { readonly lenBytes: number; readonly modifiedMs: number }
  readonly url: string
  readonly mode: Mode
  readonly recordsPerRequest: number
  readonly requestLenBytes: number
  /** Request n has the key `{key}.{n}`. */
  readonly key: string
  readonly requests: number
  /** Where the next request begins: in bytes of what the file expands to, and in lines. */
  readonly offset: number
  readonly line: number
  readonly records: number
  readonly accepted: number
  readonly unchanged: number
  readonly rejected: number
}

/** Lines of one request. */
interface Batch {
  readonly ns: string | undefined
  readonly lines: Buffer[]
  /** Their numbers in the file. */
  readonly numbers: number[]
  lenBytes: number
  /** Where the line after the last one begins. */
  offset: number
  line: number
}

const SHOWN_MAX = 20

export async function importFile(context: Context, file: string, flags: ImportFlags): Promise<void> {
  const run = new Import(context, file, flags)
  try {
    await run.send()
  } finally {
    run.close()
  }
  run.report()
}

class Import {
  readonly #context: Context
  readonly #file: string
  readonly #stateFile: string
  readonly #rejected: number | undefined
  readonly #transport: Transport
  readonly #shown: string[] = []
  #state: State
  #isResumed = false

  constructor(context: Context, file: string, flags: ImportFlags) {
    this.#context = context
    this.#file = file
    this.#stateFile = `${file}.firn-import.json`
    this.#state = this.#begin(flags)
    const { baseUrl: _, ...options } = context.clientOptions
    this.#transport = new Transport(options)
    this.#rejected = flags.rejected === undefined ? undefined : openSync(flags.rejected, this.#isResumed ? 'a' : 'w')
  }

  #begin({ mode, restart, ...limits }: ImportFlags): State {
    const { size: lenBytes, mtimeMs: modifiedMs } = statSync(this.#file)
    const url = parseBase(this.#context.baseUrl)
    const wanted = { file: { lenBytes, modifiedMs }, url, mode, ...checkLimits(limits) }
    if (restart !== true && existsSync(this.#stateFile)) {
      const held = JSON.parse(readFileSync(this.#stateFile, 'utf8')) as State
      const isSame = held.file.lenBytes === lenBytes && held.file.modifiedMs === modifiedMs && held.url === url && held.mode === mode
      if (!isSame) throw new UsageError(`${this.#stateFile} is of another file, server or mode; --restart begins anew`)
      this.#isResumed = true
      this.#context.note(`going on at line ${count(held.line)}; --restart begins anew`)
      return held
    }
    return { ...wanted, key: makeKey(), requests: 0, offset: 0, line: 1, records: 0, accepted: 0, unchanged: 0, rejected: 0 }
  }

  async send(): Promise<void> {
    const progress = startProgress(this.#context, this.#state.file.lenBytes)
    try {
      this.#save(this.#state)
      while (!(await this.#sendFrom(progress.update)));
      rmSync(this.#stateFile)
    } catch (error) {
      this.#context.note(`stopped at line ${count(this.#state.line)}; the same command goes on there`)
      throw error
    } finally {
      progress.stop()
    }
  }

  /** Sends what is left; `false` if a limit of the namespace is smaller than thought, and the rest must be cut anew. */
  async #sendFrom(update: (bytes: number, records: number) => void): Promise<boolean> {
    const { signal } = this.#context
    const source = createReadStream(this.#file, this.#isPacked ? {} : { start: this.#state.offset })
    const started = this.#isPacked ? 0 : this.#state.offset
    try {
      for await (const batch of batches(this.#isPacked ? source.pipe(createGunzip()) : source, this.#state, started)) {
        signal.throwIfAborted()
        const { mode, key, requests } = this.#state
        const options = { mode, idempotencyKey: `${key}.${requests}`, signal, isGzip: true }
        const body = new Uint8Array(Buffer.concat(batch.lines))
        const sent = writeLines(this.#transport, this.#state.url, body, options).then(({ data }) => data)
        this.#take(batch, await outcome(sent, batch.lines.length))
        update(started + source.bytesRead, this.#state.records)
      }
      return true
    } catch (error) {
      const smaller = smallerLimits(error, this.#state)
      if (smaller === undefined) throw error
      this.#context.note(`the namespace takes ${count(smaller.recordsPerRequest)} records and ${size(smaller.requestLenBytes)} in a request`)
      // Cut otherwise, the requests are others.
      this.#save({ ...this.#state, ...smaller, key: makeKey(), requests: 0 })
      return false
    } finally {
      source.destroy()
    }
  }

  #take(batch: Batch, { accepted, unchanged, errors }: Outcome): void {
    for (const error of errors) this.#reject(batch, error)
    const all = batch.lines.length
    const { requests, records, ...held } = this.#state
    this.#save({
      ...held,
      requests: requests + 1,
      offset: batch.offset,
      line: batch.line,
      records: records + all,
      accepted: held.accepted + accepted,
      unchanged: held.unchanged + unchanged,
      rejected: held.rejected + all - accepted,
    })
  }

  #reject(batch: Batch, { line: idx, ...error }: LineError): void {
    const line = batch.numbers[idx - 1]
    if (line === undefined) return
    const text = batch.lines[idx - 1]?.toString('utf8').trimEnd()
    if (this.#rejected !== undefined) writeSync(this.#rejected, `${JSON.stringify({ line, ...error, text })}\n`)
    if (this.#shown.length < SHOWN_MAX) this.#shown.push(`line ${count(line)}: ${error.detail ?? error.code}`)
  }

  /** Whole or not at all, whenever the process ends. */
  #save(state: State): void {
    this.#state = state
    writeFileSync(`${this.#stateFile}.new`, JSON.stringify(state))
    renameSync(`${this.#stateFile}.new`, this.#stateFile)
  }

  get #isPacked(): boolean {
    return this.#file.endsWith('.gz')
  }

  close(): void {
    if (this.#rejected !== undefined) closeSync(this.#rejected)
  }

  report(): void {
    const { colors } = this.#context
    const { requests, records, accepted, unchanged, rejected } = this.#state
    this.#context.print({ requests, records, accepted, unchanged, rejected, resumed: this.#isResumed }, () => {
      const same = unchanged === 0 ? '' : ` (${count(unchanged)} unchanged)`
      const mark = rejected === 0 ? colors.green('✔') : colors.yellow('!')
      return `${mark} ${plural(accepted, 'record')} imported${same}, ${count(rejected)} rejected`
    })
    for (const line of this.#shown) this.#context.note(line)
    if (rejected > 0) throw new Exit(EXIT.rejected)
  }
}

/** The limits that a refusal names, where they are smaller; nothing was taken. */
function smallerLimits(error: unknown, held: State): Pick<State, 'recordsPerRequest' | 'requestLenBytes'> | undefined {
  if (!isFirnError(error, 'BadRequestError') || error.status !== 413 || error.limit === undefined || error.limit < 1) return undefined
  const { recordsPerRequest, requestLenBytes } = held
  if (error.code === 'too_many_records' && error.limit < recordsPerRequest) return { recordsPerRequest: error.limit, requestLenBytes }
  if (error.code === 'body_too_large' && error.limit < requestLenBytes) return { recordsPerRequest, requestLenBytes: error.limit }
  return undefined
}

/** Cuts lines into requests: the same from the same place on, whenever it is done. */
async function* batches(source: AsyncIterable<Buffer>, state: State, started: number): AsyncGenerator<Batch> {
  const { recordsPerRequest, requestLenBytes } = state
  let batch: Batch | undefined
  for await (const { text, end, number } of lines(source, { offset: state.offset, line: state.line, started })) {
    if (text.toString('latin1').trim() === '') {
      if (batch !== undefined) Object.assign(batch, { offset: end, line: number + 1 })
      continue
    }
    const ns = namespaceOf(text) ?? batch?.ns
    const isFull = batch !== undefined && (batch.lines.length >= recordsPerRequest || batch.lenBytes + text.byteLength > requestLenBytes)
    // One request writes one namespace.
    const isOther = batch?.ns !== undefined && ns !== batch.ns
    if (batch !== undefined && (isFull || isOther)) {
      yield batch
      batch = undefined
    }
    batch ??= { ns, lines: [], numbers: [], lenBytes: 0, offset: 0, line: 0 }
    batch.lines.push(text)
    batch.numbers.push(number)
    batch.lenBytes += text.byteLength
    Object.assign(batch, { offset: end, line: number + 1 })
  }
  if (batch !== undefined) yield batch
}

/** Each line with its end, and where that is; from `offset` on. */
async function* lines(
  source: AsyncIterable<Buffer>,
  from: { readonly offset: number; readonly line: number; readonly started: number },
): AsyncGenerator<{ readonly text: Buffer; readonly end: number; readonly number: number }> {
  let position = from.started
  let number = from.line
  let rest: Buffer[] = []
  for await (const piece of source) {
    // What a packed file expands to cannot be entered in its middle.
    const begin = Math.max(0, Math.min(piece.byteLength, from.offset - position))
    let start = begin
    for (;;) {
      const newline = piece.indexOf(10, start)
      if (newline === -1) break
      const text = Buffer.concat([...rest, piece.subarray(start, newline + 1)])
      rest = []
      yield { text, end: position + newline + 1, number }
      number += 1
      start = newline + 1
    }
    if (start < piece.byteLength) rest.push(piece.subarray(start))
    position += piece.byteLength
  }
  if (rest.length > 0) yield { text: Buffer.concat([...rest, Buffer.from('\n')]), end: position, number }
}

function namespaceOf(text: Buffer): string | undefined {
  try {
    const value: unknown = JSON.parse(text.toString('utf8'))
    const ns = typeof value === 'object' && value !== null && 'ns' in value ? value.ns : undefined
    return typeof ns === 'string' ? ns.toLowerCase() : undefined
  } catch {
    // The server says what is wrong with it.
    return undefined
  }
}
