import type { ErrorCode } from './codes.js'

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
}

/**
 * Reads the body of an error answer.
 *
 * A member of the wrong type is ignored, as RFC 9457 §3.1 asks. `undefined` if the text is not a JSON object at all.
 */
export function parseProblem(text: string): Problem | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const members = new Map<string, unknown>(Object.entries(value))

  const string = <K extends string>(key: K, name: string = key) => {
    const member = members.get(name)
    return typeof member === 'string' ? ({ [key]: member } as { [P in K]: string }) : undefined
  }
  const count = <K extends string>(key: K) => {
    const member = members.get(key)
    return typeof member === 'number' && Number.isSafeInteger(member) && member >= 0
      ? ({ [key]: member } as { [P in K]: number })
      : undefined
  }
  return {
    type: 'about:blank',
    ...string('type'),
    ...string('code'),
    ...string('title'),
    ...string('detail'),
    ...string('requestId', 'request_id'),
    ...count('line'),
    ...string('field'),
    ...count('limit'),
  }
}
