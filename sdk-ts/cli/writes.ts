// firn put, delete.

import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

import type { ArtifactRecord, Mode, Visibility } from '../src/record.js'
import type { ArtifactKey } from '../src/url.js'
import { splitExtension, type Context } from './context.js'
import { UsageError } from './exit.js'
import { ContentError, planGroups, toRecord } from './files.js'

/** How an artifact is written. */
export interface PutFlags {
  readonly stdin?: string
  readonly mode?: Mode
  readonly visibility?: Visibility
  readonly expiresAt?: string
  readonly ifVersion?: string
  readonly idempotencyKey?: string
}

/** One artifact of files, whose extensions say which representations they are. */
export async function put(context: Context, key: ArtifactKey, files: readonly string[], flags: PutFlags): Promise<void> {
  const { mode, visibility, expiresAt, ifVersion, idempotencyKey } = flags
  const record: ArtifactRecord = {
    ...key,
    ...fieldsOf(key, files, flags.stdin),
    ...(visibility === undefined ? {} : { visibility }),
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
    ...(ifVersion === undefined ? {} : { if_version: ifVersion }),
  }
  const answer = await context.client().put(record, { mode, idempotencyKey, signal: context.signal })
  const name = `${key.ns}/${key.type}/${key.id}`
  context.print(answer, () => `${context.colors.green('✔')} ${name} ${answer.unchanged > 0 ? 'is unchanged' : 'written'}`)
}

function fieldsOf(key: ArtifactKey, files: readonly string[], stdin: string | undefined): Omit<ReturnType<typeof toRecord>, 'id' | 'inexact'> {
  const texts = new Map<string, Uint8Array>(files.map((file) => [basename(file), readFileSync(file)]))
  if (stdin !== undefined) texts.set(`stdin.${stdin}`, readFileSync(0))
  if (texts.size === 0) throw new UsageError('give files, or --stdin EXT')
  // Whatever their names, they are this artifact's.
  const sources = [...texts].map(([name, { byteLength }]) => {
    const found = splitExtension(name)
    return { path: found === undefined ? name : `file.${found.ext}`, lenBytes: byteLength, modifiedMs: 0, name }
  })
  const plan = planGroups(sources, { ns: key.ns, type: key.type, prefix: '' })
  const [refused] = [...plan.refused, ...plan.skipped]
  const [group] = plan.groups
  if (refused !== undefined) throw new UsageError(`${refused.path}: ${refused.reason}`)
  if (group === undefined) throw new UsageError('give files, or --stdin EXT')
  const bytes = new Map(sources.map(({ path, name }) => [path, texts.get(name) ?? new Uint8Array()]))
  try {
    const { id: _, inexact: __, ...fields } = toRecord(group, (path) => bytes.get(path) ?? new Uint8Array())
    return fields
  } catch (error) {
    throw error instanceof ContentError ? new UsageError(`${error.path}: ${error.message}`) : error
  }
}

/** Deletes artifacts, one after the other. */
export async function remove(context: Context, keys: readonly ArtifactKey[], { ifMatch }: { readonly ifMatch?: string }): Promise<void> {
  if (ifMatch !== undefined && keys.length > 1) throw new UsageError('--if-match is for one artifact')
  const firn = context.client()
  for (const key of keys) {
    const { version, requestId } = await firn.delete(key, { ifMatch, signal: context.signal })
    const name = `${key.ns}/${key.type}/${key.id}`
    context.print({ ...key, version, requestId }, () => `${context.colors.green('✔')} ${name} deleted`)
  }
}
