// The portable tests inside workerd, as a Worker would run the library.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { bundlePortable, report } from './portable.mjs'
import { startScriptedServer } from './scripted-server.mjs'

const [major, minor] = process.versions.node.split('.').map(Number)
const skip = major > 22 || (major === 22 && minor >= 12) ? false : `miniflare needs Node 22.12, this is ${process.version}`

test('the library in workerd', { skip }, async (context) => {
  process.env.CLOUDFLARE_CF_FETCH_ENABLED = 'false'
  const { Miniflare, convertV4MiniflareOptions } = await import('miniflare')
  const server = await startScriptedServer()
  context.after(() => server.stop())
  const entry = "import { run } from './runner.ts'\nexport default { fetch: async () => Response.json(await run()) }"
  const script = await bundlePortable({ entry, origin: server.origin, hasAssert: true })
  const options = { modules: true, script, compatibilityDate: '2026-01-01', compatibilityFlags: ['nodejs_compat'] }
  const runtime = new Miniflare(convertV4MiniflareOptions(options))
  context.after(() => runtime.dispose())
  const results = await (await runtime.dispatchFetch('http://tests/')).json()
  assert.ok(results.length > 50)
  await report(context, results)
})
