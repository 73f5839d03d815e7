// From files to artifacts and back: `home.md`, `home.html`, `home.js`, `home.d.ts` and `home.css` are one artifact, "home".
//
// A file's text is stored as it is, front matter included, so that what was published can be pulled byte for byte. JSON is
// stored as a value; how it was laid out is kept in the artifact's metadata:
//
//   "metadata": {"files": {"md": {}, "json": {"indent": 2, "end": "\n"}}}
//
// or, where that cannot be said and it is short, its text.

import { VFile } from 'vfile'
import { matter } from 'vfile-matter'

import { InvalidInputError } from '../src/errors.js'
import type { ArtifactRecord } from '../src/record.js'
import { contentUrl, type ContentAddress, type Extension } from '../src/url.js'
import { splitExtension } from './context.js'

/** The longest record that a server takes, in bytes of its JSON. */
export const RECORD_BYTES_MAX = 1_900_000

/** The field of a record that holds what is read under an extension. */
const FIELDS = {
  md: 'markdown',
  mdx: 'mdx',
  html: 'html',
  css: 'css',
  js: 'esm',
  mjs: 'esm',
  'd.ts': 'dts',
  json: 'frontmatter',
  'mdast.json': 'mdast',
  'hast.json': 'hast',
  'estree.json': 'estree',
  'tsast.json': 'tsast',
} as const

/** An extension under which a file can be published. */
type FileExtension = keyof typeof FIELDS

/** A file that is not published, and why. */
export interface SkippedFile {
  readonly path: string
  readonly reason: string
}

/** A file on the disk. */
export interface SourceFile {
  /** Below the folder that is published, with `/`. */
  readonly path: string
  readonly ext: FileExtension
  readonly lenBytes: number
  readonly modifiedMs: number
}

/** The files of one artifact. */
export interface Group {
  readonly id: string
  readonly files: readonly SourceFile[]
}

/** What a folder comes to. */
export interface Plan {
  /** By id. */
  readonly groups: readonly Group[]
  /** Files of which no representation can be made: no error. */
  readonly skipped: readonly SkippedFile[]
  /** Files that cannot be stored though they look so: an error, unless the caller goes on without them. */
  readonly refused: readonly SkippedFile[]
}

/** How the layout of a file is restored. */
interface Layout {
  readonly indent?: number | string
  readonly end?: string
  readonly text?: string
}

/** The longest text that is kept beside its value: metadata has 16 KiB in all. */
const TEXT_LENGTH_MAX = 4_000

/** Groups files by the artifact that they make. */
export function planGroups(
  files: readonly Omit<SourceFile, 'ext'>[],
  { ns, type, prefix }: { readonly ns: string; readonly type: string; readonly prefix: string },
): Plan {
  const groups = new Map<string, SourceFile[]>()
  const skipped: SkippedFile[] = []
  const refused: SkippedFile[] = []
  for (const file of files) {
    const found = splitExtension(file.path)
    if (found === undefined || !isFileExtension(found.ext)) {
      skipped.push({ path: file.path, reason: 'no representation has this extension' })
      continue
    }
    const id = prefix + found.id
    const group = groups.get(id) ?? []
    const reason = refusal({ ns, type, id, ext: found.ext }, file, group)
    if (reason === undefined) groups.set(id, [...group, { ...file, ext: found.ext }])
    else refused.push({ path: file.path, reason })
  }
  const byId = [...groups].map(([id, members]) => ({ id, files: members })).sort((a, b) => (a.id < b.id ? -1 : 1))
  return { groups: byId, skipped, refused }
}

function refusal(address: ContentAddress, file: Omit<SourceFile, 'ext'>, group: readonly SourceFile[]): string | undefined {
  const twin = group.find(({ ext }) => FIELDS[ext] === FIELDS[address.ext as FileExtension])
  if (twin !== undefined) return `${twin.path} is the same representation of the same artifact`
  const lenBytes = group.reduce((sum, other) => sum + other.lenBytes, file.lenBytes)
  if (lenBytes > RECORD_BYTES_MAX) return `an artifact has at most ${RECORD_BYTES_MAX} bytes, this would have ${lenBytes}`
  try {
    contentUrl('https://firn.invalid', address)
    return undefined
  } catch (error) {
    // A wrong namespace or type is nothing that a file could help.
    if (error instanceof InvalidInputError && error.field === 'id') return error.message
    throw error
  }
}

function isFileExtension(ext: Extension): ext is FileExtension {
  return Object.hasOwn(FIELDS, ext)
}

/** A file whose content is not what its extension says. */
export class ContentError extends Error {
  readonly path: string

  constructor(path: string, reason: string) {
    super(reason)
    this.path = path
  }
}

/** What of a record its files decide. */
export type GroupRecord = Pick<ArtifactRecord, 'id' | 'metadata'> & { readonly [field: string]: unknown }

