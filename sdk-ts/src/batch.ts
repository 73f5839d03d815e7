import { InvalidAnswerError, InvalidInputError, readJson } from './errors.js'
import { parseJson, type ContentHead } from './content.js'
import { count, entries, string } from './problem.js'
import type { CallOptions, Transport } from './transport.js'
import { contentUrl, type ContentAddress } from './url.js'

/** Most representations that one request may ask for. */
export const BATCH_ITEMS_MAX = 100

/** The code of an item for which the answer had no room. */
const NO_ROOM = 'body_too_large'

/** How many representations are read at once. */
export interface GetManyOptions<A extends 'text' | 'json' = 'text' | 'json'> extends CallOptions {
  /** What a body becomes; text where it is left out. */
  readonly as?: A | undefined
}

/** A representation that was read with others. */
export interface ManyFound<T> extends ContentHead {
  readonly found: true
  readonly address: ContentAddress
  readonly body: T
}

/** A representation that was asked for with others and could not be read. */
export interface ManyMissing {
  readonly found: false
  readonly address: ContentAddress
  /** 404, 410 or what a read of it alone would answer. */
  readonly status: number
  readonly code: string | undefined
  readonly detail: string | undefined
}

/** What became of one of many. */
export type ManyContent<T> = ManyFound<T> | ManyMissing

/** Reads representations in as few requests as the server takes, one after the other; the answers are in the order asked. */
export async function getMany(
  transport: Transport,
  baseUrl: string,
  addresses: Iterable<ContentAddress>,
  options: GetManyOptions,
): Promise<ManyContent<unknown>[]> {
  const all = [...addresses]
  // Before anything is sent, by the rules of a single read.
  for (const address of all) contentUrl(baseUrl, address)
  if (options.as !== undefined && !['text', 'json'].includes(options.as)) throw new InvalidInputError('as', 'must be text or json')
  const results = new Map<number, ManyContent<unknown>>()
  let left = [...all.keys()]
  while (left.length > 0) {
    const asked = left.slice(0, BATCH_ITEMS_MAX).flatMap((idx) => all[idx] ?? [])
    const answered = await readBatch(transport, baseUrl, asked, options)
    // Contents that one answer has no room for are to be asked for in another; but none for ever.
    const isSome = answered.some((each) => each.found || each.code !== NO_ROOM)
    left = left.filter((idx, place) => {
      const each = answered[place]
      if (each === undefined || (isSome && !each.found && each.code === NO_ROOM)) return true
      results.set(idx, each)
      return false
    })
  }
  return all.flatMap((_, idx) => results.get(idx) ?? [])
}

async function readBatch(
  transport: Transport,
  baseUrl: string,
  asked: readonly ContentAddress[],
  options: GetManyOptions,
): Promise<readonly ManyContent<unknown>[]> {
  const items = asked.map(({ ns, type, id, ext }) => ({ ns, type, id, ext }))
  const body = new TextEncoder().encode(JSON.stringify({ items }))
  const headers = { 'content-type': 'application/json' }
  const read = async (response: Response): Promise<ManyContent<unknown>[]> =>
    parseBatch(await readJson(response), asked, options.as ?? 'text')
  const url = `${baseUrl}/$.content`
  const { data } = await transport.send({ method: 'POST', url, headers, body, takes: ({ ok }) => ok, read }, options)
  return data
}

function parseBatch(found: ReadonlyMap<string, unknown>, asked: readonly ContentAddress[], as: 'text' | 'json'): ManyContent<unknown>[] {
  const items: unknown = found.get('items')
  if (!Array.isArray(items) || items.length !== asked.length) {
    throw new InvalidAnswerError(`The answer of a batch has not the ${asked.length} items asked for`)
  }
  return asked.map((address, idx) => {
    const item = entries(items[idx])
    const status = count(item?.get('status'))
    if (item === undefined || status === undefined || item.get('id') !== address.id) {
      throw new InvalidAnswerError(`Item ${idx} of a batch is not the one asked for`)
    }
    return parseItem(address, status, (name) => string(item.get(name)), as)
  })
}

function parseItem(
  address: ContentAddress,
  status: number,
  text: (name: string) => string | undefined,
  as: 'text' | 'json',
): ManyContent<unknown> {
  const body = text('body')
  if (status !== 200) return { found: false, address, status, code: text('code'), detail: text('detail') }
  if (body === undefined) throw new InvalidAnswerError(`An item of a batch, ${address.id}, lacks its body`)
  const modified = new Date(text('lastModified') ?? NaN)
  return {
    found: true,
    address,
    etag: text('etag'),
    version: text('version'),
    contentType: text('contentType'),
    contentLength: undefined,
    lastModified: Number.isNaN(modified.getTime()) ? undefined : modified,
    body: as === 'json' ? parseJson(body) : body,
  }
}
