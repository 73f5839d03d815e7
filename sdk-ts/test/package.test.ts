// The package as others get it: what `npm pack` would take, after a build.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'

/** Budget of the library, minified and compressed. */
const GZIP_BYTES_MAX = 10 * 1024

const root = process.cwd()
/** By the package's place: this file runs from elsewhere. */
const { transformSync }: typeof import('esbuild') = createRequire(join(root, 'package.json'))('esbuild')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>

test('every path of the manifest exists', () => {
  const paths: string[] = []
  const walk = (value: unknown): void => {
    if (typeof value === 'string') paths.push(value)
    else for (const member of Object.values(value as object)) walk(member)
  }
  walk([manifest['main'], manifest['types'], manifest['exports']])
  // npm wants this one without.
  paths.push(`./${(manifest['bin'] as Record<string, string>)['firn']}`)
  assert.ok(paths.length >= 7)
  for (const path of paths) {
    assert.match(path, /^\.\//)
    assert.ok(existsSync(join(root, path)), path)
  }
})

test('types come first in every condition', () => {
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    const conditions = Object.keys(value)
    if (conditions.includes('types')) assert.equal(conditions[0], 'types')
    Object.values(value).forEach(walk)
  }
  walk(manifest['exports'])
})

test('package needs nothing and says what it needs', () => {
  for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies', 'bundleDependencies']) {
    assert.equal(manifest[kind], undefined, kind)
  }
  assert.equal(manifest['sideEffects'], false)
  assert.deepEqual(manifest['engines'], { node: '>=20' })
  assert.deepEqual(manifest['files'], ['dist', 'API.md'])
})

test('both formats give the same names', async () => {
  const commonJs: unknown = createRequire(join(root, 'package.json'))(manifest['name'] as string)
  const esModule: unknown = await import(pathToFileURL(join(root, 'dist/esm/index.js')).href)
  const names = Object.keys(esModule as object).sort()
  assert.deepEqual(Object.keys(commonJs as object).sort(), names)
  assert.ok(names.includes('contentUrl'))
})

test('built library is small and names no module', () => {
  for (const format of ['esm', 'cjs']) {
    const code = readFileSync(join(root, 'dist', format, 'index.js'), 'utf8')
    const lenBytes = gzipSync(transformSync(code, { minify: true }).code, { level: 9 }).byteLength
    assert.ok(lenBytes <= GZIP_BYTES_MAX, `${format}: ${lenBytes}`)
    assert.doesNotMatch(code, /\brequire\(|\bfrom ["']/)
  }
})

test('dist holds nothing but the built modules and their declarations', () => {
  const files = readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })
  const kinds = files.filter((file) => !/^(esm|cjs|cli)$|(^|[\\/])index\.js$|\.d\.ts$|^cjs[\\/]package\.json$|^cli[\\/](firn\.cjs|LICENSES\.txt)$/.test(file))
  assert.deepEqual(kinds, [])
})

test('declarations serve both kinds of modules', () => {
  const consumer = mkdtempSync(join(tmpdir(), 'firn-sdk-consumer-'))
  try {
    mkdirSync(join(consumer, 'node_modules/@firn'), { recursive: true })
    symlinkSync(root, join(consumer, 'node_modules/@firn/sdk'), 'dir')
    const use = `
      const url: string = contentUrl('https://a.example', { ns: 'a', type: 'b', id: 'c', ext: 'md' })
      const code = (error: unknown): string | undefined => (isResponseError(error) ? error.code : undefined)
      // @ts-expect-error not an extension
      contentUrl(url, { ns: 'a', type: 'b', id: 'c', ext: 'ts' })
      code(url)
    `
    writeFileSync(join(consumer, 'a.mts'), `import { contentUrl, isResponseError } from '@firn/sdk'\n${use}`)
    writeFileSync(join(consumer, 'b.cts'), `import sdk = require('@firn/sdk')\nconst { contentUrl, isResponseError } = sdk\n${use}`)
    for (const [module, moduleResolution] of [
      ['nodenext', 'nodenext'],
      ['preserve', 'bundler'],
    ] as const) {
      const files = module === 'nodenext' ? ['a.mts', 'b.cts'] : ['a.mts']
      const lib = ['--lib', 'es2022,dom', '--types', '']
      const options = ['--noEmit', '--strict', ...lib, '--module', module, '--moduleResolution', moduleResolution]
      const compiler = join(root, 'scripts/tsc.mjs')
      const paths = files.map((file) => join(consumer, file))
      const run = spawnSync(process.execPath, [compiler, ...options, '--ignoreConfig', ...paths], { encoding: 'utf8' })
      assert.equal(run.status, 0, `${module}\n${run.stdout}${run.stderr}`)
    }
  } finally {
    rmSync(consumer, { recursive: true, force: true })
  }
})
