import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Firn } from '../src/client.js'
import { isFirnError } from '../src/errors.js'
import type { ContentAddress } from '../src/url.js'
import { Script, TestClock, answer, problem, type Step } from './scripted.js'

const address = (idx: number, ext: ContentAddress['ext'] = 'md'): ContentAddress => ({ ns: 'app.do', type: 'page', id: `p/${idx}`, ext })
const found = (idx: number, body = `# ${idx}`): object => ({
  ...address(idx), status: 200, contentType: 'text/markdown; charset=utf-8', etag: `"${idx}.md"`, version: `${idx}`,
  lastModified: 'Fri, 20 Nov 2026 11:17:00 GMT', source: 'cache', body,
})
const missing = (idx: number): object => ({ ...address(idx), status: 404, code: 'not_found', title: 't', detail: 'd' })
const batch = (items: readonly object[]): Step => answer(200, JSON.stringify({ items, requestId: 'r-1' }))

async function play(steps: readonly Step[], use: (firn: Firn, script: Script, clock: TestClock) => Promise<void>): Promise<void> {
  const clock = new TestClock()
  await Script.run(steps, (baseUrl, script) => use(new Firn({ baseUrl, clock, timeout: TestClock.TIMEOUT_MS, token: 't-1' }), script, clock))
  assert.equal(clock.pending, 0, 'every timer is let go of')
}

test('many are asked for in one request, and each says whether it was found', async () => {
  await play([batch([found(1), missing(2)])], async (firn, script) => {
    assert.deepEqual(await firn.getMany([address(1), address(2)]), [
      {
        found: true, address: address(1), etag: '"1.md"', version: '1', contentType: 'text/markdown; charset=utf-8',
        contentLength: undefined, lastModified: new Date('2026-11-20T11:17:00Z'), body: '# 1',
      },
      { found: false, address: address(2), status: 404, code: 'not_found', detail: 'd' },
    ])
    const [{ method, url, headers, body } = assert.fail()] = await script.received()
    assert.deepEqual([method, url, headers['content-type'], headers['authorization']], ['POST', '/$.content', 'application/json', 'Bearer t-1'])
    assert.deepEqual(JSON.parse(body), { items: [address(1), address(2)] })
  })
})

test('more than a request takes go in several; none in no request', async () => {
  const all = Array.from({ length: 201 }, (_, idx) => idx)
  const steps = [all.slice(0, 100), all.slice(100, 200), all.slice(200)].map((some) => batch(some.map((idx) => found(idx))))
  await play(steps, async (firn, script) => {
    const results = await firn.getMany(new Set(all.map((idx) => address(idx))))
    assert.deepEqual(results.map((result) => result.found && result.body), all.map((idx) => `# ${idx}`))
    assert.deepEqual((await script.received()).map(({ body }) => (JSON.parse(body) as { items: [] }).items.length), [100, 100, 1])
    assert.deepEqual(await firn.getMany([]), [])
    assert.equal((await script.received()).length, 3)
  })
})

test('what one answer had no room for is asked for in another, but not for ever', async () => {
  const noRoom = (idx: number): object => ({ ...missing(idx), status: 413, code: 'body_too_large' })
  await play([batch([found(1), noRoom(2), missing(3), noRoom(4)]), batch([found(2), noRoom(4)]), batch([noRoom(4)])], async (firn, script) => {
    const results = await firn.getMany([1, 2, 3, 4].map((idx) => address(idx)))
    assert.deepEqual(results.map((result) => (result.found ? result.body : result.status)), ['# 1', '# 2', 404, 413])
    const asked = (await script.received()).map(({ body }) => (JSON.parse(body) as { items: { id: string }[] }).items.map(({ id }) => id))
    assert.deepEqual(asked, [['p/1', 'p/2', 'p/3', 'p/4'], ['p/2', 'p/4'], ['p/4']])
  })
})

test('bodies become JSON where that is asked for', async () => {
  await play([batch([found(1, '{"é":1}')])], async (firn) => {
    const [result] = await firn.getMany([address(1)], { as: 'json' })
    assert.deepEqual(result?.found && result.body, { é: 1 })
  })
})

test('an answer that does not fit what was asked is asked for again, and then refused', async () => {
  for (const wrong of [batch([]), batch([found(2)]), batch([{ ...found(1), body: undefined }]), answer(200, '{"items":[{'), answer(200, 'x', { 'content-type': 'text/html' })]) {
    await play([wrong], async (firn, script, clock) => {
      await assert.rejects(firn.getMany([address(1)]), (error) => isFirnError(error, 'InvalidAnswerError'))
      assert.equal((await script.received()).length, 3)
      assert.equal(clock.waits.length, 2)
    })
    await play([wrong, batch([found(1)])], async (firn) => assert.equal((await firn.getMany([address(1)])).length, 1))
  }
})

test('a key that the server would refuse is refused before anything is sent; its refusal is an error', async () => {
  await play([problem(400, { code: 'invalid_batch' })], async (firn, script) => {
    await assert.rejects(firn.getMany([address(1), { ...address(2), id: 'a//b' }]), (error) => isFirnError(error, 'InvalidInputError'))
    assert.equal((await script.received()).length, 0)
    await assert.rejects(firn.getMany([address(1)]), (error) => isFirnError(error, 'BadRequestError') && error.code === 'invalid_batch')
  })
})
