import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'

import { parseAddress, parseKey, parseType, size, splitExtension } from '../cli/context.js'
import { planGroups, toFiles, toRecord, type Plan } from '../cli/files.js'
import { walk } from '../cli/walk.js'

const NAMES = { ns: 'app.do', type: 'page', prefix: '' }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const plan = (files: Readonly<Record<string, number>>, prefix = ''): Plan =>
  planGroups(Object.entries(files).map(([path, lenBytes]) => ({ path, lenBytes, modifiedMs: 0 })), { ...NAMES, prefix })

/** The files that a pull makes of what a publish made of files. */
function roundTrip(files: Readonly<Record<string, string>>): Record<string, string> {
  const { groups, skipped, refused } = planGroups(
    Object.entries(files).map(([path, text]) => ({ path, lenBytes: text.length, modifiedMs: 0 })),
    NAMES,
  )
  assert.deepEqual([...skipped, ...refused], [])
  return Object.fromEntries(
    groups.flatMap((group) => {
      const { inexact, ...record } = toRecord(group, (path) => bytes(files[path] ?? assert.fail()))
      assert.deepEqual(inexact, [])
      // As the server gives it back.
      const artifact = JSON.parse(JSON.stringify(record)) as object
      return toFiles(new Map(Object.entries(artifact))).map(({ ext, text }) => [`${group.id}.${ext}`, text])
    }),
  )
}

test('files that differ in nothing but their extension are one artifact, the longest extension counting', () => {
  const files = { 'home.md': 1, 'home.html': 1, 'home.js': 1, 'home.d.ts': 1, 'home.css': 1, 'home.mdast.json': 1, 'docs/home.md': 1, 'a.b.md': 1, 'x.js.js': 1 }
  const { groups, skipped, refused } = plan(files)
  assert.deepEqual(groups.map(({ id, files: those }) => [id, those.map(({ ext }) => ext)]), [
    ['a.b', ['md']],
    ['docs/home', ['md']],
    ['home', ['md', 'html', 'js', 'd.ts', 'css', 'mdast.json']],
    ['x.js', ['js']],
  ])
  assert.deepEqual([skipped, refused], [[], []])
  assert.deepEqual(plan({ 'a.md': 1 }, 'pkg/').groups.map(({ id }) => id), ['pkg/a'])
})

test('a file without a representation is skipped; one that cannot be stored is refused', () => {
  const { groups, skipped, refused } = plan({
    LICENSE: 1, 'a.png': 1, 'a.artifact.json': 1, 'b.js': 1, 'b.mjs': 1, 'c@v2.md': 1, 'd.d.js': 1, 'e.md': 1_900_001, 'f.md': 1_000_000, 'f.html': 1_000_000,
  })
  assert.deepEqual(skipped.map(({ path }) => path), ['LICENSE', 'a.png', 'a.artifact.json'])
  assert.deepEqual(refused.map(({ path }) => path), ['b.mjs', 'c@v2.md', 'd.d.js', 'e.md', 'f.html'])
  assert.deepEqual(groups.map(({ id }) => id), ['b', 'f'])
  assert.throws(() => planGroups([{ path: 'a.md', lenBytes: 1, modifiedMs: 0 }], { ...NAMES, type: 'a/b' }), /type must be/)
})

test('text is kept as it is, and front matter read beside it', () => {
  const text = '\uFEFF---\r\ntitle: "é"\r\nwhen: 2026-11-20\r\ntags: [a, b]\r\n---\r\n# Hello\r\n'
  const [group = assert.fail()] = plan({ 'a.md': 1 }).groups
  const record = toRecord(group, () => bytes(text))
  assert.equal(record['markdown'], text)
  assert.deepEqual(toRecord(group, () => bytes(text.slice(1)))['frontmatter'], { title: 'é', when: '2026-11-20', tags: ['a', 'b'] })
  assert.equal(toRecord(group, () => bytes('# none'))['frontmatter'], undefined)
  assert.equal(toRecord(group, () => bytes('---\njust text\n---\n'))['frontmatter'], undefined)
  const [both = assert.fail()] = plan({ 'a.md': 1, 'a.json': 1 }).groups
  assert.deepEqual(toRecord(both, (path) => bytes(path === 'a.md' ? '---\nx: 1\n---\n' : '{"y":2}'))['frontmatter'], { y: 2 })
})

