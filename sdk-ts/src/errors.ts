import type { ErrorCode } from './codes.js'
import type { PutManyError } from './many.js'
import { members, parseProblem, type LineError, type Problem } from './problem.js'

/**
 * Most bytes of an answer to a write, or of an error, that are read; no server is trusted to stop. 1,000 records whose
 * `if_version` does not hold, 120 bytes each, are the longest that one lists.
 */
export const ANSWER_BYTES_MAX = 256 * 1024

/** Longest Retry-After that is believed; a longer one is cut to an hour. */
const RETRY_AFTER_MS_MAX = 3_600_000

/** In the global registry, so that an error of the ES module is recognised by the CommonJS one. */
const BRAND: unique symbol = Symbol.for('@firn/sdk/error')

/**
 * Every error of this package. An abort by the caller is not one: the signal's reason is thrown as it is.
 *
 * Compare `name`, or use the type guards: `instanceof` fails where an application holds the package twice.
 */
export class FirnError extends Error {
  override readonly name: string = 'FirnError'
  /** @internal */
  readonly [BRAND] = true
}

/** An argument that the server would refuse was refused before any request. */
export class InvalidInputError extends FirnError {
  override readonly name = 'InvalidInputError'
  /** The argument that is wrong. */
  readonly field: string

  constructor(field: string, message: string) {
    super(`${field} ${message}`)
    this.field = field
  }
}

/** No answer came: the connection could not be made or broke. `cause` is the runtime's error. */
export class ConnectionError extends FirnError {
  override readonly name = 'ConnectionError'
}

/** No answer came in time. */
export class TimeoutError extends FirnError {
  override readonly name = 'TimeoutError'
}

/** An answer came that is not one of Firn's; something between here and the server may have given it. */
export class InvalidAnswerError extends FirnError {
  override readonly name = 'InvalidAnswerError'
}

/** What an error answer says besides its body. */
export interface ResponseErrorOptions extends ErrorOptions {
  readonly problem?: Problem | undefined
  readonly requestId?: string | undefined
  readonly retryAfterMs?: number | undefined
}

/** The server answered with an error. One class per status that a caller treats in its own way. */
export class ResponseError extends FirnError {
  override readonly name: string = 'ResponseError'
  /** The HTTP status. */
  readonly status: number
  /** The stable word of the cause; absent if something between here and the server answered. */
  readonly code: ErrorCode | (string & {}) | undefined
  /** The request's id, to be quoted in a report. */
  readonly requestId: string | undefined
  /** The line of the body that is wrong, counted from 1. */
  readonly line: number | undefined
  /** The field of the record that is wrong. */
  readonly field: string | undefined
  /** The limit that was exceeded. */
  readonly limit: number | undefined
  /** The version that is current, where another was named. */
  readonly found: string | undefined
  /** How long the server asks to wait before the next attempt, at most an hour. */
  readonly retryAfterMs: number | undefined
  /** The first rejected lines of a write. */
  readonly errors: readonly LineError[]

  constructor(status: number, { problem, requestId, retryAfterMs, ...options }: ResponseErrorOptions = {}) {
    super(message(status, problem), options)
    this.status = status
    this.code = problem?.code
    this.requestId = problem?.requestId ?? requestId
    this.errors = problem?.errors ?? []
    this.line = problem?.line ?? this.errors[0]?.line
    this.field = problem?.field ?? this.errors[0]?.field
    this.limit = problem?.limit
    this.found = problem?.found ?? this.errors[0]?.found
    this.retryAfterMs = retryAfterMs
  }
}

/** 400, 405, 413, 415, 416, 422: the request is wrong, and would be again. */
export class BadRequestError extends ResponseError {
  override readonly name = 'BadRequestError'
}

/** 401: there is no token, or it does not verify. */
export class UnauthorizedError extends ResponseError {
  override readonly name = 'UnauthorizedError'
}

/** 403: the token lacks a scope, or may not write the namespace. */
export class ForbiddenError extends ResponseError {
  override readonly name = 'ForbiddenError'
}

/** 404: there is no such artifact, or the caller may not read it. */
export class NotFoundError extends ResponseError {
  override readonly name = 'NotFoundError'
}

/** 409: another request with the same idempotency key is running, or the current version is another. */
export class ConflictError extends ResponseError {
  override readonly name = 'ConflictError'
}

/** 410: the artifact was deleted or has expired. */
export class GoneError extends ResponseError {
  override readonly name = 'GoneError'
}

/** 412: what was to be changed is not the version that the caller named. */
export class PreconditionFailedError extends ResponseError {
  override readonly name = 'PreconditionFailedError'
}

/** 429: too many requests in this minute, or the quota of the day is spent. */
export class RateLimitedError extends ResponseError {
  override readonly name = 'RateLimitedError'
}

/** 5xx: the server, or something it needs, failed. */
export class ServerError extends ResponseError {
  override readonly name = 'ServerError'
}

