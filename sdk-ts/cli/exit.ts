// What the exit status says, and how an error is told.

import { InvalidInputError, isFirnError, isResponseError } from '../src/errors.js'

/** The exit statuses, which scripts may rely on. */
export const EXIT = {
  done: 0,
  /** A fault of this program. */
  unexpected: 1,
  /** The arguments, or a file that is not as it must be; nothing was sent. */
  usage: 2,
  /** The server did not take some or all of the records. */
  rejected: 3,
  /** 404 or 410. */
  missing: 4,
  /** 401 or 403. */
  forbidden: 5,
  /** 409 or 412: the current version is another. */
  conflict: 6,
  /** The server cannot be reached, does not answer in time, or fails. */
  unavailable: 7,
  /** Ctrl-C. */
  interrupted: 130,
} as const

export const EXIT_HELP = `
Exit status:
  0  done
  1  a fault of this program
  2  the arguments or a local file are wrong; nothing was sent
  3  the server did not take some or all records
  4  there is no such artifact (404, 410)
  5  the token is missing, refused or has not the right (401, 403)
  6  the current version is another (409, 412)
  7  the server cannot be reached, does not answer in time, or fails
  130  interrupted`

/** An error that is the caller's to mend, told without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Ends the command with a status; what there is to say has been said. */
export class Exit extends Error {
  readonly status: number

  constructor(status: number) {
    super(`exit ${status}`)
    this.status = status
  }
}

/** The exit status of an error. */
export function exitStatus(error: unknown): number {
  if (error instanceof Exit) return error.status
  if (error instanceof UsageError || isFirnError(error, 'InvalidInputError') || isFileError(error)) return EXIT.usage
  if (isFirnError(error, 'PutManyError')) return exitStatus(error.cause)
  if (isResponseError(error)) return statusOf(error.status, error.errors.length > 0)
  if (isFirnError(error)) return EXIT.unavailable
  return EXIT.unexpected
}

function statusOf(status: number, hasLines: boolean): number {
  if (status === 401 || status === 403) return EXIT.forbidden
  if (status === 404 || status === 410) return EXIT.missing
  if (status === 409 || status === 412) return EXIT.conflict
  if (status === 207 || hasLines || status === 400 || status === 413 || status === 422) return EXIT.rejected
  return EXIT.unavailable
}

/** An error of the file system, as `ENOENT`. */
function isFileError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && 'path' in error
}

/** What an error says, as members of JSON. */
export function errorMembers(error: unknown): Record<string, unknown> {
  if (isFirnError(error, 'PutManyError')) return { ...errorMembers(error.cause), answered: error.result.records }
  if (isResponseError(error)) {
    const { name, message, status, code, requestId, line, field, limit, found, errors } = error
    return { name, message, status, code, requestId, line, field, limit, found, ...(errors.length === 0 ? {} : { errors }) }
  }
  if (error instanceof InvalidInputError) return { name: error.name, message: error.message, field: error.field }
  return error instanceof Error ? { name: error.name, message: withCause(error) } : { message: String(error) }
}

/** `fetch` says of a connection no more than that it failed; its cause says why. */
function withCause({ message, cause }: Error): string {
  let inner: unknown = cause
  let text = message
  for (let depth = 0; inner instanceof Error && depth < 4; depth += 1) {
    const code = 'code' in inner ? `${inner.code} ` : ''
    if (inner.message !== '' || code !== '') text += `: ${code}${inner.message}`.trimEnd()
    inner = inner.cause
  }
  return text
}
