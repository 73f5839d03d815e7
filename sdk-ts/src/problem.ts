import type { ErrorCode, LineErrorCode } from './codes.js'

/** Why one line of a body was rejected. */
export interface LineError {
  /** The line, counted from 1. */
  readonly line: number
  /** The stable word of the cause; a newer server may send one that this package does not know. */
  readonly code: LineErrorCode | 'version_conflict' | (string & {})
  /** What is wrong, in words. */
  readonly detail?: string
  /** The field of the record that is wrong. */
  readonly field?: string
  /** With `version_conflict`: the version that is current, `"0"` where there is none. */
  readonly found?: string
}

/** The body of an error answer: `application/problem+json` (RFC 9457) with Firn's members. */
export interface Problem {
  /** URI of the kind of problem; `about:blank` where the body names none. */
  readonly type: string
  /** The stable word to compare; a newer server may send one that this package does not know. */
  readonly code?: ErrorCode | (string & {})
  /** The kind of problem in words. */
  readonly title?: string
  /** This occurrence in words. */
  readonly detail?: string
  /** The request's id, to be quoted in a report. */
  readonly requestId?: string
  /** The line of the body that is wrong, counted from 1. */
  readonly line?: number
  /** The field of the record that is wrong. */
  readonly field?: string
  /** The limit that was exceeded. */
  readonly limit?: number
  /** With `precondition_failed`: the version that is current. */
  readonly found?: string
  /** The first rejected lines. */
  readonly errors?: readonly LineError[]
}

/**
 * Reads the body of an error answer.
 *
 * A member of the wrong type is ignored, as RFC 9457 §3.1 asks. `undefined` if the text is not a JSON object at all.
 */
export function parseProblem(text: string): Problem | undefined {
  const found = members(text)
  if (found === undefined) return undefined
  return {
    type: 'about:blank',
    ...strings(found, { type: 'type', code: 'code', title: 'title', detail: 'detail', requestId: 'request_id' }),
    ...optional('line', count(found.get('line'))),
    ...strings(found, { field: 'field' }),
    ...optional('limit', count(found.get('limit'))),
    ...strings(found, { found: 'found' }),
    ...optional('errors', parseLineErrors(found.get('errors'))),
  }
}

/** The line errors of an answer; what is not one is left out. `undefined` if it is no array. */
export function parseLineErrors(value: unknown): readonly LineError[] | undefined {
  if (!Array.isArray(value)) return undefined
  return value.flatMap((entry: unknown) => {
    const found = entries(entry)
    const line = count(found?.get('line'))
    const code = string(found?.get('code'))
    if (found === undefined || line === undefined || code === undefined) return []
    return [{ line, code, ...strings(found, { detail: 'detail', field: 'field', found: 'found' }) }]
  })
}

/** The own members of the JSON object that a text is, if it is one. */
export function members(text: string): ReadonlyMap<string, unknown> | undefined {
  try {
    return entries(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** A string, if it is one. */
export function string(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** A count, if it is one. */
export function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

/** The own members of a value, if it is a JSON object. */
export function entries(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return new Map<string, unknown>(Object.entries(value))
}

type Optional<K extends string, V> = { readonly [P in K]?: V }

function optional<K extends string, V>(key: K, value: V | undefined): Optional<K, V>
function optional(key: string, value: unknown): object {
  return value === undefined ? {} : { [key]: value }
}

/** Those of the named members that are strings. */
function strings<K extends string>(
  found: ReadonlyMap<string, unknown>,
  names: { readonly [P in K]: string },
): Optional<K, string>
function strings(found: ReadonlyMap<string, unknown>, names: Readonly<Record<string, string>>): object {
  return Object.assign({}, ...Object.entries(names).map(([key, name]) => optional(key, string(found.get(name)))))
}
