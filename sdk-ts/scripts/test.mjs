// Runs test/*.test.ts with Node's own test runner. Node 20 cannot read TypeScript, so each file is bundled first.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const names = readdirSync(join(root, 'test')).filter((name) => name.endsWith('.test.ts'))
const outdir = mkdtempSync(join(tmpdir(), 'firn-sdk-test-'))
let status = 1
try {
  await build({
    absWorkingDir: root,
    entryPoints: names.map((name) => join('test', name)),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    sourcemap: 'inline',
    outdir,
    logLevel: 'warning',
  })
  const files = names.map((name) => join(outdir, `${basename(name, '.ts')}.mjs`))
  const options = ['--enable-source-maps', '--test', ...process.argv.slice(2)]
  // Tests find the package by their working directory; their own files lie elsewhere.
  ;({ status } = spawnSync(process.execPath, [...options, ...files], { cwd: root, stdio: 'inherit' }))
} finally {
  rmSync(outdir, { recursive: true, force: true })
}
process.exit(status ?? 1)
