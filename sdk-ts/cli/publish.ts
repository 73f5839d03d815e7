// firn publish: a folder becomes artifacts.

import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { watch } from 'chokidar'

import { isFirnError } from '../src/errors.js'
import type { PutManyResult } from '../src/many.js'
import type { ArtifactRecord, Mode, Visibility } from '../src/record.js'
import { count, plural, size, type Context } from './context.js'
import { EXIT, Exit, UsageError } from './exit.js'
import { ContentError, planGroups, toRecord, type Group, type Plan, type SkippedFile } from './files.js'
import { startProgress } from './progress.js'
import { claimsOf } from './token.js'
import { walk } from './walk.js'

/** The command's own options. */
export interface PublishOptions {
  readonly ns?: string
  readonly type: string
  readonly prefix: string
  readonly mode?: Mode
  readonly visibility?: Visibility
  readonly expiresAt?: string
  readonly dryRun?: boolean
  readonly watch?: boolean
  readonly lenient?: boolean
  readonly atomic?: boolean
}

/** Rejected lines that are shown; the rest is counted. */
const SHOWN_MAX = 20

export async function publish(context: Context, dir: string, options: PublishOptions): Promise<void> {
  if (options.watch === true && options.mode !== undefined && options.mode !== 'preview') {
    throw new UsageError('--watch writes in preview mode; leave --mode out')
  }
  const run = new Publish(context, resolve(dir), options)
  const plan = run.plan()
  if (options.dryRun === true) return run.showPlan(plan)
  await run.send(plan.groups)
  if (options.watch === true) await run.follow(plan.groups)
}

class Publish {
  readonly #context: Context
  readonly #dir: string
  readonly #options: PublishOptions
  readonly #ns: string

  constructor(context: Context, dir: string, options: PublishOptions) {
    this.#context = context
    this.#dir = dir
    this.#options = options
    this.#ns = options.ns ?? soleNamespace(context.token)
  }