test('what is published comes back byte for byte', () => {
  const layouts = { a: 1, 'é': [1, { b: null }], c: {} }
  const files = {
    'home.md': '---\ntitle: T\n---\n# Hello\r\n\ttab', 'home.html': '<h1>\u2028</h1>', 'home.css': '', 'home.d.ts': 'export {}\n', 'home.mjs': 'export {}',
    'home.mdx': '---\na: 1\n---\n<X/>', 'two.json': JSON.stringify(layouts, null, 2), 'tab.json': `${JSON.stringify(layouts, null, '\t')}\n`,
    'four.json': `${JSON.stringify(layouts, null, 4)}\r\n`, 'compact.json': JSON.stringify(layouts), 'odd.json': '{ "type": "module" }\n',
    'keys.json': '{"2":1,"1":2,"a":1.0}', 'tree.mdast.json': '[1,2]', 'tree.hast.json': 'null', 'tree.estree.json': '"text"', 'bom.json': '\uFEFF{"a":1}\n',
  }
  assert.deepEqual(roundTrip(files), files)
})

test('JSON that is long and laid out otherwise is said to be inexact', () => {
  const [group = assert.fail()] = plan({ 'a.json': 1 }).groups
  const text = `{ ${Array.from({ length: 1_000 }, (_, idx) => `"k${idx}": ${idx}`).join(',  ')} }`
  assert.deepEqual(toRecord(group, () => bytes(text)).inexact, ['a.json'])
})

test('what is not what its extension says is refused', () => {
  for (const [path, content, reason] of [
    ['a.md', new Uint8Array([0xff]), /not UTF-8/],
    ['a.json', bytes('{'), /not JSON/],
    ['a.json', bytes('[]'), /must be a JSON object/],
    ['a.mdast.json', bytes(''), /not JSON/],
    ['a.md', bytes('---\na: [\n---\n'), /not YAML/],
  ] as const) {
    const [group = assert.fail()] = plan({ [path]: 1 }).groups
    assert.throws(() => toRecord(group, () => content), reason)
  }
})

test('an artifact that something else wrote has each field under its usual extension', () => {
  const files = (artifact: object): string[] => toFiles(new Map(Object.entries(artifact))).map(({ ext }) => ext)
  assert.deepEqual(files({ id: 'a', markdown: 'x', esm: '', frontmatter: { a: 1 }, version: '1' }), ['md', 'js'])
  assert.deepEqual(files({ html: 'x', frontmatter: {}, tsast: null, metadata: { files: 'mine' } }), ['html', 'json', 'tsast.json'])
  // A text that says something else than the value is not believed.
  const [file] = toFiles(new Map(Object.entries({ frontmatter: { a: 1 }, metadata: { files: { json: { text: '{"a":2}' } } } })))
  assert.equal(file?.text, '{"a":1}')
})

test('hidden files, node_modules, links and what is ignored are left out', () => {
  const root = mkdtempSync(join(tmpdir(), 'firn-walk-'))
  try {
    const write = (path: string, text = ''): void => {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    for (const path of ['a.md', 'b/a.md', 'b/keep.log', 'b/c/x.tmp', 'out/x.md', '.git/a.md', '.env', 'node_modules/p/a.js', 'drafts/a.md', 'b/drafts']) write(path)
    write('.gitignore', '*.log\n*.tmp\n/out/\n')
    write('b/.gitignore', '!keep.log\n')
    write('.firnignore', 'drafts/\n')
    symlinkSync(join(root, 'a.md'), join(root, 'link.md'))
    const { files, skipped } = walk(root)
    assert.deepEqual(files.map(({ path }) => path), ['a.md', 'b/a.md', 'b/drafts', 'b/keep.log'])
    const reasons = Object.fromEntries(skipped.map(({ path, reason }) => [path, reason]))
    assert.deepEqual([reasons['.git'], reasons['node_modules'], reasons['out'], reasons['drafts'], reasons['b/c/x.tmp'], reasons['link.md']], [
      'hidden', 'node_modules', 'ignored', 'ignored', 'ignored', 'a link or no file',
    ])
  } finally {
    rmSync(root, { recursive: true })
  }
})

test('names on the command line', () => {
  assert.deepEqual(parseType('app.do/page'), { ns: 'app.do', type: 'page' })
  assert.deepEqual(parseKey('app.do/page/docs/a.b'), { ns: 'app.do', type: 'page', id: 'docs/a.b' })
  assert.deepEqual(parseAddress('app.do/page/docs/a.b.mdast.json'), { ns: 'app.do', type: 'page', id: 'docs/a.b', ext: 'mdast.json' })
  for (const [parse, wrong] of [[parseType, 'a'], [parseType, 'a/b/c'], [parseKey, 'a/b'], [parseAddress, 'a/b/c'], [parseAddress, 'a/b/.md']] as const) {
    assert.throws(() => parse(wrong), /It must be/)
  }
  assert.equal(splitExtension('.md'), undefined)
  assert.deepEqual([size(998.7), size(1_500), size(2_345_678)], ['999 B', '1.5 KB', '2.3 MB'])
})
