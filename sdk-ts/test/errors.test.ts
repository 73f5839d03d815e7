import assert from 'node:assert/strict'
import { test } from 'node:test'

import { FirnError, ResponseError, TimeoutError, isFirnError, isResponseError, responseError } from '../src/errors.js'

function answer(status: number, body: BodyInit | null, headers: Record<string, string> = {}): Response {
  return new Response(body, { status, headers: { 'content-type': 'application/problem+json', ...headers } })
}

test('status decides the class', async () => {
  for (const [status, name] of [
    [400, 'BadRequestError'],
    [401, 'UnauthorizedError'],
    [402, 'ResponseError'],
    [403, 'ForbiddenError'],
    [404, 'NotFoundError'],
    [405, 'BadRequestError'],
    [409, 'ConflictError'],
    [410, 'GoneError'],
    [412, 'PreconditionFailedError'],
    [413, 'BadRequestError'],
    [415, 'BadRequestError'],
    [416, 'BadRequestError'],
    [422, 'BadRequestError'],
    [429, 'RateLimitedError'],
    [500, 'ServerError'],
    [502, 'ServerError'],
    [503, 'ServerError'],
    [599, 'ServerError'],
  ] as const) {
    const error = await responseError(answer(status, '{}'))
    assert.equal(error.name, name)
    assert.equal(error.status, status)
    assert.ok(error instanceof ResponseError && error instanceof FirnError && error instanceof Error)
    assert.match(String(error), new RegExp(`^${name}: `))
  }
})

test('error says what the problem says', async () => {
  const body = '{"title":"T","detail":"D","code":"not_found","request_id":"r-1","line":2,"field":"id","limit":3}'
  const error = await responseError(answer(404, body, { 'x-request-id': 'r-2', 'retry-after': '2' }))
  assert.equal(error.message, 'D (404 not_found)')
  const { code, requestId, line, field, limit, retryAfterMs, cause } = error
  assert.deepEqual(
    { code, requestId, line, field, limit, retryAfterMs, cause },
    { code: 'not_found', requestId: 'r-1', line: 2, field: 'id', limit: 3, retryAfterMs: 2000, cause: undefined },
  )
})

test('answer of something in between still gives status and request id', async () => {
  for (const body of ['<html>Bad gateway</html>', '', null, '{"code":"not_found"']) {
    const error = await responseError(answer(502, body, { 'x-request-id': 'r-2' }))
    assert.deepEqual([error.code, error.requestId, error.name], [undefined, 'r-2', 'ServerError'])
    assert.equal(error.message, 'The server answered with an error (502)')
  }
  const html = await responseError(answer(502, '{"code":"not_found"}', { 'content-type': 'application/json' }))
  assert.equal(html.code, undefined)
  const parameters = { 'content-type': 'Application/Problem+JSON; charset=utf-8' }
  assert.equal((await responseError(answer(404, '{"code":"not_found"}', parameters))).code, 'not_found')
})

test('body that breaks off becomes the cause', async () => {
  const broken = new Error('reset')
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"code":'))
      controller.error(broken)
    },
  })
  const error = await responseError(answer(503, body))
  assert.deepEqual([error.status, error.code, error.cause], [503, undefined, broken])
})

test('endless body is read up to a limit and then cancelled', async () => {
  let sent = 0
  let cancelled = false
  const body = new ReadableStream({
    pull(controller) {
      sent += 16_384
      controller.enqueue(new Uint8Array(16_384).fill(0x20))
    },
    cancel() {
      cancelled = true
    },
  })
  assert.equal((await responseError(answer(500, body))).code, undefined)
  assert.ok(cancelled)
  assert.ok(sent <= 20 * 16_384, `${sent}`)
})

test('abort is not an error of ours', async () => {
  const reason = new DOMException('stop', 'AbortError')
  const body = new ReadableStream({
    start(controller) {
      controller.error(reason)
    },
  })
  await assert.rejects(responseError(answer(500, body)), (error) => error === reason)
  assert.equal(isFirnError(reason), false)

  const own = { stop: true }
  const broken = new ReadableStream({ start: (controller) => controller.error(own) })
  await assert.rejects(responseError(answer(500, broken), AbortSignal.abort(own)), (error) => error === own)
})

test('Retry-After is seconds or a date', async () => {
  const wait = async (value: string) => (await responseError(answer(429, '{}', { 'retry-after': value }))).retryAfterMs
  assert.equal(await wait('0'), 0)
  assert.equal(await wait(' 30 '), 30_000)
  assert.equal(await wait('99999999999999999999'), 3_600_000)
  assert.equal(await wait('Fri, 20 Nov 2020 08:00:00 GMT'), 0)
  for (const bad of ['', 'soon', '1.5s', '-']) assert.equal(await wait(bad), undefined, bad)
  const inAMinute = await wait(new Date(Date.now() + 60_000).toUTCString())
  assert.ok(inAMinute !== undefined && inAMinute > 50_000 && inAMinute <= 60_000, `${inAMinute}`)
  assert.equal((await responseError(answer(429, '{}'))).retryAfterMs, undefined)
})

test('guards recognise errors of another copy of the package', async () => {
  const error = await responseError(answer(404, '{}'))
  assert.ok(isFirnError(error) && isResponseError(error))
  const timeout = new TimeoutError('no answer in 1000 ms')
  assert.ok(isFirnError(timeout) && !isResponseError(timeout))
  const foreign = Object.assign(new Error('x'), { [Symbol.for('@firn/sdk/error')]: true, status: 404 })
  assert.ok(isResponseError(foreign))
  for (const other of [undefined, null, 'x', new Error('x'), { status: 404 }]) assert.equal(isFirnError(other), false)
})
