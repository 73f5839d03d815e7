// The portable tests in Deno and Bun, where they are: FIRN_DENO, FIRN_BUN, or on the path. (100 MB each are too much for the
// workspace's dependencies.)
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { bundlePortable, report } from './portable.mjs'
import { startScriptedServer } from './scripted-server.mjs'

const RUNTIMES = {
  Deno: { program: process.env.FIRN_DENO ?? 'deno', args: ['run', '--allow-net', '--no-check', '--no-config'] },
  Bun: { program: process.env.FIRN_BUN ?? 'bun', args: ['run'] },
}

for (const [name, { program, args }] of Object.entries(RUNTIMES)) {
  test(`the library in ${name}`, { skip: isThere(program) ? false : `no ${program} here` }, async (context) => {
    const dir = mkdtempSync(join(tmpdir(), 'firn-runtime-'))
    context.after(() => rmSync(dir, { recursive: true }))
    const server = await startScriptedServer()
    context.after(() => server.stop())
    const entry = "import { run } from './runner.ts'\nconsole.log(JSON.stringify(await run()))"
    writeFileSync(join(dir, 'tests.mjs'), await bundlePortable({ entry, origin: server.origin, hasAssert: true }))
    // Not synchronously: the server answers from this process.
    const child = spawn(program, [...args, join(dir, 'tests.mjs')], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (piece) => (text += piece))
    await new Promise((done) => child.once('close', done))
    const results = JSON.parse(text)
    assert.ok(results.length > 50)
    await report(context, results)
  })
}

function isThere(program) {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
