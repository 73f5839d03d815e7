// firn pull: artifacts become files again.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'

import { isFirnError } from '../src/errors.js'
import { contentUrl, type ArtifactKey, type ArtifactType } from '../src/url.js'
import { plural, size, type Context } from './context.js'
import { EXIT, Exit, UsageError } from './exit.js'
import { toFiles } from './files.js'

/** Which artifacts are pulled, and where to. */
export interface PullFlags {
  readonly ids?: readonly string[]
  readonly idsFile?: string
  readonly prefix?: string
  readonly strip?: string
  readonly output: string
  readonly concurrency: number
}

/** Whole artifacts are long; an answer has an end. */
const ARTIFACTS_PER_REQUEST = 50

/** An artifact that was not pulled, and why. */
interface Failed {
  readonly id: string
  readonly message: string
  readonly status: number | undefined
}

export async function pull(context: Context, of: ArtifactType, flags: PullFlags): Promise<void> {
  const ids = idsOf(context, of, flags)
  const out = resolve(flags.output)
  const failed: Failed[] = []
  let artifacts = 0
  let files = 0
  let bytes = 0
  const firn = context.client()
  const keep = (id: string, artifact: unknown): void => {
    if (typeof artifact !== 'object' || artifact === null) throw new UsageError('the answer is no artifact')
    for (const { ext, text } of toFiles(new Map(Object.entries(artifact)))) {
      bytes += write(out, `${strip(id, flags.strip)}.${ext}`, text)
      files += 1
    }
    artifacts += 1
  }
  const pullSome = async (some: readonly string[]): Promise<void> => {
    const addresses = some.filter((id) => isPossible({ ...of, id }, failed)).map((id) => ({ ...of, id, ext: 'artifact.json' as const }))
    for (const each of await firn.getMany(addresses, { as: 'json', signal: context.signal })) {
      const { id } = each.address
      if (each.found) keep(id, each.body)
      else if (each.status === 404 || each.status === 410) failed.push({ id, message: each.detail ?? `${each.status}`, status: each.status })
      // What failed for another reason is read alone, with retries; then its error is everyone's.
      else keep(id, (await firn.get(each.address, { as: 'json', signal: context.signal })).body)
    }
  }
  await inParallel(inGroups(ids, ARTIFACTS_PER_REQUEST), flags.concurrency, pullSome)
  context.print({ ...of, output: out, artifacts, files, bytes, failed }, () =>
    `${context.colors.green('✔')} ${plural(artifacts, 'artifact')} pulled to ${flags.output}: ${plural(files, 'file')}, ${size(bytes)}`,
  )
  for (const { id, message } of failed) context.note(`${id}: ${message}`)
  if (failed.length > 0) throw new Exit(failed.every(({ status }) => status === undefined) ? EXIT.usage : EXIT.missing)
}

/** Whether there can be such an artifact. */
function isPossible(key: ArtifactKey, failed: Failed[]): boolean {
  try {
    contentUrl('https://firn.invalid', { ...key, ext: 'artifact.json' })
    return true
  } catch (error) {
    if (!isFirnError(error, 'InvalidInputError')) throw error
    failed.push({ id: key.id, message: error.message, status: undefined })
    return false
  }
}

/** The ids that were named, else those of a listing. */
async function* idsOf(context: Context, of: ArtifactType, { ids, idsFile, prefix }: PullFlags): AsyncGenerator<string> {
  if (ids === undefined && idsFile === undefined) {
    for await (const { id, deleted } of context.client().list(of, { prefix, signal: context.signal })) if (!deleted) yield id
    return
  }
  if (prefix !== undefined) throw new UsageError('--prefix is for listings; --ids and --ids-file name the artifacts')
  yield* ids ?? []
  if (idsFile === undefined) return
  const lines = readFileSync(idsFile === '-' ? 0 : idsFile, 'utf8').split('\n').map((line) => line.trim())
  yield* lines.filter((line) => line !== '')
}

function strip(id: string, prefix: string | undefined): string {
  if (prefix === undefined || prefix === '') return id
  if (!id.startsWith(prefix)) throw new UsageError(`the id does not begin with ${prefix}`)
  return id.slice(prefix.length)
}

function write(out: string, path: string, text: string): number {
  const file = join(out, path)
  // An id has no ".." segment; what is left after --strip must not leave the folder either.
  if (!file.startsWith(out + sep)) throw new UsageError(`${path} would lie outside of ${out}`)
  const bytes = Buffer.from(text, 'utf8')
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, bytes)
  return bytes.byteLength
}

async function* inGroups(items: AsyncIterable<string>, count: number): AsyncGenerator<readonly string[]> {
  let group: string[] = []
  for await (const item of items) {
    group.push(item)
    if (group.length < count) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}

/** Runs `work` over items, at most `width` at once; the first error ends it. */
async function inParallel<T>(items: AsyncGenerator<T>, width: number, work: (item: T) => Promise<void>): Promise<void> {
  const worker = async (): Promise<void> => {
    for (;;) {
      const { done, value } = await items.next()
      if (done === true) return
      await work(value)
    }
  }
  try {
    await Promise.all(Array.from({ length: width }, worker))
  } finally {
    await items.return(undefined)
  }
}
