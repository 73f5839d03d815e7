import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Firn, type FirnOptions } from '../src/client.js'
import { isFirnError, isResponseError } from '../src/errors.js'
import type { ArtifactRecord } from '../src/record.js'
import { Script, TestClock, answer, ingestAnswer, problem, resetMidBody, taken, type Step } from './scripted.js'

const RECORD: ArtifactRecord = { ns: 'app.do', type: 'page', id: 'home', markdown: '# é' }
const ADDRESS = { ns: 'app.do', type: 'page', id: 'docs/a b', ext: 'md' } as const

interface Setting {
  readonly firn: Firn
  readonly script: Script
  readonly clock: TestClock
}

async function play(steps: readonly Step[], use: (setting: Setting) => Promise<void>, options: Partial<FirnOptions> = {}): Promise<void> {
  await Script.run(steps, async (baseUrl, script) => {
    const clock = new TestClock()
    await use({ firn: new Firn({ baseUrl, timeout: TestClock.TIMEOUT_MS, clock, ...options }), script, clock })
    assert.equal(clock.pending, 0, 'every timer is let go of')
  })
}

const text = (body: string, headers: Record<string, string> = {}): Step => answer(200, body, { 'content-type': 'text/markdown', ...headers })
const named = (name: string) => (error: unknown) => isFirnError(error) && error.name === name

test('put sends one line with token, key and mode, and gives the answer', async () => {
  await play(
    [taken],
    async ({ firn, script }) => {
      const { data, response } = await firn.put(RECORD, { mode: 'preview' }).withResponse()
      assert.deepEqual(data, JSON.parse(ingestAnswer(1)))
      assert.equal(response.status, 200)
      const [{ method, url, headers, body } = assert.fail()] = await script.received()
      assert.deepEqual([method, url, body], ['POST', '/$.artifacts', `${JSON.stringify(RECORD)}\n`])
      assert.equal(headers['content-type'], 'application/x-ndjson')
      assert.equal(headers['x-artifact-mode'], 'preview')
      assert.equal(headers['authorization'], 'Bearer t-1')
      assert.match(String(headers['idempotency-key']), /^[0-9a-f]{32}$/)
    },
    { token: async () => 't-1' },
  )
})

const FAULTS: readonly (readonly [string, Step, number])[] = [
  ['connection reset before the answer', { does: 'reset' }, 750],
  ['connection reset mid-body', resetMidBody, 750],
  ['truncated JSON', answer(200, ingestAnswer(1).slice(0, 40)), 750],
  ['wrong content type', answer(200, '<html>', { 'content-type': 'text/html' }), 750],
  ['408', problem(408, {}), 750],
  ['409 of a write that still runs', problem(409, { code: 'idempotency_in_progress' }, { 'retry-after': '12' }), 12_000],
  ['429 with Retry-After', problem(429, { code: 'rate_limited' }, { 'retry-after': '59' }), 59_000],
  ['500', answer(500, 'oops'), 750],
  ['503', problem(503, { code: 'stream_unavailable' }), 750],
]

for (const [name, fault, wait] of FAULTS) {
  test(`write is repeated with the same key and body after: ${name}`, async () => {
    await play([fault, taken], async ({ firn, script, clock }) => {
      assert.equal((await firn.put(RECORD)).accepted, 1)
      const [first, second, ...others] = await script.received()
      assert.deepEqual(others, [])
      assert.equal(first?.headers['idempotency-key'], second?.headers['idempotency-key'])
      assert.equal(first?.body, second?.body)
      assert.deepEqual(clock.waits, [wait])
    })
  })
}

test('two calls have two keys', async () => {
  await play([taken], async ({ firn, script }) => {
    await firn.put(RECORD)
    await firn.put(RECORD)
    await firn.put(RECORD, { idempotencyKey: 'mine' })
    const keys = (await script.received()).map(({ headers }) => headers['idempotency-key'])
    assert.equal(new Set(keys).size, 3)
    assert.equal(keys[2], 'mine')
  })
})

test('retries end after two, waits grow, and the last error is given', async () => {
  await play([answer(500, ''), answer(500, ''), problem(503, { code: 'stream_unavailable', request_id: 'r-3' })], async ({ firn, clock }) => {
    await assert.rejects(firn.put(RECORD), (error) => isResponseError(error) && error.status === 503 && error.requestId === 'r-3')
    assert.deepEqual(clock.waits, [750, 1250])
  })
})

