import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Firn } from '../src/client.js'
import { isFirnError, isResponseError } from '../src/errors.js'
import { PutManyError, type PutManyProgress } from '../src/many.js'
import type { ArtifactRecord } from '../src/record.js'
import { Script, TestClock, answer, ingestAnswer, problem, taken, type Step } from './scripted.js'

const record = (idx: number, ns = 'app.do'): ArtifactRecord => ({ ns, type: 'page', id: `p${idx}`, markdown: `${idx}` })
const records = (count: number): ArtifactRecord[] => Array.from({ length: count }, (_, idx) => record(idx))
const lines = (body: string): string[] => body.split('\n').slice(0, -1)

async function play(steps: readonly Step[], use: (firn: Firn, script: Script) => Promise<void>): Promise<void> {
  await Script.run(steps, (baseUrl, script) =>
    use(new Firn({ baseUrl, clock: new TestClock(), timeout: TestClock.TIMEOUT_MS }), script),
  )
}

async function* asynchronous(count: number): AsyncGenerator<ArtifactRecord> {
  yield* records(count)
}

test('any source is cut into requests of at most so many records, in order', async () => {
  const stream = new ReadableStream<ArtifactRecord>({
    start(controller) {
      records(25).forEach((each) => controller.enqueue(each))
      controller.close()
    },
  })
  for (const source of [records(25), new Set(records(25)), asynchronous(25), stream]) {
    await play([taken], async (firn, script) => {
      const seen: PutManyProgress[] = []
      const result = await firn.putMany(source, { recordsPerRequest: 10, idempotencyKey: 'job', onProgress: (progress) => seen.push(progress) })
      const { requests, accepted, rejected, errors } = result
      assert.deepEqual({ requests, accepted, rejected, errors }, { requests: 3, accepted: 25, rejected: 0, errors: [] })
      assert.deepEqual((await script.received()).map(({ body }) => lines(body).length), [10, 10, 5])
      assert.deepEqual((await script.received()).flatMap(({ body }) => lines(body)), records(25).map((each) => JSON.stringify(each)))
      assert.deepEqual((await script.received()).map(({ headers }) => headers['idempotency-key']), ['job.0', 'job.1', 'job.2'])
      assert.deepEqual(seen.map((progress) => progress.records), [10, 20, 25])
      assert.equal(result.bytes, (await script.received()).reduce((sum, { body }) => sum + body.length, 0))
    })
  }
})

test('requests end before the byte limit and at a change of namespace; a longer record goes alone', async () => {
  const length = JSON.stringify(record(0)).length + 1
  await play([taken], async (firn, script) => {
    await firn.putMany(records(5), { requestLenBytes: 2 * length })
    await firn.putMany(records(2), { requestLenBytes: 1 })
    await firn.putMany([record(1), record(2, 'b.do'), record(3, 'b.do')])
    assert.deepEqual((await script.received()).map(({ body }) => lines(body).length), [2, 2, 1, 1, 1, 1, 2])
  })
  await play([taken], async (firn, script) => {
    assert.equal((await firn.putMany([])).requests, 0)
    assert.equal((await script.received()).length, 0)
  })
})

test('no more than one request of records is taken from the source at once', async () => {
  let pulled = 0
  const ahead: number[] = []
  async function* source(): AsyncGenerator<ArtifactRecord> {
    for (; pulled < 100; pulled += 1) yield record(pulled)
  }
  const watching: typeof fetch = (input, init) => {
    ahead.push(pulled)
    return fetch(input, init)
  }
  await Script.run([taken], async (baseUrl) => {
    const firn = new Firn({ baseUrl, fetch: watching })
    assert.equal((await firn.putMany(source(), { recordsPerRequest: 10 })).accepted, 100)
    assert.deepEqual(ahead, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
  })
})

test('line errors name the caller\'s records, whichever status they come with', async () => {
  const all = records(9)
  const bad = (line: number): object => ({ line, code: 'unknown_field', detail: 'd', field: 'x' })
  const steps = [
    answer(207, ingestAnswer(2, { rejected: 1, errors: [bad(2)] })),
    problem(400, { code: 'nothing_accepted', request_id: 'r-2', errors: [bad(1), { line: 3, code: 'not_sent' }] }),
    problem(409, { code: 'version_conflict', errors: [{ line: 3, code: 'version_conflict', field: 'if_version', found: '7' }, bad(4)] }),
  ]
  await play(steps, async (firn) => {
    const { accepted, rejected, errors } = await firn.putMany(all, { recordsPerRequest: 3 })
    assert.deepEqual([accepted, rejected], [2, 7])
    assert.deepEqual(errors.map(({ index, line, code }) => [index, line, code]), [
      [1, 2, 'unknown_field'], [3, 1, 'unknown_field'], [5, 3, 'not_sent'], [8, 3, 'version_conflict'],
    ])
    assert.ok(errors.every((error) => error.record === all[error.index]))
    assert.deepEqual([errors[1]?.requestId, errors[3]?.found], ['r-2', '7'])
  })
})

test('lines after a limit of the request count as rejected', async () => {
  const errors = [{ line: 3, code: 'limit_reached' }]
  await play([answer(207, ingestAnswer(2, { rejected: 1, errors }))], async (firn) => {
    const { accepted, rejected } = await firn.putMany(records(10))
    assert.deepEqual([accepted, rejected], [2, 8])
  })
})

test('failure of a request ends the call, says how far it came, and tells the source', async () => {
  let isTold = false
  async function* source(): AsyncGenerator<ArtifactRecord> {
    try {
      yield* records(30)
    } finally {
      isTold = true
    }
  }
  await play([taken, problem(401, { code: 'unauthorized' })], async (firn, script) => {
    await assert.rejects(firn.putMany(source(), { recordsPerRequest: 10 }), (error) => {
      assert.ok(error instanceof PutManyError && isFirnError(error))
      assert.deepEqual([error.result.records, error.result.accepted], [10, 10])
      assert.ok(isResponseError(error.cause) && error.cause.status === 401)
      return true
    })
    assert.equal((await script.received()).length, 2)
    assert.ok(isTold)
  })
})

test('source that fails, or has what is no JSON, ends the call', async () => {
  const own = new Error('disk')
  async function* failing(): AsyncGenerator<ArtifactRecord> {
    yield record(0)
    throw own
  }
  const circular: { self?: unknown } = {}
  circular.self = circular
  await play([taken], async (firn, script) => {
    await assert.rejects(firn.putMany(failing()), (error) => error instanceof PutManyError && error.cause === own)
    const tree = { ...record(0), mdast: circular }
    await assert.rejects(firn.putMany([tree]), (error) => error instanceof PutManyError && /must be JSON/.test(error.message))
    assert.equal((await script.received()).length, 0)
  })
})

test('abort does not wait for a source that hangs', async () => {
  const controller = new AbortController()
  const reason = { stop: true }
  // Not pulled before it is read, so that the abort comes while the call waits for a record.
  const hanging = new ReadableStream<ArtifactRecord>({ pull: () => controller.abort(reason) }, { highWaterMark: 0 })
  await play([taken], async (firn) => {
    await assert.rejects(firn.putMany(hanging, { signal: controller.signal }), (error) => error === reason)
  })
})
