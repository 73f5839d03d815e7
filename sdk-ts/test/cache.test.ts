import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { CacheOptions } from '../src/cache.js'
import { Firn } from '../src/client.js'
import { Script, TestClock, answer, taken, type Step } from './scripted.js'

const ADDRESS = { ns: 'app.do', type: 'page', id: 'home', ext: 'md' } as const

interface Setting {
  readonly firn: Firn
  readonly script: Script
  readonly clock: TestClock
  /** Set by the test: the token of the next request. */
  readonly caller: { token: string }
}

async function play(steps: readonly Step[], use: (setting: Setting) => Promise<void>, cache: CacheOptions | true = true): Promise<void> {
  await Script.run(steps, async (baseUrl, script) => {
    const clock = new TestClock()
    const caller = { token: 'a' }
    const firn = new Firn({ baseUrl, clock, timeout: TestClock.TIMEOUT_MS, cache, token: () => caller.token })
    await use({ firn, script, clock, caller })
  })
}

const content = (body: string, control: string, headers: Record<string, string> = {}): Step =>
  answer(200, body, { 'content-type': 'text/markdown', 'cache-control': control, etag: `"${body}"`, ...headers })

test('what was read is not asked for again while it is fresh, as text, JSON and bytes alike', async () => {
  await play([content('1', 'public, max-age=300, stale-while-revalidate=60')], async ({ firn, script, clock }) => {
    const first = await firn.get(ADDRESS)
    clock.nowMs += 299_999
    assert.deepEqual(await firn.get(ADDRESS), first)
    assert.equal((await firn.get(ADDRESS, { as: 'json' })).body, 1)
    assert.deepEqual((await firn.get(ADDRESS, { as: 'bytes' })).body, new Uint8Array([49]))
    assert.equal((await script.received()).length, 1)
  })
})

test('past its age it is asked for with its tag, and 304 makes it fresh again', async () => {
  const steps = [content('1', 'max-age=10', { age: '4' }), answer(304, '', { 'cache-control': 'max-age=10' }), content('2', 'max-age=10')]
  await play(steps, async ({ firn, script, clock }) => {
    const bodies: string[] = []
    // Fresh for 6 s; then 304 and fresh for 10; then the new one.
    for (const step of [0, 5_999, 1, 9_999, 1]) {
      clock.nowMs += step
      bodies.push((await firn.get(ADDRESS)).body)
    }
    assert.deepEqual(bodies, ['1', '1', '1', '1', '2'])
    assert.deepEqual((await script.received()).map(({ headers }) => headers['if-none-match']), [undefined, '"1"', '"1"'])
  })
})

test('what must not be kept is not; what must be asked for each time is', async () => {
  for (const control of ['no-store', 'private, no-store']) {
    await play([content('1', control)], async ({ firn, script }) => {
      await firn.get(ADDRESS)
      await firn.get(ADDRESS)
      assert.deepEqual((await script.received()).map(({ headers }) => headers['if-none-match']), [undefined, undefined], control)
    })
  }
  for (const control of ['max-age=0, must-revalidate', 'no-cache', 'no-cache, max-age=60', 'max-age=x']) {
    await play([content('1', control)], async ({ firn, script }) => {
      await firn.get(ADDRESS)
      await firn.get(ADDRESS)
      assert.deepEqual((await script.received()).map(({ headers }) => headers['if-none-match']), [undefined, '"1"'], control)
    })
  }
})

test('one caller never gets what another has read', async () => {
  await play([content('1', 'private, max-age=60'), content('2', 'private, max-age=60')], async ({ firn, caller }) => {
    assert.equal((await firn.get(ADDRESS)).body, '1')
    caller.token = 'b'
    assert.equal((await firn.get(ADDRESS)).body, '2')
    caller.token = 'a'
    assert.equal((await firn.get(ADDRESS)).body, '1')
  })
})

test('after a write of this client nothing is believed without asking', async () => {
  const record = { ns: 'app.do', type: 'page', id: 'home', markdown: '2' }
  const removed = answer(200, '{"version":"3","requestId":"r"}')
  await play([content('1', 'max-age=60'), taken, content('2', 'max-age=60'), removed, content('3', 'max-age=60')], async ({ firn, script }) => {
    assert.equal((await firn.get(ADDRESS)).body, '1')
    await firn.put(record)
    assert.equal((await firn.get(ADDRESS)).body, '2')
    await firn.delete(ADDRESS)
    assert.equal((await firn.get(ADDRESS)).body, '3')
    assert.equal((await script.received()).length, 5)
  })
})

test('stream, fresh and the caller\'s own tag go past the cache', async () => {
  await play([content('1', 'max-age=60')], async ({ firn, script }) => {
    await firn.get(ADDRESS)
    for (const options of [{ as: 'stream' }, { fresh: true }] as const) await firn.get(ADDRESS, options)
    assert.ok((await firn.get(ADDRESS, { ifNoneMatch: '"1"' })).unchanged)
    assert.equal((await script.received()).length, 4)
  })
})

test('what was read longest ago goes first; what is too large is not kept', async () => {
  const at = (id: string) => ({ ...ADDRESS, id })
  await play([content('12345', 'max-age=60')], async ({ firn, script }) => {
    for (const id of ['a', 'b', 'a', 'c', 'a', 'b']) await firn.get(at(id))
    assert.deepEqual((await script.received()).map(({ url }) => url.slice(-4)), ['a.md', 'b.md', 'c.md', 'b.md'])
  }, { maxBytes: 10 })
  await play([content('12345', 'max-age=60')], async ({ firn, script }) => {
    for (const id of ['a', 'a']) await firn.get(at(id))
    assert.equal((await script.received()).length, 2)
  }, { maxBytes: 4 })
})
