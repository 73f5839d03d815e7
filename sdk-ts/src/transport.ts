import { Cache, type CacheOptions, type Send } from './cache.js'
import { ConnectionError, InvalidAnswerError, InvalidInputError, ResponseError, TimeoutError } from './errors.js'
import { isFirnError, responseError } from './errors.js'

/** Time and chance, which tests replace. */
export interface Clock {
  /** Runs something later; what it gives back cancels that. */
  readonly after: (ms: number, run: () => void) => () => void
  /** In [0, 1). */
  readonly random: () => number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the call at once, its waiting for a retry included; the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds for one attempt, its answer included (of a stream, until it begins). */
  readonly timeout?: number | undefined
  /** How often a failed attempt is repeated. */
  readonly maxRetries?: number | undefined
}

/** A token, or what gives one; asked before every attempt. */
export type TokenSource = string | (() => string | Promise<string>)

/** What the transport is made of. */
export interface TransportOptions {
  /** Sent with every request; absent: public artifacts can be read. */
  readonly token?: TokenSource | undefined
  /** What sends; the runtime's own where it is left out. */
  readonly fetch?: typeof fetch | undefined
  /** Milliseconds for one attempt; a minute where it is left out. */
  readonly timeout?: number | undefined
  /** How often a failed attempt is repeated; twice where it is left out. */
  readonly maxRetries?: number | undefined
  /** Keeps what is read in memory as far as `Cache-Control` allows; off where it is left out. */
  readonly cache?: CacheOptions | boolean | undefined
  /** Time and chance; for tests. */
  readonly clock?: Clock | undefined
}

/** One call: what is sent, and how its answer is read. */
export interface Exchange<T> {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'DELETE'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer>
  /** Absent: the cache has nothing to do with it. */
  readonly cache?: 'read' | 'expire'
  /** Whether an answer is read; any other becomes an error. */
  readonly takes: (response: Response) => boolean
  /** Throws if what is read is no answer of Firn's; then nothing of it is kept. */
  readonly check?: (response: Response) => void
  readonly read: (response: Response, attempt: Attempt) => T | Promise<T>
}

/** What a call gives, with the answer it came from; the answer's body has been read. */
export interface Answered<T> {
  readonly data: T
  readonly response: Response
}

const TIMEOUT_MS = 60_000
const RETRIES = 2
/** The longest delay of `setTimeout`. */
const TIMER_MS_MAX = 2 ** 31 - 1
const BACKOFF_MS_MIN = 500
const BACKOFF_MS_MAX = 8_000
/** The longest Retry-After that is waited for: a window of the rate limit. After a longer one the error is the caller's. */
const RETRY_AFTER_WAIT_MS_MAX = 60_000

const systemClock: Clock = {
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
  random: Math.random,
  now: Date.now,
}

/** Sends requests, and repeats those that failed for a reason that may pass. */
export class Transport {
  readonly #token: TokenSource | undefined
  readonly #fetch: typeof fetch
  readonly #timeout: number
  readonly #maxRetries: number
  readonly #cache: Cache | undefined
  readonly #clock: Clock

  constructor(options: TransportOptions) {
    const { token, fetch: send, timeout = TIMEOUT_MS, maxRetries = RETRIES, cache = false, clock = systemClock } = options
    this.#token = token
    // Not the bare function: browsers and Workers want `this` to be the global object.
    this.#fetch = send ?? ((input, init) => fetch(input, init))
    this.#timeout = checkTimeout(timeout)
    this.#maxRetries = checkRetries(maxRetries)
    this.#cache = cache === false ? undefined : new Cache(cache === true ? {} : cache, clock.now)
    this.#clock = clock
  }

