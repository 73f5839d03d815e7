// The wire shape of listings, which a server with the key index answers:
//
//   GET /$.content/{ns}/{type}/?prefix=&limit=&cursor=       the artifacts of a type, by id
//   GET /$.content/{ns}/{type}/{id}?versions&limit=&cursor=  the versions of an artifact, newest first
//
//   200 application/json  {"items":[{"id":"docs/a","version":"1795183815141193", …}, …], "cursor":"…"}
//
// An item has the server-set fields of `artifact.json` that the index knows, under the same names; `version` always, `id`
// in the listing of a type. `cursor` is the server's own word for where the next page begins; the last page has none.

import { InvalidAnswerError, InvalidInputError, readJson } from './errors.js'
import { count, entries, string } from './problem.js'
import type { CallOptions, Transport } from './transport.js'

/** How a listing is read. */
export interface PageOptions extends CallOptions {
  /** Most items of one page; the server's default where it is left out. */
  readonly limit?: number | undefined
  /** Where to begin: the `cursor` of an earlier page. */
  readonly cursor?: string | undefined
}

/** Which artifacts of a type are listed. */
export interface ListOptions extends PageOptions {
  /** Only ids that begin so. */
  readonly prefix?: string | undefined
}

/** What the index knows of one version. */
export interface VersionInfo {
  readonly version: string
  /** RFC 3339: when it was written. */
  readonly ts: string | undefined
  readonly visibility: string | undefined
  readonly deleted: boolean
  readonly expires_at: string | undefined
  readonly hash: string | undefined
  readonly size_bytes: number | undefined
}

/** What the index knows of one artifact. */
export interface ArtifactInfo extends VersionInfo {
  readonly id: string
}

/** A part of a listing. */
export interface Page<T> {
  readonly items: readonly T[]
  /** Where the next page begins; absent with the last one. */
  readonly cursor: string | undefined
}

/** A listing: its items one by one, or its pages. A page is asked for when it is needed. */
export interface Pages<T> extends AsyncIterable<T> {
  /** Page by page, for who keeps a cursor to go on later. */
  pages(): AsyncGenerator<Page<T>, void, undefined>
}

/** The listing under a URL. */
export function pagesOf<T>(
  transport: Transport,
  url: string,
  query: Readonly<Record<string, string | undefined>>,
  options: PageOptions,
  item: (members: ReadonlyMap<string, unknown>) => T | undefined,
): Pages<T> {
  const { limit } = options
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0)) {
    throw new InvalidInputError('limit', 'must be a whole number, at least 1')
  }
  async function* pages(): AsyncGenerator<Page<T>, void, undefined> {
    let { cursor } = options
    for (;;) {
      const parameters = Object.entries({ ...query, limit, cursor }).flatMap(([name, value]) =>
        value === undefined ? [] : [value === '' ? name : `${name}=${encodeURIComponent(value)}`],
      )
      const page = parameters.length === 0 ? url : `${url}?${parameters.join('&')}`
      const read = async (response: Response): Promise<Page<T>> => parsePage(await readJson(response), item)
      const { data } = await transport.send({ method: 'GET', url: page, takes: ({ ok }) => ok, read }, options)
      // A server that turns in a circle would be followed for ever.
      if (data.cursor !== undefined && data.cursor === cursor) throw new InvalidAnswerError('The cursor of a page is its own')
      yield data
      if (data.cursor === undefined) return
      cursor = data.cursor
    }
  }
  async function* items(): AsyncGenerator<T, void, undefined> {
    for await (const page of pages()) yield* page.items
  }
  return { pages, [Symbol.asyncIterator]: items }
}

function parsePage<T>(found: ReadonlyMap<string, unknown>, item: (members: ReadonlyMap<string, unknown>) => T | undefined): Page<T> {
  const list: unknown = found.get('items')
  if (!Array.isArray(list)) throw new InvalidAnswerError('A page lacks its items')
  const items = list.map((value: unknown) => {
    const members = entries(value)
    const parsed = members && item(members)
    if (parsed === undefined) throw new InvalidAnswerError('An item of a page lacks its id or version')
    return parsed
  })
  return { items, cursor: string(found.get('cursor')) || undefined }
}

/** Reads an item of an artifact's versions. */
export function parseVersion(members: ReadonlyMap<string, unknown>): VersionInfo | undefined {
  const text = (name: string): string | undefined => string(members.get(name))
  const version = text('version')
  if (version === undefined) return undefined
  return {
    version,
    ts: text('ts'),
    visibility: text('visibility'),
    deleted: members.get('deleted') === true,
    expires_at: text('expires_at'),
    hash: text('hash'),
    size_bytes: count(members.get('size_bytes')),
  }
}

/** Reads an item of a type's artifacts. */
export function parseArtifact(members: ReadonlyMap<string, unknown>): ArtifactInfo | undefined {
  const id = string(members.get('id'))
  const version = parseVersion(members)
  return id === undefined || version === undefined ? undefined : { id, ...version }
}
