import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import type { ArtifactRecord } from '../src/record.js'

/** What the server calls a type that this package writes so. */
type Kind<T> = unknown extends T
  ? 'Json'
  : T extends string
    ? 'String' | 'Timestamp'
    : T extends boolean
      ? 'Bool'
      : T extends readonly string[]
        ? 'StringList'
        : 'Object'

/** The compiler sees to it that every field of a record is here, with a kind that fits its type. */
const FIELDS: { readonly [K in keyof Required<ArtifactRecord>]: Kind<Required<ArtifactRecord>[K]> } = {
  ns: 'String',
  type: 'String',
  id: 'String',
  visibility: 'String',
  deleted: 'Bool',
  expires_at: 'Timestamp',
  metadata: 'Object',
  markdown: 'String',
  mdx: 'String',
  html: 'String',
  esm: 'String',
  dts: 'String',
  css: 'String',
  mdast: 'Json',
  hast: 'Json',
  estree: 'Json',
  tsast: 'Json',
  frontmatter: 'Object',
  dependencies: 'StringList',
  exports: 'StringList',
  if_version: 'String',
}

test('a record has the fields that the server takes, with their types', () => {
  const source = readFileSync(join(process.cwd(), '../crates/types/src/schema.rs'), 'utf8')
  const rows = [...source.matchAll(/^ {4}column\(\d+, "(\w+)", .*V::(\w+)\),$/gm)].filter(([, , kind]) => kind !== 'None')
  // A condition of the write, not a column.
  assert.deepEqual({ ...Object.fromEntries(rows.map(([, name, kind]) => [name, kind])), if_version: 'String' }, { ...FIELDS })
})
