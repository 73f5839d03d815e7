import assert from 'node:assert/strict'
import { test } from 'node:test'

import { parseProblem } from '../src/problem.js'

test('problem has the members of RFC 9457 and those of Firn', () => {
  const text = JSON.stringify({
    type: 'https://firn.example/errors/body_too_large',
    title: 'The body is too large',
    status: 413,
    detail: 'at most 10485760 bytes are allowed',
    code: 'body_too_large',
    request_id: 'r-1',
    line: 7,
    field: 'markdown',
    limit: 10_485_760,
    future: true,
  })
  assert.deepEqual(parseProblem(text), {
    type: 'https://firn.example/errors/body_too_large',
    title: 'The body is too large',
    detail: 'at most 10485760 bytes are allowed',
    code: 'body_too_large',
    requestId: 'r-1',
    line: 7,
    field: 'markdown',
    limit: 10_485_760,
  })
})

test('member of the wrong type is ignored', () => {
  const wrong = '{"type":1,"title":null,"detail":[],"code":404,"request_id":{},"line":"7","field":0,"limit":-1}'
  assert.deepEqual(parseProblem(wrong), { type: 'about:blank' })
  assert.deepEqual(parseProblem('{"line":1.5,"limit":1e300}'), { type: 'about:blank' })
  assert.deepEqual(parseProblem('{"__proto__":{"code":"x"},"toString":1}'), { type: 'about:blank' })
})

test('what is not an object is not a problem', () => {
  for (const text of ['', '<html>', 'null', '1', '"x"', '[]', '{"code":"x"']) {
    assert.equal(parseProblem(text), undefined, text)
  }
})
