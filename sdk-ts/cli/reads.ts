// firn get, head, list, versions.

import { writeFileSync } from 'node:fs'

import type { ContentHead } from '../src/content.js'
import type { ArtifactInfo, Pages, VersionInfo } from '../src/pages.js'
import type { ArtifactKey, ArtifactType, ContentAddress } from '../src/url.js'
import { count, size, type Context } from './context.js'

/** How a representation is read. */
export interface ReadFlags {
  readonly fresh?: boolean
  readonly maxAge?: number
  readonly output?: string
}

/** How a listing is read. */
export interface ListFlags {
  readonly prefix?: string
  readonly limit?: number
  readonly max?: number
}

/** The representation as it is, whether somebody watches or not; JSON only where that was asked for. */
export async function get(context: Context, address: ContentAddress, { fresh, maxAge, output }: ReadFlags): Promise<void> {
  const firn = context.client()
  const options = { fresh: fresh === true, signal: context.signal, ...(maxAge === undefined ? {} : { maxAge }) }
  if (context.isJsonAsked) {
    const { unchanged: _, ...content } = await firn.get(address, options)
    return void process.stdout.write(`${JSON.stringify({ ...address, ...content })}\n`)
  }
  // Not as a stream: an artifact is small, and what breaks off is asked for again before anything is written.
  const { body } = await firn.get(address, { ...options, as: 'bytes' })
  if (output === undefined) await new Promise<void>((done) => process.stdout.write(body, () => done()))
  else writeFileSync(output, body)
}

export async function head(context: Context, address: ContentAddress, { fresh, maxAge }: ReadFlags): Promise<void> {
  const options = { fresh: fresh === true, signal: context.signal, ...(maxAge === undefined ? {} : { maxAge }) }
  const { data, response } = await context.client().head(address, options).withResponse()
  const more = {
    cacheControl: response.headers.get('cache-control') ?? undefined,
    source: response.headers.get('x-artifact-source') ?? undefined,
  }
  context.print({ ...address, ...data, ...more }, () => headText({ ...data, ...more }))
}

function headText(head: ContentHead & { readonly cacheControl: string | undefined; readonly source: string | undefined }): string {
  const rows = {
    type: head.contentType,
    length: head.contentLength === undefined ? undefined : `${count(head.contentLength)} bytes`,
    version: head.version,
    etag: head.etag,
    modified: head.lastModified?.toISOString(),
    cache: head.cacheControl,
    source: head.source,
  }
  return Object.entries(rows).flatMap(([name, value]) => (value === undefined ? [] : [`${name.padEnd(9)}${value}`])).join('\n')
}

/** One line an artifact; JSON lines where nobody watches. */
export async function list(context: Context, of: ArtifactType, { prefix, limit, max }: ListFlags): Promise<void> {
  const pages = context.client().list(of, { signal: context.signal, ...(prefix === undefined ? {} : { prefix }), ...(limit === undefined ? {} : { limit }) })
  await printItems<ArtifactInfo>(context, pages, max, (item) => `${item.id}  ${context.colors.dim(versionText(item))}`)
}

export async function versions(context: Context, key: ArtifactKey, { limit, max }: ListFlags): Promise<void> {
  const pages = context.client().versions(key, { signal: context.signal, ...(limit === undefined ? {} : { limit }) })
  await printItems<VersionInfo>(context, pages, max, versionText)
}

async function printItems<T>(context: Context, pages: Pages<T>, max: number | undefined, human: (item: T) => string): Promise<void> {
  let printed = 0
  for await (const item of pages) {
    if (max !== undefined && printed >= max) return
    context.print(item, () => human(item))
    printed += 1
  }
  if (printed === 0) context.note('nothing')
}

function versionText({ version, ts, size_bytes, visibility, deleted }: VersionInfo): string {
  const parts = [version, ts, size_bytes === undefined ? undefined : size(size_bytes), visibility, deleted ? 'deleted' : undefined]
  return parts.filter((part) => part !== undefined).join('  ')
}
