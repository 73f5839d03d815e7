// Runs the tests with Node's own test runner: test/*.test.ts, each bundled first, for Node 20 cannot read TypeScript, and
// test/**/*.test.mjs as they are: the package as it is packed, and the portable ones of the former in workerd and a browser.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

import { startScriptedServer } from '../test/runtimes/scripted-server.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const named = (dir, ending) => readdirSync(join(root, dir)).filter((name) => name.endsWith(ending))
const names = named('test', '.test.ts')
const outdir = mkdtempSync(join(tmpdir(), 'firn-sdk-test-'))
const server = await startScriptedServer()
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
    define: { FIRN_SCRIPTED: JSON.stringify(server.origin) },
    // Some of what the command line bundles is CommonJS.
    banner: { js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url)" },
    sourcemap: 'inline',
    outdir,
    logLevel: 'warning',
  })
  const files = names.map((name) => join(outdir, `${basename(name, '.ts')}.mjs`))
  const unbundled = ['test', 'test/runtimes'].flatMap((dir) => named(dir, '.test.mjs').map((name) => join(dir, name)))
  const options = ['--enable-source-maps', '--test', ...process.argv.slice(2)]
  // Tests find the package by their working directory; their own files lie elsewhere.
  const runner = spawn(process.execPath, [...options, ...files, ...unbundled], { cwd: root, stdio: 'inherit' })
  ;[status] = await once(runner, 'exit')
} finally {
  server.stop()
  rmSync(outdir, { recursive: true, force: true })
}
process.exit(status ?? 1)
