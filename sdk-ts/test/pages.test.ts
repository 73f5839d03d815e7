import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Firn } from '../src/client.js'
import { isFirnError } from '../src/errors.js'
import { Script, TestClock, answer, problem, resetMidBody, type Step } from './scripted.js'

const TYPE = { ns: 'app.do', type: 'page' }
const page = (items: readonly object[], cursor?: string): Step => answer(200, JSON.stringify({ items, cursor }))

async function play(steps: readonly Step[], use: (firn: Firn, script: Script) => Promise<void>): Promise<void> {
  await Script.run(steps, (baseUrl, script) => use(new Firn({ baseUrl, clock: new TestClock(), timeout: TestClock.TIMEOUT_MS }), script))
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

test('a listing gives the items of all pages, and asks for the next with the cursor of the last', async () => {
  await play([page([{ id: 'a', version: '1' }, { id: 'b', version: '2' }], 'c/1'), page([]  , 'c/2'), page([{ id: 'd', version: '3' }])], async (firn, script) => {
    const items = await all(firn.list(TYPE, { prefix: 'docs/é', limit: 2 }))
    assert.deepEqual(items.map(({ id, version }) => [id, version]), [['a', '1'], ['b', '2'], ['d', '3']])
    assert.deepEqual((await script.received()).map(({ url }) => url), [
      '/$.content/app.do/page/?prefix=docs%2F%C3%A9&limit=2',
      '/$.content/app.do/page/?prefix=docs%2F%C3%A9&limit=2&cursor=c%2F1',
      '/$.content/app.do/page/?prefix=docs%2F%C3%A9&limit=2&cursor=c%2F2',
    ])
  })
})

test('an item says what the index knows', async () => {
  const item = { id: 'a', version: '1', ts: '2026-11-20T14:10:27.702Z', visibility: 'public', hash: '11', size_bytes: 21, expires_at: 'e' }
  await play([page([item, { id: 'b', version: '2', deleted: true, size_bytes: 'x', more: 1 }])], async (firn) => {
    const nothing = { ts: undefined, visibility: undefined, hash: undefined, size_bytes: undefined, expires_at: undefined }
    assert.deepEqual(await all(firn.list(TYPE)), [{ ...item, deleted: false }, { id: 'b', version: '2', ...nothing, deleted: true }])
  })
})

test('versions are asked for under the artifact, without an extension', async () => {
  await play([page([{ version: '9' }], 'x'), page([{ version: '7', deleted: true }])], async (firn, script) => {
    const versions = await all(firn.versions({ ...TYPE, id: 'docs/a b' }))
    assert.deepEqual(versions.map(({ version, deleted }) => [version, deleted]), [['9', false], ['7', true]])
    assert.deepEqual((await script.received()).map(({ url }) => url), [
      '/$.content/app.do/page/docs/a%20b?versions',
      '/$.content/app.do/page/docs/a%20b?versions&cursor=x',
    ])
  })
})

test('pages can be left and gone on with later; the next is not asked for before it is needed', async () => {
  await play([page([{ id: 'a', version: '1' }], 'c1')], async (firn, script) => {
    for await (const { cursor } of firn.list(TYPE).pages()) {
      assert.equal(cursor, 'c1')
      break
    }
    for await (const { id } of firn.list(TYPE, { cursor: 'c0' })) {
      assert.equal(id, 'a')
      break
    }
    assert.deepEqual((await script.received()).map(({ url }) => url), ['/$.content/app.do/page/', '/$.content/app.do/page/?cursor=c0'])
  })
})

test('a page that breaks off is asked for again; what is no page is refused', async () => {
  await play([resetMidBody, page([{ id: 'a', version: '1' }])], async (firn) => assert.equal((await all(firn.list(TYPE))).length, 1))
  for (const wrong of [answer(200, '{}'), page([{ id: 'a' }]), page([{ version: '1' }]), answer(200, '[]')]) {
    await play([wrong], async (firn) => {
      await assert.rejects(all(firn.list(TYPE)), (error) => isFirnError(error, 'InvalidAnswerError'))
    })
  }
  await play([page([], 'same')], async (firn, script) => {
    await assert.rejects(all(firn.list(TYPE)), (error) => isFirnError(error, 'InvalidAnswerError'))
    assert.equal((await script.received()).length, 2)
  })
  await play([problem(404, { code: 'not_found' })], async (firn) => {
    await assert.rejects(all(firn.list(TYPE)), (error) => isFirnError(error, 'NotFoundError'))
    assert.throws(() => firn.list(TYPE, { limit: 0 }), (error) => isFirnError(error, 'InvalidInputError'))
  })
})

test('abort ends a listing between its pages and in the middle of one', async () => {
  const controller = new AbortController()
  const reason = { stop: true }
  await play([page([{ id: 'a', version: '1' }], 'c1'), { does: 'wait' }], async (firn, script) => {
    const listing = assert.rejects(all(firn.list(TYPE, { signal: controller.signal })), (error) => error === reason)
    await script.arrived(2)
    controller.abort(reason)
    await listing
  })
})
