import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { ERROR_STATUS, LINE_ERROR_RETRYABLE } from '../src/codes.js'

test('every code of the server is known', () => {
  const source = readFileSync(join(process.cwd(), '../crates/types/src/error.rs'), 'utf8')
  const table = source.slice(source.indexOf('ErrorCode { status(u16)'), source.indexOf('LineErrorCode {'))
  const rows = [...table.matchAll(/^ {4}\w+ => "(\w+)", (\d{3}), /gm)]
  assert.ok(rows.length > 20)
  const known = new Map<string, number>(Object.entries(ERROR_STATUS))
  for (const [, code = '', status] of rows) assert.equal(known.get(code), Number(status), code)
})

test('line codes are those of the server', () => {
  const source = readFileSync(join(process.cwd(), '../crates/types/src/error.rs'), 'utf8')
  const table = source.slice(source.indexOf('LineErrorCode {'), source.indexOf('#[cfg(test)]'))
  const rows = [...table.matchAll(/^ {4}\w+ => "(\w+)", (true|false), /gm)]
  assert.ok(rows.length > 15)
  assert.deepEqual(Object.fromEntries(rows.map(([, code, flag]) => [code, flag === 'true'])), { ...LINE_ERROR_RETRYABLE })
})
