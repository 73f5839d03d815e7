import { InvalidAnswerError } from './errors.js'
import { count, parseLineErrors, string, type LineError } from './problem.js'

/** What a write came to. */
export interface IngestAnswer {
  /** Records taken. */
  readonly accepted: number
  /** Those of them that equal what is stored, so that nothing was written. */
  readonly unchanged: number
  /** Records not taken. */
  readonly rejected: number
  /** Chunks taken. */
  readonly chunks: number
  /** The stream that takes the rows. */
  readonly pipeline: string
  /** The mode in which they were written; a newer server may have more. */
  readonly mode: string
  /** RFC 3339: when queries of the lake are expected to see the records. */
  readonly estimatedAvailableAt: string
  /** The first rejected lines, at most 100. */
  readonly errors: readonly LineError[]
  /** The request's id, to be quoted in a report. */
  readonly requestId: string
}

/**
 * Reads the answer of a write.
 *
 * @throws InvalidAnswerError if it is not one; members of a newer server are ignored
 */
export function parseAnswer(found: ReadonlyMap<string, unknown>): IngestAnswer {
  const need = <T>(name: string, value: T | undefined): T => {
    if (value === undefined) throw new InvalidAnswerError(`The answer of a write lacks ${name}`)
    return value
  }
  const number = (name: string): number => need(name, count(found.get(name)))
  const word = (name: string): string => need(name, string(found.get(name)))
  return {
    accepted: number('accepted'),
    unchanged: number('unchanged'),
    rejected: number('rejected'),
    chunks: number('chunks'),
    pipeline: word('pipeline'),
    mode: word('mode'),
    estimatedAvailableAt: word('estimatedAvailableAt'),
    errors: need('errors', parseLineErrors(found.get('errors'))),
    requestId: word('requestId'),
  }
}