test('what would fail again is not repeated', async () => {
  for (const [status, code, retryAfter] of [
    [400, 'invalid_mode'],
    [401, 'unauthorized'],
    [403, 'namespace_forbidden'],
    [409, 'version_conflict'],
    [413, 'body_too_large'],
    [422, 'idempotency_mismatch'],
    [429, 'rate_limited', '61'],
  ] as const) {
    const step = problem(status, { code }, retryAfter === undefined ? {} : { 'retry-after': retryAfter })
    await play([step], async ({ firn, script }) => {
      await assert.rejects(firn.put(RECORD), (error) => isResponseError(error) && error.code === code)
      assert.equal((await script.received()).length, 1, code)
    })
  }
})

test('rejected record says line, field and why', async () => {
  const errors = [{ line: 1, code: 'unknown_field', detail: '"x" is no field', field: 'x' }]
  await play([problem(400, { code: 'nothing_accepted', detail: 'none', errors })], async ({ firn }) => {
    await assert.rejects(firn.put(RECORD), (error) => {
      assert.ok(isResponseError(error))
      assert.deepEqual([error.line, error.field, error.errors], [1, 'x', errors])
      assert.equal(error.message, 'none: line 1: "x" is no field (400 nothing_accepted)')
      return true
    })
  })
})

test('headers that do not come end the attempt, and the last one is a TimeoutError', async () => {
  await play([{ does: 'wait' }], async ({ firn, script, clock }) => {
    const timedOut = assert.rejects(firn.put(RECORD, { maxRetries: 1 }), named('TimeoutError'))
    for (const attempt of [1, 2]) {
      await script.arrived(attempt)
      clock.timeOut()
    }
    await timedOut
    assert.equal((await script.received()).length, 2)
  })
})

test('token that does not come is part of the attempt; its error is the caller\'s own', async () => {
  const own = new Error('no login')
  await play([taken], async ({ firn, script }) => {
    await assert.rejects(firn.put(RECORD), (error) => error === own)
    assert.equal((await script.received()).length, 0)
  }, { token: () => Promise.reject(own) })
  let asked = (): void => undefined
  const isAsked = new Promise<void>((resolve) => (asked = resolve))
  const never = (): Promise<string> => {
    asked()
    return new Promise(() => undefined)
  }
  await play([taken], async ({ firn, clock }) => {
    const timedOut = assert.rejects(firn.put(RECORD, { maxRetries: 0 }), named('TimeoutError'))
    await isAsked
    clock.timeOut()
    await timedOut
  }, { token: never })
})

test('abort ends a request, a wait and a stream with the reason as it is', async () => {
  const reason = { stop: true }
  const isReason = (error: unknown): boolean => error === reason
  await play([taken], async ({ firn, script }) => {
    await assert.rejects(firn.put(RECORD, { signal: AbortSignal.abort(reason) }), isReason)
    assert.equal((await script.received()).length, 0)
  })
  const inFlight = new AbortController()
  await play([{ does: 'wait' }], async ({ firn, script }) => {
    const aborted = assert.rejects(firn.put(RECORD, { signal: inFlight.signal }), isReason)
    await script.arrived(1)
    inFlight.abort(reason)
    await aborted
    assert.equal((await script.received()).length, 1)
  })
  const waiting = new AbortController()
  const clock = new TestClock()
  const abortInWait = { random: clock.random, now: clock.now, after: (ms: number, run: () => void) => {
    if (ms !== TestClock.TIMEOUT_MS) queueMicrotask(() => waiting.abort(reason))
    return ms === TestClock.TIMEOUT_MS ? clock.after(ms, run) : () => undefined
  } }
  await play([answer(500, '')], async ({ firn }) => {
    await assert.rejects(firn.put(RECORD, { signal: waiting.signal }), isReason)
  }, { clock: abortInWait })
  const streaming = new AbortController()
  await play([{ does: 'open', body: 'abc' }], async ({ firn }) => {
    const { body } = await firn.get(ADDRESS, { as: 'stream', signal: streaming.signal })
    const reader = body.getReader()
    assert.equal((await reader.read()).value?.byteLength, 3)
    streaming.abort(reason)
    await assert.rejects(reader.read(), isReason)
  })
})