/** The class of every `name`. */
export interface FirnErrors {
  readonly FirnError: FirnError
  readonly InvalidInputError: InvalidInputError
  readonly ConnectionError: ConnectionError
  readonly TimeoutError: TimeoutError
  readonly InvalidAnswerError: InvalidAnswerError
  readonly PutManyError: PutManyError
  readonly ResponseError: ResponseError
  readonly BadRequestError: BadRequestError
  readonly UnauthorizedError: UnauthorizedError
  readonly ForbiddenError: ForbiddenError
  readonly NotFoundError: NotFoundError
  readonly ConflictError: ConflictError
  readonly GoneError: GoneError
  readonly PreconditionFailedError: PreconditionFailedError
  readonly RateLimitedError: RateLimitedError
  readonly ServerError: ServerError
}

/** Whether `value` is an error of this package, whichever copy of it; with a name, whether it is that one. */
export function isFirnError(value: unknown): value is FirnError
export function isFirnError<N extends keyof FirnErrors>(value: unknown, name: N): value is FirnErrors[N]
export function isFirnError(value: unknown, name?: string): boolean {
  return typeof value === 'object' && value !== null && BRAND in value && (name === undefined || (value as FirnError).name === name)
}

/** Whether `value` is an answer of the server, as opposed to no answer at all. */
export function isResponseError(value: unknown): value is ResponseError {
  return isFirnError(value) && 'status' in value
}

/**
 * The error of an answer that is not `ok`. Reads at most 256 KiB of its body.
 *
 * A body that is missing, broken or no problem gives an error all the same, with what the status and the headers say.
 * Rejects only if the caller aborted while the body was read.
 *
 * @param signal the one that the request was made with, by which an abort with a reason of its own is told apart
 */
export async function responseError(response: Response, signal?: AbortSignal): Promise<ResponseError> {
  const { status, headers } = response
  const body = await readText(response, signal)
  const options: ResponseErrorOptions = {
    problem: isProblem(headers) ? parseProblem(body.text) : undefined,
    requestId: headers.get('x-request-id') ?? undefined,
    retryAfterMs: retryAfterMs(headers.get('retry-after')),
    ...(body.cause === undefined ? {} : { cause: body.cause }),
  }
  return new (errorClass(status))(status, options)
}

function errorClass(status: number): typeof ResponseError {
  if (status >= 500) return ServerError
  switch (status) {
    case 401:
      return UnauthorizedError
    case 403:
      return ForbiddenError
    case 404:
      return NotFoundError
    case 409:
      return ConflictError
    case 410:
      return GoneError
    case 412:
      return PreconditionFailedError
    case 429:
      return RateLimitedError
    case 400:
    case 405:
    case 413:
    case 415:
    case 416:
    case 422:
      return BadRequestError
    default:
      return ResponseError
  }
}

function message(status: number, problem: Problem | undefined): string {
  const [first] = problem?.errors ?? []
  const line = first?.detail === undefined ? '' : `: line ${first.line}: ${first.detail}`
  const text = (problem?.detail ?? problem?.title ?? 'The server answered with an error') + line
  return problem?.code === undefined ? `${text} (${status})` : `${text} (${status} ${problem.code})`
}

function isProblem(headers: Headers): boolean {
  return mediaType(headers) === 'application/problem+json'
}

/** The media type without its parameters. */
export function mediaType(headers: Headers): string {
  const [type = ''] = (headers.get('content-type') ?? '').split(';')
  return type.trim().toLowerCase()
}

/**
 * The members of an answer that must be a JSON object.
 *
 * @throws InvalidAnswerError if it is none, is cut short or too long
 */
export async function readJson(response: Response, bytesMax = Infinity): Promise<ReadonlyMap<string, unknown>> {
  const type = mediaType(response.headers)
  if (type !== 'application/json') throw new InvalidAnswerError(`The answer is ${type || 'of no type'}, not JSON`)
  const { text, cause } = await readText(response, undefined, bytesMax)
  if (cause !== undefined) throw cause
  const found = members(text)
  if (found === undefined) throw new InvalidAnswerError('The answer is not a JSON object')
  return found
}

/** What of an answer's body could be read, and what ended it early; nothing, if it is too long. */
export async function readText(
  response: Response,
  signal?: AbortSignal,
  bytesMax = ANSWER_BYTES_MAX,
): Promise<{ text: string; cause?: unknown }> {
  if (response.body === null) return { text: '' }
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return { text: text + decoder.decode() }
      bytes += value.byteLength
      if (bytes > bytesMax) {
        // Nobody waits for the rest; that cancelling it may fail is of no interest.
        reader.cancel().catch(() => undefined)
        return { text: '' }
      }
      text += decoder.decode(value, { stream: true })
    }
  } catch (cause) {
    if (signal?.aborted === true || isAbort(cause)) throw cause
    return { text: '', cause }
  }
}

function isAbort(value: unknown): boolean {
  return value instanceof Error && value.name === 'AbortError'
}

/** RFC 9110 §10.2.3: seconds or a date. A date in the past means now. */
function retryAfterMs(value: string | null): number | undefined {
  if (value === null) return undefined
  const text = value.trim()
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX)
}
