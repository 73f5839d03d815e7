import { InvalidAnswerError, mediaType } from './errors.js'
import type { Attempt, CallOptions } from './transport.js'
import type { Extension, ReadOptions } from './url.js'

/** What a representation can be read as. A stream is not repeated once it has begun. */
export interface Bodies {
  readonly text: string
  readonly json: unknown
  readonly bytes: Uint8Array
  readonly stream: ReadableStream<Uint8Array>
}

/** How an artifact is read. */
export interface GetOptions<A extends keyof Bodies = keyof Bodies> extends CallOptions, ReadOptions {
  /** What the body becomes; text where it is left out. */
  readonly as?: A | undefined
  /** The `etag` of a copy that the caller has: what has the same is not sent, or not read, again. */
  readonly ifNoneMatch?: string | undefined
}

/** What the headers of an artifact say. */
export interface ContentHead {
  /** To be given to `ifNoneMatch` later. */
  readonly etag: string | undefined
  /** The artifact's version. */
  readonly version: string | undefined
  readonly contentType: string | undefined
  /** Bytes, where they were not compressed on their way. */
  readonly contentLength: number | undefined
  /** When the version was written. */
  readonly lastModified: Date | undefined
}

/** A representation. */
export interface Content<T> extends ContentHead {
  readonly unchanged: false
  readonly body: T
}

/** The caller's copy is current. */
export interface Unchanged {
  readonly unchanged: true
  readonly etag: string
}

/** What a conditional read gives. */
export type ConditionalContent<T> = Content<T> | Unchanged

const MEDIA_TYPES: { readonly [E in Extension]?: string } = {
  md: 'text/markdown',
  mdx: 'text/mdx',
  html: 'text/html',
  css: 'text/css',
  js: 'text/javascript',
  mjs: 'text/javascript',
  'd.ts': 'application/typescript',
}

/** @throws InvalidAnswerError if an answer has another type than the representation: a portal's page, say */
export function checkType(ext: Extension, { headers }: Response): void {
  const type = mediaType(headers)
  const expected = MEDIA_TYPES[ext] ?? 'application/json'
  if (type !== expected) throw new InvalidAnswerError(`The answer is ${type || 'of no type'}, not ${expected}`)
}

/** Reads the headers of an answer. */
export function contentHead({ headers }: Response): ContentHead {
  const header = (name: string): string | undefined => headers.get(name) ?? undefined
  const length = header('content-length')
  const modified = new Date(header('last-modified') ?? NaN)
  return {
    etag: header('etag'),
    version: header('x-artifact-version'),
    contentType: header('content-type'),
    contentLength: length === undefined ? undefined : Number(length),
    lastModified: Number.isNaN(modified.getTime()) ? undefined : modified,
  }
}

/** Reads an answer's body. */
export async function readBody(as: keyof Bodies, response: Response, attempt: Attempt): Promise<unknown> {
  switch (as) {
    case 'text':
      return response.text()
    case 'bytes':
      return new Uint8Array(await response.arrayBuffer())
    case 'stream':
      return attempt.stream(response.body ?? new Blob().stream())
    case 'json':
      return parseJson(await response.text())
  }
}

/** @throws InvalidAnswerError if it is none */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new InvalidAnswerError('The representation is not JSON', { cause })
  }
}