test('publish sends everything in one request, in build, or nothing', async () => {
  const records = ['a', 'b', 'c'].map((id) => ({ ...RECORD, id }))
  async function* later(): AsyncGenerator<ArtifactRecord> {
    yield* records
  }
  await play([taken], async ({ firn, script }) => {
    for (const source of [records, new Set(records), later()]) assert.equal((await firn.publish(source)).accepted, 3)
    const [first, ...rest] = await script.received()
    assert.equal(rest.length, 2)
    assert.equal(first?.body, records.map((record) => `${JSON.stringify(record)}\n`).join(''))
    assert.equal(first?.headers['x-artifact-mode'], 'build')
    await assert.rejects(firn.publish(records, { recordsPerRequest: 2 }), named('InvalidInputError'))
    await assert.rejects(firn.publish(records, { requestLenBytes: 100 }), named('InvalidInputError'))
    assert.equal((await script.received()).length, 3)
  })
  await play([answer(207, ingestAnswer(2, { rejected: 1, errors: [{ line: 3, code: 'chunk_failed' }] }))], async ({ firn }) => {
    await assert.rejects(firn.publish(records), (error) => isResponseError(error) && error.status === 207 && error.line === 3)
  })
})

test('get gives text, JSON, bytes or a stream, with what the headers say', async () => {
  const headers = { etag: '"5.md"', 'x-artifact-version': '5', 'last-modified': 'Fri, 20 Nov 2026 11:17:00 GMT', 'content-length': '8' }
  await play([text('{"é":1}', headers)], async ({ firn, script }) => {
    const content = await firn.get(ADDRESS, { fresh: true })
    assert.deepEqual(content, {
      unchanged: false, body: '{"é":1}', etag: '"5.md"', version: '5', contentType: 'text/markdown', contentLength: 8,
      lastModified: new Date('2026-11-20T11:17:00Z'),
    })
    assert.equal((await script.received())[0]?.url, '/$.content/app.do/page/docs/a%20b.md?fresh=true')
    assert.deepEqual((await firn.get(ADDRESS, { as: 'json' })).body, { é: 1 })
    assert.equal((await firn.get(ADDRESS, { as: 'bytes' })).body.byteLength, 8)
    assert.equal(await new Response((await firn.get(ADDRESS, { as: 'stream' })).body).text(), '{"é":1}')
    const cancelled = await firn.get(ADDRESS, { as: 'stream' })
    await cancelled.body.cancel()
  })
})

test('read is repeated when its body breaks off; a stream says so instead', async () => {
  await play([resetMidBody, text('whole')], async ({ firn }) => assert.equal((await firn.get(ADDRESS)).body, 'whole'))
  await play([resetMidBody], async ({ firn, script }) => {
    const { body } = await firn.get(ADDRESS, { as: 'stream' })
    // Not through a Response, which in browsers replaces a stream's error by its own.
    const reader = body.getReader()
    const readToEnd = async (): Promise<void> => {
      while (!(await reader.read()).done);
    }
    await assert.rejects(readToEnd(), named('ConnectionError'))
    assert.equal((await script.received()).length, 1)
  })
})

test('a page of something between here and the server is no representation, and is asked for again', async () => {
  const portal = answer(200, '<html>', { 'content-type': 'text/html', 'cache-control': 'max-age=60' })
  for (const cache of [false, true]) {
    await play([portal, text('whole')], async ({ firn, clock }) => {
      assert.equal((await firn.get(ADDRESS)).body, 'whole')
      assert.deepEqual(clock.waits, [750])
    }, { cache })
  }
  await play([portal], async ({ firn }) => {
    await assert.rejects(firn.get(ADDRESS, { as: 'stream' }), named('InvalidAnswerError'))
    await assert.rejects(firn.head(ADDRESS), named('InvalidAnswerError'))
    await assert.rejects(firn.exists(ADDRESS), named('InvalidAnswerError'))
    assert.equal((await firn.get({ ...ADDRESS, ext: 'html' })).body, '<html>')
  })
})

