// The package as `npm pack` makes it, from outside: tools that know how packages go wrong, and a program that uses it.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { createPackageFromTarballData, checkPackage } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

import { FILES, extractApi } from '../scripts/api.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
let folder
let tarball
let installed
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'firn-packed-'))
  // The build has been; another one would pull dist/ from under the other tests.
  const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { cwd: root, encoding: 'utf8' }))
  tarball = readFileSync(join(folder, filename.replace('@', '').replace('/', '-')))
  installed = join(folder, 'node_modules/@firn/sdk')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xf', join(folder, filename.replace('@', '').replace('/', '-')), '--strip-components=1', '-C', installed])
})
after(() => rmSync(folder, { recursive: true }))

test('publint has nothing to say', async () => {
  const { messages, pkg } = await publint({ pkgDir: installed, strict: true, pack: false })
  assert.deepEqual(messages.map((message) => formatMessage(message, pkg)), [])
})

test('the types are not wrong, however they are resolved', async () => {
  const { problems, types } = await checkPackage(createPackageFromTarballData(new Uint8Array(tarball)))
  assert.notEqual(types, false)
  assert.deepEqual(problems, [])
})

test('the packed library runs as an ES module and as CommonJS, and the command line alone', () => {
  const use = "const firn = new Firn({ baseUrl: 'https://a.example' }); console.log(firn.url({ ns: 'a', type: 'b', id: 'c', ext: 'md' }))"
  writeFileSync(join(folder, 'a.mjs'), `import { Firn } from '@firn/sdk'\n${use}`)
  writeFileSync(join(folder, 'a.cjs'), `const { Firn } = require('@firn/sdk')\n${use}`)
  const run = (args) => execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
  for (const file of ['a.mjs', 'a.cjs']) assert.equal(run([file]), 'https://a.example/$.content/a/b/c.md\n')
  assert.match(run([join(installed, 'dist/cli/firn.cjs'), '--version']), /^\d+\.\d+\.\d+\n$/)
})

test('what the compiler must accept, infer and refuse', () => {
  copyFileSync(join(root, 'test/types/types.mts'), join(folder, 'types.mts'))
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,dom,dom.iterable', '--types', '', '--module', 'nodenext', '--ignoreConfig']
  const { status, stdout } = spawnSync(process.execPath, [join(root, 'scripts/tsc.mjs'), ...options, join(folder, 'types.mts')], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})

test('the public surface is the one that was agreed to: node scripts/api.mjs writes it anew', () => {
  const { snapshot, reference } = extractApi()
  assert.equal(snapshot, readFileSync(FILES.snapshot, 'utf8'))
  assert.equal(reference, readFileSync(FILES.reference, 'utf8'))
})

test('nothing of the command line is in the library', async () => {
  const library = readFileSync(join(installed, 'dist/esm/index.js'), 'utf8')
  assert.doesNotMatch(library, /commander|node:/)
  assert.ok(Object.keys(await import(pathToFileURL(join(installed, 'dist/esm/index.js')).href)).length > 20)
})
