import type { ArtifactKey } from './url.js'

/** Who may read an artifact. */
export type Visibility = 'public' | 'unlisted' | 'org' | 'user'

/**
 * How records are written. `preview` and `build` take all of a request or nothing, and what they answer is readable at
 * once; `bulk` skips bad lines, and is readable after the stream's flush.
 */
export type Mode = 'preview' | 'build' | 'bulk'

/** One artifact as it is written. It replaces the whole artifact; a field that is left out is absent afterwards. */
export interface ArtifactRecord extends ArtifactKey {
  readonly markdown?: string
  readonly mdx?: string
  readonly html?: string
  readonly esm?: string
  readonly dts?: string
  readonly css?: string
  /** Syntax trees: any JSON. */
  readonly mdast?: unknown
  readonly hast?: unknown
  readonly estree?: unknown
  readonly tsast?: unknown
  readonly frontmatter?: { readonly [name: string]: unknown }
  readonly dependencies?: readonly string[]
  readonly exports?: readonly string[]
  /** Absent: the namespace's default. */
  readonly visibility?: Visibility
  /** At most 16 KiB of JSON. */
  readonly metadata?: { readonly [name: string]: unknown }
  /** RFC 3339. */
  readonly expires_at?: string
  /** `true` makes a tombstone. */
  readonly deleted?: boolean
  /** The version that must be current, `"0"` where there must be none; not in bulk. */
  readonly if_version?: string
}
