// What stands for `node:assert/strict` in browsers: as much of it as the tests use, and as strict.

type Check = RegExp | ((error: unknown) => boolean)

function fail(message: string): never {
  throw new Error(message)
}

const show = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return String(value)
  }
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime()
  const keys = Object.keys(a)
  const other = new Map(Object.entries(b))
  return keys.length === other.size && Object.entries(a).every(([key, value]) => other.has(key) && same(value, other.get(key)))
}

function check(error: unknown, expected: Check | undefined): void {
  if (expected === undefined) return
  const holds = expected instanceof RegExp ? expected.test(String(error)) : expected(error)
  if (!holds) fail(`another error: ${error instanceof Error ? error.stack : show(error)}`)
}

const assert = {
  fail: (message = 'failed'): never => fail(message),
  ok: (value: unknown, message = 'not truthy'): void => void (value || fail(message)),
  equal: (a: unknown, b: unknown, message = ''): void => void (Object.is(a, b) || fail(`${message} ${show(a)} is not ${show(b)}`)),
  notEqual: (a: unknown, b: unknown, message = ''): void => void (Object.is(a, b) && fail(`${message} ${show(a)}`)),
  deepEqual: (a: unknown, b: unknown, message = ''): void => void (same(a, b) || fail(`${message} ${show(a)} is not ${show(b)}`)),
  match: (text: string, pattern: RegExp): void => void (pattern.test(text) || fail(`${text} does not match ${pattern}`)),
  throws(body: () => unknown, expected?: Check): void {
    try {
      body()
    } catch (error) {
      return check(error, expected)
    }
    fail('nothing was thrown')
  },
  async rejects(body: Promise<unknown> | (() => Promise<unknown>), expected?: Check): Promise<void> {
    try {
      await (typeof body === 'function' ? body() : body)
    } catch (error) {
      return check(error, expected)
    }
    fail('nothing was thrown')
  },
}

export default assert
