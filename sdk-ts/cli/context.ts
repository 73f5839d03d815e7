// What every command shares: where the server is, who the caller is, and how output is written.

import { readFileSync } from 'node:fs'

import { InvalidArgumentError, type Command } from 'commander'
import pc from 'picocolors'

import { Firn, type FirnOptions } from '../src/client.js'
import { InvalidInputError } from '../src/errors.js'
import { EXTENSIONS, keyUrl, type ArtifactKey, type ArtifactType, type ContentAddress } from '../src/url.js'
import { UsageError, errorMembers } from './exit.js'

/** Retries of the command line: nobody waits at a prompt for the first failure. */
const RETRIES = 4

/** Options that every command takes. */
export interface GlobalOptions {
  readonly url?: string
  readonly tokenFile?: string
  readonly timeout?: number
  readonly retries?: number
  readonly json?: boolean
}

/** One run of the command line. */
export class Context {
  /** Ends everything at Ctrl-C. */
  readonly signal: AbortSignal
  readonly isJson: boolean
  /** Whether JSON was asked for, as opposed to chosen because nobody watches. */
  readonly isJsonAsked: boolean
  // On a terminal alone: the library also colours wherever `CI` is set.
  readonly colors = pc.createColors(process.stdout.isTTY === true && pc.isColorSupported)
  readonly #options: GlobalOptions

  constructor(command: Command, signal: AbortSignal) {
    this.#options = command.optsWithGlobals<GlobalOptions>()
    this.signal = signal
    this.isJsonAsked = this.#options.json === true
    this.isJson = this.#options.json ?? process.stdout.isTTY !== true
  }

  get baseUrl(): string {
    const url = this.#options.url ?? process.env['FIRN_URL']
    if (!url) throw new UsageError('where the server is must be said: --url or FIRN_URL')
    return url
  }

  /** The token, if there is one: of --token-file, else of FIRN_TOKEN. */
  get token(): string | undefined {
    const { tokenFile } = this.#options
    if (tokenFile !== undefined) return readFileSync(tokenFile === '-' ? 0 : tokenFile, 'utf8').trim()
    return process.env['FIRN_TOKEN']?.trim() || undefined
  }

  /** What a client is made of. */
  get clientOptions(): FirnOptions {
    const { timeout, retries = RETRIES } = this.#options
    const seconds = timeout === undefined ? {} : { timeout: timeout * 1000 }
    return { baseUrl: this.baseUrl, token: this.token, maxRetries: retries, ...seconds }
  }

  client(): Firn {
    return new Firn(this.clientOptions)
  }

  /** One result: JSON where that is wanted, else what `human` says. */
  print(json: unknown, human: () => string): void {
    process.stdout.write(`${this.isJson ? JSON.stringify(json) : human()}\n`)
  }

  /** Something beside the result, for people. */
  note(text: string): void {
    if (!this.isJson) process.stderr.write(`${text}\n`)
  }

  fail(error: unknown): void {
    const members = errorMembers(error)
    if (this.isJson) return void process.stderr.write(`${JSON.stringify({ error: members })}\n`)
    const red = pc.createColors(process.stderr.isTTY === true && pc.isColorSupported).red
    process.stderr.write(`${red('error')}: ${members['message']}\n`)
    if (typeof members['requestId'] === 'string') process.stderr.write(`request: ${members['requestId']}\n`)
  }
}

/** `ns/type`. */
export function parseType(text: string): ArtifactType {
  const [ns, type, ...rest] = text.split('/')
  if (!ns || !type || rest.join('') !== '') throw new InvalidArgumentError('It must be NS/TYPE.')
  return { ns, type }
}

/** `ns/type/id`, as the server takes it. */
export function parseKey(text: string): ArtifactKey {
  const key = splitKey(text)
  try {
    keyUrl('https://firn.invalid', key)
  } catch (error) {
    throw error instanceof InvalidInputError ? new InvalidArgumentError(`${error.message}.`) : error
  }
  return key
}

function splitKey(text: string): ArtifactKey {
  const [ns, type, ...segments] = text.split('/')
  if (!ns || !type || segments.length === 0) throw new InvalidArgumentError('It must be NS/TYPE/ID.')
  return { ns, type, id: segments.join('/') }
}

/** `ns/type/id.ext`. */
export function parseAddress(text: string): ContentAddress {
  const { id: path, ...names } = splitKey(text)
  const found = splitExtension(path)
  if (found === undefined) throw new InvalidArgumentError(`It must be NS/TYPE/ID.EXT, with one of ${EXTENSIONS.join(', ')}.`)
  return { ...parseKey(`${names.ns}/${names.type}/${found.id}`), ext: found.ext }
}

/** A path without its extension, and that: the longest known one. */
export function splitExtension(path: string): Pick<ContentAddress, 'id' | 'ext'> | undefined {
  const fitting = EXTENSIONS.filter((ext) => path.endsWith(`.${ext}`) && path.length > ext.length + 1)
  const [ext] = fitting.sort((a, b) => b.length - a.length)
  return ext === undefined ? undefined : { id: path.slice(0, -ext.length - 1), ext }
}

/** A whole number, not negative. */
export function parseCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}

/** `1,234` */
export const count = (value: number): string => value.toLocaleString('en-US')

/** `1 record`, `2 records` */
export const plural = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? '' : 's'}`

/** `1.2 MB` */
export function size(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let unit = 0
  for (; bytes >= 1000 && unit < units.length - 1; unit += 1) bytes /= 1000
  return `${unit === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`
}