  /**
   * Repeats after connection errors, timeouts, answers that are not Firn's, 408, 429, 5xx, and 409 of a write that still
   * runs. That is safe: reads change nothing, and a write's key is the same in every attempt.
   */
  async send<T>(exchange: Exchange<T>, { signal, timeout, maxRetries }: CallOptions): Promise<Answered<T>> {
    const timeoutMs = timeout === undefined ? this.#timeout : checkTimeout(timeout)
    const retriesMax = maxRetries === undefined ? this.#maxRetries : checkRetries(maxRetries)
    for (let retries = 0; ; retries += 1) {
      signal?.throwIfAborted()
      try {
        return await this.#attempt(exchange, new Attempt(this.#clock, timeoutMs, signal))
      } catch (error) {
        const wait = retries < retriesMax && !signal?.aborted ? retryDelayMs(error, retries, this.#clock.random()) : undefined
        if (wait === undefined) throw error
        await sleep(this.#clock, wait, signal)
      }
    }
  }

  async #attempt<T>(exchange: Exchange<T>, attempt: Attempt): Promise<Answered<T>> {
    const { method, url, headers, body, takes, check, read, cache } = exchange
    try {
      const token = typeof this.#token === 'function' ? await attempt.callers(this.#token) : this.#token
      const all = token === undefined ? { ...headers } : { ...headers, authorization: `Bearer ${token}` }
      const init = { method, headers: all, signal: attempt.signal, ...(body === undefined ? {} : { body }) }
      const held = cache === 'read' ? this.#cache : undefined
      const send: Send = async (request) => {
        const answer = await this.#fetch(url, request)
        if (answer.ok) check?.(answer)
        return answer
      }
      const response = await (held === undefined ? send(init) : held.fetch(send, url, init))
      if (!takes(response)) throw await responseError(response, attempt.signal)
      return { data: await read(response, attempt), response }
    } catch (cause) {
      throw attempt.errorOf(cause)
    } finally {
      // Also after an error: the write may have happened.
      if (cache === 'expire') this.#cache?.expire()
      attempt.end()
    }
  }
}

/** The time of one attempt: until its answer is read, its timeout passes or the caller aborts. */
export class Attempt {
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal | undefined
  readonly #timeoutMs: number
  readonly #cancelTimer: () => void
  readonly #onAbort: () => void
  #isTimedOut = false
  #isStreaming = false
  #callersError: { readonly error: unknown } | undefined

  constructor(clock: Clock, timeoutMs: number, caller: AbortSignal | undefined) {
    this.#caller = caller
    this.#timeoutMs = timeoutMs
    this.#onAbort = () => this.#controller.abort(caller?.reason)
    caller?.addEventListener('abort', this.#onAbort)
    this.#cancelTimer = clock.after(timeoutMs, () => {
      this.#isTimedOut = true
      this.#controller.abort(new TimeoutError(`no answer in ${timeoutMs} ms`))
    })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Runs the caller's function; its error is passed on as it is, and the attempt does not wait for it longer than for all. */
  async callers<T>(run: () => T | Promise<T>): Promise<T> {
    const { signal } = this
    return new Promise<T>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      new Promise<T>((done) => done(run())).then(resolve, (error: unknown) => {
        this.#callersError = { error }
        reject(error)
      })
    })
  }

  /** What a failure of this attempt means. */
  errorOf(cause: unknown): unknown {
    if (this.#caller?.aborted === true) return this.#caller.reason
    if (this.#isTimedOut) return new TimeoutError(`no answer in ${this.#timeoutMs} ms`, { cause })
    if (this.#callersError !== undefined || isFirnError(cause)) return cause
    return new ConnectionError('The connection failed', { cause })
  }

  /** A body that is handed on: no timeout any more, the caller's signal until its end, and errors as of any attempt. */
  stream(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    this.#cancelTimer()
    this.#isStreaming = true
    const reader = body.getReader()
    const finish = (): void => {
      this.#isStreaming = false
      this.end()
    }
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          finish()
          controller.close()
        } catch (cause) {
          finish()
          controller.error(this.errorOf(cause))
        }
      },
      cancel: (reason) => {
        finish()
        return reader.cancel(reason)
      },
    })
  }

  /** Lets go of timer and signal, unless a stream still needs the signal. */
  end(): void {
    this.#cancelTimer()
    if (!this.#isStreaming) this.#caller?.removeEventListener('abort', this.#onAbort)
  }
}

/** How long to wait before the same request is sent again; `undefined` if it would be in vain, or the wait too long. */
export function retryDelayMs(error: unknown, retries: number, random: number): number | undefined {
  if (error instanceof ResponseError) {
    const { status, code, retryAfterMs } = error
    const mayPass = status === 408 || status === 429 || status >= 500 || code === 'idempotency_in_progress'
    if (!mayPass) return undefined
    if (retryAfterMs !== undefined) return retryAfterMs <= RETRY_AFTER_WAIT_MS_MAX ? retryAfterMs : undefined
  } else if (!(error instanceof ConnectionError || error instanceof TimeoutError || error instanceof InvalidAnswerError)) {
    return undefined
  }
  // Anywhere between the least and an end that doubles, so that clients that failed together do not return together.
  const end = Math.min(BACKOFF_MS_MIN * 2 ** (retries + 1), BACKOFF_MS_MAX)
  return BACKOFF_MS_MIN + (end - BACKOFF_MS_MIN) * random
}

function sleep(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      cancel()
      reject(signal?.reason)
    }
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', stop)
      resolve()
    })
    signal?.addEventListener('abort', stop, { once: true })
  })
}

function checkTimeout(ms: number): number {
  if (!(ms > 0)) throw new InvalidInputError('timeout', 'must be more than 0 milliseconds')
  return Math.min(ms, TIMER_MS_MAX)
}

function checkRetries(count: number): number {
  if (!Number.isSafeInteger(count) || count < 0) throw new InvalidInputError('maxRetries', 'must be a whole number, not negative')
  return count
}