  /** What is to be published; refused files end the command, unless the caller goes on without them. */
  plan(isNew: (group: Group) => boolean = () => true): Plan {
    const found = walk(this.#dir)
    const { type, prefix } = this.#options
    const plan = planGroups(found.files, { ns: this.#ns, type, prefix })
    const refused = [...plan.refused]
    // Read once before anything is sent: a file that cannot be stored must not be found half-way.
    const groups = plan.groups.filter((group) => {
      if (!isNew(group)) return true
      try {
        const { inexact } = toRecord(group, (path) => this.#read(path))
        for (const path of inexact) this.#context.note(`${path}: its JSON is laid out in a way that a pull will not restore`)
        return true
      } catch (error) {
        if (!(error instanceof ContentError)) throw error
        refused.push({ path: error.path, reason: error.message })
        return false
      }
    })
    if (refused.length > 0 && this.#options.lenient !== true) throw new UsageError(refusedText(refused))
    return { groups, skipped: [...found.skipped, ...plan.skipped], refused }
  }

  showPlan({ groups, skipped, refused }: Plan): void {
    const artifacts = groups.map(({ id, files }) => ({ id, files: files.map(({ path }) => path) }))
    const lenBytes = groups.flatMap(({ files }) => files).reduce((sum, file) => sum + file.lenBytes, 0)
    const [ns, { type }] = [this.#ns, this.#options]
    const json = { dryRun: true, ns, type, bytes: lenBytes, artifacts, skipped, refused }
    this.#context.print(json, () =>
      [
        ...artifacts.map(({ id, files }) => `${ns}/${type}/${id}  ${this.#context.colors.dim(files.join(' '))}`),
        `${plural(artifacts.length, 'artifact')} of ${size(lenBytes)} would be published; ${skippedText(skipped, refused)}`,
      ].join('\n'),
    )
  }

  /** Writes groups, and says what became of them. */
  async send(groups: readonly Group[], removed: readonly string[] = []): Promise<void> {
    const context = this.#context
    const total = groups.flatMap(({ files }) => files).reduce((sum, { lenBytes }) => sum + lenBytes, 0)
    const progress = startProgress(context, total)
    const started = performance.now()
    let result: PutManyResult
    try {
      result = await this.#write(this.#records(groups, removed, progress.update), groups.length + removed.length)
    } finally {
      progress.stop()
    }
    const { requests, accepted, unchanged, rejected, errors } = result
    const seconds = (performance.now() - started) / 1000
    const deleted = removed.length
    const json = { ns: this.#ns, type: this.#options.type, requests, accepted, unchanged, rejected, deleted, bytes: total, errors: errors.map(plain) }
    context.print(json, () => {
      const those = [unchanged > 0 ? `${count(unchanged)} unchanged` : '', deleted > 0 ? `${count(deleted)} deleted` : ''].filter(Boolean)
      const what = `${plural(accepted, 'artifact')} published${those.length === 0 ? '' : ` (${those.join(', ')})`}`
      const many = requests > 1 ? `, in ${requests} requests, each all or nothing` : ''
      const mark = rejected === 0 ? context.colors.green('✔') : context.colors.yellow('!')
      return `${mark} ${what}, ${size(total)} in ${seconds.toFixed(1)} s${many}`
    })
    if (rejected === 0) return
    for (const { record, code, detail } of errors.slice(0, SHOWN_MAX)) context.note(`${record.id}: ${detail ?? code}`)
    context.note(`${plural(rejected, 'record')} not taken`)
    throw new Exit(EXIT.rejected)
  }

  async #write(records: AsyncIterable<ArtifactRecord>, all: number): Promise<PutManyResult> {
    const { mode = this.#options.watch === true ? 'preview' : 'build', atomic } = this.#options
    const firn = this.#context.client()
    const { signal } = this.#context
    if (atomic === true) {
      if (mode === 'bulk') throw new UsageError('--atomic is not for bulk, which takes what it can')
      const { accepted, unchanged } = await firn.publish(records, { mode, signal })
      return { requests: 1, records: all, bytes: 0, accepted, unchanged, rejected: 0, errors: [] }
    }
    try {
      // The first request with a bad record is the last, so that a build is not published without it.
      const stop = ({ rejected }: { readonly rejected: number }): void => {
        if (rejected > 0 && mode !== 'bulk') throw new Exit(EXIT.rejected)
      }
      return await firn.putMany(records, { mode, signal, onProgress: stop })
    } catch (error) {
      if (isFirnError(error, 'PutManyError') && error.cause instanceof Exit) return error.result
      throw error
    }
  }

  async *#records(
    groups: readonly Group[],
    removed: readonly string[],
    update: (bytes: number, records: number) => void,
  ): AsyncGenerator<ArtifactRecord> {
    const { type, visibility, expiresAt } = this.#options
    const more = { ...(visibility === undefined ? {} : { visibility }), ...(expiresAt === undefined ? {} : { expires_at: expiresAt }) }
    let bytes = 0
    for (const [idx, group] of groups.entries()) {
      const { inexact: _, ...fields } = toRecord(group, (path) => this.#read(path))
      yield { ns: this.#ns, type, ...fields, ...more }
      bytes += group.files.reduce((sum, { lenBytes }) => sum + lenBytes, 0)
      update(bytes, idx + 1)
    }
    for (const id of removed) yield { ns: this.#ns, type, id, deleted: true }
  }

  #read(path: string): Uint8Array {
    return readFileSync(join(this.#dir, path))
  }

  /** Publishes what changes, until Ctrl-C. */
  async follow(groups: readonly Group[]): Promise<void> {
    const { signal } = this.#context
    const watcher = watch(this.#dir, { ignoreInitial: true, ignored: isHidden(this.#dir) })
    let held = new Map(groups.map((group) => [group.id, fingerprint(group)]))
    let wake = (): void => undefined
    let isChanged = false
    watcher.on('all', () => {
      isChanged = true
      wake()
    })
    signal.addEventListener('abort', () => wake())
    await new Promise<void>((resolve) => watcher.once('ready', () => resolve()))
    this.#context.note('watching for changes; Ctrl-C ends')
    try {
      while (!signal.aborted) {
        if (!isChanged) await new Promise<void>((resolve) => (wake = resolve))
        if (signal.aborted) return
        await settled()
        isChanged = false
        held = await this.#update(held)
      }
    } finally {
      await watcher.close()
    }
  }

  /** A bad file is told and does not end the watch; it is looked at again with the next change. */
  async #update(held: Map<string, string>): Promise<Map<string, string>> {
    try {
      const isNew = (group: Group): boolean => held.get(group.id) !== fingerprint(group)
      const { groups } = this.plan(isNew)
      const now = new Map(groups.map((group) => [group.id, fingerprint(group)]))
      const changed = groups.filter(isNew)
      const removed = [...held.keys()].filter((id) => !now.has(id))
      if (changed.length + removed.length > 0) await this.send(changed, removed)
      return now
    } catch (error) {
      if (this.#context.signal.aborted) return held
      if (!(error instanceof Exit)) this.#context.fail(error)
      return held
    }
  }
}

/** An editor writes a file in several steps. */
const settled = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 100))

const fingerprint = ({ files }: Group): string => files.map(({ path, lenBytes, modifiedMs }) => `${path}:${lenBytes}:${modifiedMs}`).join('|')

const isHidden =
  (root: string) =>
  (path: string): boolean =>
    /(^|[/\\])(\.|node_modules([/\\]|$))/.test(path.slice(root.length))

function soleNamespace(token: string | undefined): string {
  const claims = token === undefined ? undefined : claimsOf(token)
  const ns = claims?.['ns']
  const [only, ...others] = Array.isArray(ns) ? (ns as readonly unknown[]) : [ns]
  if (typeof only === 'string' && others.length === 0 && !only.includes('*')) return only
  throw new UsageError('--ns is missing, and the token does not name just one namespace')
}

function plain({ record, ...error }: PutManyResult['errors'][number]): object {
  return { ...error, id: record.id }
}

function skippedText(skipped: readonly SkippedFile[], refused: readonly SkippedFile[]): string {
  const bad = refused.length === 0 ? '' : `, ${plural(refused.length, 'file')} refused`
  return `${plural(skipped.length, 'file or folder')} skipped${bad}`.replace('file or folders', 'files or folders')
}

function refusedText(refused: readonly SkippedFile[]): string {
  const lines = refused.slice(0, SHOWN_MAX).map(({ path, reason }) => `  ${path}: ${reason}`)
  const more = refused.length > SHOWN_MAX ? [`  and ${refused.length - SHOWN_MAX} more`] : []
  return [`${plural(refused.length, 'file')} cannot be stored (--lenient goes on without them):`, ...lines, ...more].join('\n')
}