test('conditional read sends the tag; 304 and an equal tag are unchanged', async () => {
  const etag = '"5.md"'
  await play([answer(304, '', { etag }), text('x', { etag }), text('new', { etag: '"6.md"' })], async ({ firn, script }) => {
    for (const step of ['304', 'equal tag']) assert.deepEqual(await firn.get(ADDRESS, { ifNoneMatch: etag }), { unchanged: true, etag }, step)
    const content = await firn.get(ADDRESS, { ifNoneMatch: etag })
    assert.ok(!content.unchanged)
    assert.deepEqual([content.body, content.etag], ['new', '"6.md"'])
    assert.equal((await script.received())[0]?.headers['if-none-match'], etag)
  })
  await play([answer(304, '')], async ({ firn }) => {
    await assert.rejects(firn.get(ADDRESS), (error) => isResponseError(error) && error.status === 304)
  })
})

test('head and exists ask for headers only', async () => {
  const status = (code: number): Step => answer(code, '', { etag: '"5.md"', 'content-type': 'text/markdown' })
  await play([status(200), status(200), status(404), status(410), status(401)], async ({ firn, script }) => {
    assert.equal((await firn.head(ADDRESS)).etag, '"5.md"')
    assert.deepEqual([await firn.exists(ADDRESS), await firn.exists(ADDRESS), await firn.exists(ADDRESS)], [true, false, false])
    await assert.rejects(firn.exists(ADDRESS), named('UnauthorizedError'))
    assert.ok((await script.received()).every(({ method }) => method === 'HEAD'))
  })
})

test('delete names the artifact, the version that must be current and a key', async () => {
  const done = answer(200, '{"version":"9","requestId":"r-1"}')
  await play([answer(503, ''), done, done, done, answer(204, '', { 'x-request-id': 'r-4' })], async ({ firn, script }) => {
    const key = { ns: 'App.do', type: 'page', id: 'docs/a b' }
    assert.deepEqual(await firn.delete(key, { ifMatch: '7' }), { version: '9', requestId: 'r-1' })
    await firn.delete(key, { ifMatch: '*' })
    await firn.delete(key, { ifMatch: '"7"', idempotencyKey: 'mine' })
    assert.deepEqual(await firn.delete(key), { version: undefined, requestId: 'r-4' })
    const received = await script.received()
    assert.ok(received.every(({ method, url, body }) => method === 'DELETE' && url === '/$.content/app.do/page/docs/a%20b' && body === ''))
    assert.deepEqual(received.map(({ headers }) => headers['if-match']), ['"7"', '"7"', '*', '"7"', undefined])
    const keys = received.map(({ headers }) => headers['idempotency-key'])
    assert.equal(keys[0], keys[1])
    assert.equal(keys[3], 'mine')
    assert.equal(new Set(keys).size, 4)
  })
  for (const [status, code, name] of [[404, 'not_found', 'NotFoundError'], [412, 'precondition_failed', 'PreconditionFailedError']] as const) {
    await play([problem(status, { code, found: '8' })], async ({ firn, script }) => {
      await assert.rejects(firn.delete(ADDRESS), (error) => isFirnError(error, name) && error.code === code && error.found === '8')
      assert.equal((await script.received()).length, 1)
    })
  }
})

test('body that gains by it is sent compressed, once for all attempts', async () => {
  const long = { ...RECORD, markdown: Array.from({ length: 500 }, (_, idx) => `line ${idx}`).join('\n') }
  const same = { ...RECORD, markdown: 'x'.repeat(1_000_000) }
  await play([answer(500, ''), taken], async ({ firn, script }) => {
    for (const record of [long, RECORD, same]) await firn.put(record)
    const received = await script.received()
    // The same letter a million times would be taken for a bomb.
    assert.deepEqual(received.map(({ headers }) => headers['content-encoding']), ['gzip', 'gzip', undefined, undefined])
    assert.ok(Number(received[0]?.headers['content-length']) < 3_000)
    for (const { body } of received.slice(0, 2)) assert.equal(body, `${JSON.stringify(long)}\n`)
  })
  await play([taken], async ({ firn, script }) => {
    await firn.put(long)
    assert.equal((await script.received())[0]?.headers['content-encoding'], undefined)
  }, { gzip: false })
})

test('wrong options are refused', () => {
  const baseUrl = 'https://a.example'
  for (const options of [{ baseUrl: 'a.example' }, { baseUrl, timeout: 0 }, { baseUrl, timeout: NaN }, { baseUrl, maxRetries: -1 }]) {
    assert.throws(() => new Firn(options), named('InvalidInputError'))
  }
  assert.equal(new Firn({ baseUrl: `${baseUrl}/x/` }).url(ADDRESS), `${baseUrl}/x/$.content/app.do/page/docs/a%20b.md`)
})
