// The portable tests inside a page of headless Chromium.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { findChromium, launch } from '../../../scripts/chromium.mjs'
import { bundlePortable, report } from './portable.mjs'
import { startScriptedServer } from './scripted-server.mjs'

const { skip } = findChromium()

test('the library in Chromium', { skip }, async (context) => {
  const pages = { '/': ['text/html', '<!doctype html><title>tests</title>'] }
  const server = await startScriptedServer(pages)
  context.after(() => server.stop())
  const entry = "import { run } from './runner.ts'\nglobalThis.results = run()"
  pages['/tests.js'] = ['text/javascript', await bundlePortable({ entry, origin: server.origin, hasAssert: false })]
  const browser = await launch()
  context.after(() => browser.close())
  const page = await browser.newPage()
  // The library's own cache is under test; the browser's in front of it would answer first.
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('Network.enable')
  await devtools.send('Network.setCacheDisabled', { cacheDisabled: true })
  await page.goto(server.origin)
  const results = await page.evaluate(async () => {
    await import('/tests.js')
    return globalThis.results
  })
  assert.ok(results.length > 50)
  await report(context, results)
})
