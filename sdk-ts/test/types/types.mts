// What the compiler must accept, must infer and must refuse, of the declarations as they are packed.

import {
  Firn, isFirnError, isResponseError,
  type ArtifactInfo, type ArtifactRecord, type ConditionalContent, type Content, type ErrorCode, type IngestAnswer, type LineError, type ManyContent, type PutManyResult, type VersionInfo,
} from '@firn/sdk'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function is<Equal extends true>(): Equal {
  return true as Equal
}

declare const error: unknown
declare const signal: AbortSignal
const firn = new Firn({ baseUrl: new URL('https://firn.example'), token: async () => 't', timeout: 1, maxRetries: 0, gzip: false, cache: { maxBytes: 1 } })
const key = { ns: 'a', type: 'b', id: 'c' }
const address = { ...key, ext: 'md' } as const

// What a read gives follows `as` and `ifNoneMatch`.
const text = await firn.get(address)
is<Same<typeof text, Content<string>>>()
const json = await firn.get(address, { as: 'json' })
is<Same<typeof json.body, unknown>>()
const bytes = await firn.get(address, { as: 'bytes', signal })
is<Same<typeof bytes.body, Uint8Array>>()
const stream = await firn.get(address, { as: 'stream' })
is<Same<typeof stream.body, ReadableStream<Uint8Array>>>()
const conditional = await firn.get(address, { ifNoneMatch: '"x"' })
is<Same<typeof conditional, ConditionalContent<string>>>()
// @ts-expect-error it may be unchanged
conditional.body
if (!conditional.unchanged) is<Same<typeof conditional.body, string>>()

// A representation of many is found or not.
const many = await firn.getMany(new Set([address]), { as: 'json' })
is<Same<typeof many, readonly ManyContent<unknown>[]>>()
for (const one of many) {
  // @ts-expect-error it may be missing
  one.body
  if (one.found) is<Same<typeof one.version, string | undefined>>()
  else is<Same<typeof one.status, number>>()
}

// Writes give their answer, and the records back that were rejected.
is<Same<Awaited<ReturnType<typeof firn.put>>, IngestAnswer>>()
const { data, response } = await firn.put({ ...key, markdown: '' }).withResponse()
is<Same<typeof data.errors, readonly LineError[]>>()
is<Same<typeof response, Response>>()
interface Page extends ArtifactRecord {
  readonly markdown: string
}
declare const pages: AsyncIterable<Page>
const result = await firn.putMany(pages, { mode: 'bulk' })
is<Same<typeof result, PutManyResult<Page>>>()
// @ts-expect-error not in bulk
firn.publish([], { mode: 'bulk' })
// @ts-expect-error no field of a record
firn.put({ ...key, markdwon: '' })
// @ts-expect-error a record has an id
firn.put({ ns: 'a', type: 'b' })
// @ts-expect-error no extension
firn.url({ ...key, ext: 'ts' })
// @ts-expect-error what was read is not to be changed
text.body = ''

// Listings.
for await (const item of firn.list({ ns: 'a', type: 'b' }, { prefix: 'x', limit: 1 })) is<Same<typeof item, ArtifactInfo>>()
for await (const page of firn.versions(key).pages()) is<Same<typeof page.items, readonly VersionInfo[]>>()

// Guards.
if (isFirnError(error, 'PutManyError')) is<Same<typeof error.result.records, number>>()
if (isFirnError(error, 'NotFoundError')) is<Same<typeof error.status, number>>()
if (isResponseError(error)) is<Same<typeof error.code, ErrorCode | (string & {}) | undefined>>()
// @ts-expect-error no class of ours
isFirnError(error, 'TypeError')