/**
 * The record of a group.
 *
 * @throws ContentError if a file is no UTF-8, no JSON, or its front matter is no YAML
 */
export function toRecord({ id, files }: Group, read: (path: string) => Uint8Array): GroupRecord & { readonly inexact: readonly string[] } {
  const fields: Record<string, unknown> = {}
  const layouts: Record<string, Layout> = {}
  const inexact: string[] = []
  for (const { path, ext } of files) {
    const text = decode(path, read(path))
    if (!ext.endsWith('json')) {
      fields[FIELDS[ext]] = text
      layouts[ext] = {}
      continue
    }
    const value = parseJson(path, text)
    if (ext === 'json' && (typeof value !== 'object' || value === null || Array.isArray(value))) {
      throw new ContentError(path, 'it must be a JSON object, for it is stored as front matter')
    }
    fields[FIELDS[ext]] = value
    const layout = layoutOf(value, text)
    if (layout === undefined) inexact.push(path)
    layouts[ext] = layout ?? {}
  }
  const source = files.find(({ ext }) => ext === 'md' || ext === 'mdx')
  if (source !== undefined && fields['frontmatter'] === undefined) {
    const front = frontMatter(source.path, String(fields[FIELDS[source.ext]]))
    if (front !== undefined) fields['frontmatter'] = front
  }
  return { id, ...fields, metadata: { files: layouts }, inexact }
}

function decode(path: string, bytes: Uint8Array): string {
  try {
    // A byte order mark belongs to the file.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new ContentError(path, 'it is not UTF-8')
  }
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (error) {
    throw new ContentError(path, `it is not JSON: ${error instanceof Error ? error.message : error}`)
  }
}

function frontMatter(path: string, text: string): unknown {
  const file = new VFile(text)
  try {
    matter(file)
  } catch (error) {
    throw new ContentError(path, `its front matter is not YAML: ${error instanceof Error ? error.message.split('\n')[0] : error}`)
  }
  const found = file.data['matter']
  if (typeof found !== 'object' || found === null || Array.isArray(found)) return undefined
  return Object.keys(found).length === 0 ? undefined : found
}

/** How the text of a value is laid out, if that can be said. */
function layoutOf(value: unknown, text: string): Layout | undefined {
  const body = text.trimEnd()
  const [, indent = ''] = /^[[{]\r?\n([ \t]+)/.exec(body) ?? []
  const end = text.slice(body.length)
  const layout = { ...(indent === '' ? {} : { indent: /^ +$/.test(indent) ? indent.length : indent }), ...(end === '' ? {} : { end }) }
  if (renderJson(value, layout) === text) return layout
  return text.length <= TEXT_LENGTH_MAX ? { text } : undefined
}

function renderJson(value: unknown, { indent, end = '', text }: Layout): string {
  if (text !== undefined && isTextOf(text, value)) return text
  return JSON.stringify(value, undefined, indent) + end
}

/** What is kept beside a value must not become another one. */
function isTextOf(text: string, value: unknown): boolean {
  try {
    return JSON.stringify(JSON.parse(text.replace(/^\uFEFF/, ''))) === JSON.stringify(value)
  } catch {
    return false
  }
}

/** The files that an artifact is pulled to: their names after the id, and their texts. */
export function toFiles(artifact: ReadonlyMap<string, unknown>): readonly { readonly ext: string; readonly text: string }[] {
  const layouts = layoutsOf(artifact.get('metadata'))
  return Object.entries(FIELDS).flatMap(([ext, field]) => {
    const value = artifact.get(field)
    // Written by something else than `firn publish`: each field under its usual extension, but front matter that the text
    // may hold already.
    const isUsual = ext !== 'mjs' && !(ext === 'json' && (artifact.has('markdown') || artifact.has('mdx')))
    const layout = layouts === undefined ? (isUsual ? {} : undefined) : layouts.get(ext)
    if (value === undefined || layout === undefined) return []
    return [{ ext, text: typeof value === 'string' && !ext.endsWith('json') ? value : renderJson(value, layout) }]
  })
}

function layoutsOf(metadata: unknown): ReadonlyMap<string, Layout> | undefined {
  const files = isObject(metadata) ? metadata['files'] : undefined
  if (!isObject(files)) return undefined
  return new Map(
    Object.entries(files).map(([ext, given]) => {
      const { indent, end, text } = isObject(given) ? given : {}
      const isIndent = typeof indent === 'number' || (typeof indent === 'string' && /^[ \t]*$/.test(indent))
      const isEnd = typeof end === 'string' && /^\s*$/.test(end)
      return [ext, { ...(isIndent ? { indent } : {}), ...(isEnd ? { end } : {}), ...(typeof text === 'string' ? { text } : {}) }]
    }),
  )
}

function isObject(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
