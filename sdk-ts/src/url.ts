import { InvalidInputError } from './errors.js'

/** What names the artifacts of one type. */
export interface ArtifactType {
  /** Namespace: 1–253 of `A-Z a-z 0-9 . _ -`, starts alphanumeric; lower-cased. */
  readonly ns: string
  /** Type: 1–64 of `A-Z a-z 0-9 . _ -`, starts alphanumeric. */
  readonly type: string
}

/** What names one artifact. */
export interface ArtifactKey extends ArtifactType {
  /**
   * Id: 1–1024 bytes of UTF-8, may hold `/`. No empty, `.` or `..` segment, no control character, no backslash; does not
   * end in `@v<digits>` nor in `.mdast`, `.hast`, `.estree`, `.tsast`, `.artifact` or `.d`.
   */
  readonly id: string
}

/** Every extension under which an artifact can be read. */
export const EXTENSIONS = [
  'md',
  'mdx',
  'html',
  'css',
  'js',
  'mjs',
  'd.ts',
  'json',
  'mdast.json',
  'hast.json',
  'estree.json',
  'tsast.json',
  'artifact.json',
] as const

/** One representation of an artifact. */
export type Extension = (typeof EXTENSIONS)[number]

/** What names one representation of one artifact. */
export interface ContentAddress extends ArtifactKey {
  /** The representation. */
  readonly ext: Extension
}

/** How an artifact is read. */
export interface ReadOptions {
  /** Skip caches, where the tenant allows it. */
  readonly fresh?: boolean
  /** The `max-age` wanted, in whole seconds; between the tenant's minimum and its default. */
  readonly maxAge?: number
}

const NS_LENGTH_MAX = 253
const TYPE_LENGTH_MAX = 64
const ID_BYTES_MAX = 1024
const RESERVED_ID_SUFFIXES = ['.mdast', '.hast', '.estree', '.tsast', '.artifact', '.d']

/**
 * The URL of one representation of one artifact, for a request, for HTML or for an import map.
 *
 * The segments of the id are percent-encoded one by one, so that its slashes stay slashes and the server, which decodes
 * once, gets back exactly the id.
 *
 * @param baseUrl where the server lies; its path, if it has one, is kept, its query and fragment are not
 * @throws InvalidInputError if the server would refuse the key
 */
export function contentUrl(baseUrl: string | URL, address: ContentAddress, options: ReadOptions = {}): string {
  const url = keyUrl(parseBase(baseUrl), address)
  if (!EXTENSIONS.includes(address.ext)) throw new InvalidInputError('ext', `must be one of ${EXTENSIONS.join(', ')}`)
  return `${url}.${address.ext}${query(options)}`
}

/** The URL of an artifact as a whole, to delete it or to list its versions. */
export function keyUrl(base: string, { id, ...names }: ArtifactKey): string {
  const url = typeUrl(base, names)
  checkId(id)
  return url + id.split('/').map(encodeURIComponent).join('/')
}

/** The URL of all artifacts of a type, to list them. */
export function typeUrl(base: string, { ns, type }: ArtifactType): string {
  checkName('ns', ns, NS_LENGTH_MAX)
  checkName('type', type, TYPE_LENGTH_MAX)
  return `${base}/$.content/${ns.toLowerCase()}/${type}/`
}

/** A base URL without the slashes at its end. */
export function parseBase(baseUrl: string | URL): string {
  let url: URL
  try {
    url = new URL(baseUrl)
  } catch {
    throw new InvalidInputError('baseUrl', 'must be an absolute URL')
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new InvalidInputError('baseUrl', 'must be an http or https URL')
  }
  return url.origin + url.pathname.replace(/\/+$/, '')
}

function checkName(field: string, value: string, lengthMax: number): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(value)) {
    throw new InvalidInputError(field, 'must be letters, digits, ".", "_" and "-", and start with a letter or a digit')
  }
  if (value.length > lengthMax) throw new InvalidInputError(field, `must have at most ${lengthMax} characters`)
}

function checkId(id: string): void {
  const refuse = (reason: string): never => {
    throw new InvalidInputError('id', reason)
  }
  if (id === '') refuse('must not be empty')
  // Half of a surrogate pair has no UTF-8.
  if (!isWellFormed(id)) refuse('must be well-formed Unicode')
  if (new TextEncoder().encode(id).byteLength > ID_BYTES_MAX) refuse(`must have at most ${ID_BYTES_MAX} bytes of UTF-8`)
  if (/[\u0000-\u001f\u007f-\u009f\\]/.test(id)) refuse('must hold no control character and no backslash')
  if (id.split('/').some((segment) => segment === '' || segment === '.' || segment === '..')) {
    refuse('must have no empty, "." or ".." segment')
  }
  if (/@v\d+$/.test(id)) refuse('must not end in "@v" and digits, which name a version')
  const suffix = RESERVED_ID_SUFFIXES.find((reserved) => id.endsWith(reserved))
  if (suffix !== undefined) refuse(`must not end in "${suffix}", which is part of an extension`)
}

/** `String.prototype.isWellFormed`, which ES2022 does not have. */
function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}

function query({ fresh, maxAge }: ReadOptions): string {
  const parameters: string[] = []
  if (fresh === true) parameters.push('fresh=true')
  if (maxAge !== undefined) {
    if (!Number.isSafeInteger(maxAge) || maxAge < 0) {
      throw new InvalidInputError('maxAge', 'must be a whole number of seconds, not negative')
    }
    parameters.push(`max_age=${maxAge}`)
  }
  return parameters.length === 0 ? '' : `?${parameters.join('&')}`
}
