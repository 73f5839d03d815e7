import assert from 'node:assert/strict'
import { test } from 'node:test'

import { isFirnError } from '../src/errors.js'
import { EXTENSIONS, contentUrl, type ContentAddress } from '../src/url.js'

const BASE = 'https://firn.example'
const ADDRESS: ContentAddress = { ns: 'app.do', type: 'page', id: 'home', ext: 'md' }

test('url names namespace, type, id and extension', () => {
  for (const [address, expected] of [
    [{}, '/$.content/app.do/page/home.md'],
    [{ ns: 'App.DO' }, '/$.content/app.do/page/home.md'],
    [{ type: 'Page' }, '/$.content/app.do/Page/home.md'],
    [{ id: 'a/b/c' }, '/$.content/app.do/page/a/b/c.md'],
    [{ id: 'package.json', ext: 'json' }, '/$.content/app.do/page/package.json.json'],
    [{ id: '@scope/name@1.2.3', ext: 'd.ts' }, '/$.content/app.do/page/%40scope/name%401.2.3.d.ts'],
    [{ id: 'a b/ü/😀' }, '/$.content/app.do/page/a%20b/%C3%BC/%F0%9F%98%80.md'],
    [{ id: '100%/%2F/a?b#c' }, '/$.content/app.do/page/100%25/%252F/a%3Fb%23c.md'],
    [{ id: '...', ext: 'mjs' }, '/$.content/app.do/page/....mjs'],
    [{ id: 'a@v' }, '/$.content/app.do/page/a%40v.md'],
  ] satisfies [Partial<ContentAddress>, string][]) {
    assert.equal(contentUrl(BASE, { ...ADDRESS, ...address }), BASE + expected)
  }
})

test('base url keeps its path and loses its query', () => {
  const path = '/$.content/app.do/page/home.md'
  assert.equal(contentUrl('http://localhost:8787/', ADDRESS), `http://localhost:8787${path}`)
  assert.equal(contentUrl('https://x.example/firn//?a=1#b', ADDRESS), `https://x.example/firn${path}`)
  assert.equal(contentUrl(new URL('https://user:pw@x.example'), ADDRESS), `https://x.example${path}`)
})

test('options become a query', () => {
  const path = `${BASE}/$.content/app.do/page/home.md`
  assert.equal(contentUrl(BASE, ADDRESS, { fresh: false }), path)
  assert.equal(contentUrl(BASE, ADDRESS, { fresh: true }), `${path}?fresh=true`)
  assert.equal(contentUrl(BASE, ADDRESS, { maxAge: 0 }), `${path}?max_age=0`)
  assert.equal(contentUrl(BASE, ADDRESS, { fresh: true, maxAge: 30 }), `${path}?fresh=true&max_age=30`)
  for (const maxAge of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assertRefused('maxAge', () => contentUrl(BASE, ADDRESS, { maxAge }))
  }
})

test('what the server would refuse is refused before the request', () => {
  const cases: Record<'ns' | 'type' | 'id', string[]> = {
    // The last one is the Kelvin sign, whose lower case is an ASCII k.
    ns: ['', '-a', '.a', 'a b', 'ä', 'a/b', 'a\n', 'a'.repeat(254), '\u212a'],
    type: ['', '_a', 'a/b', 'a%', 'ä', 'a\n', 'a'.repeat(65)],
    id: [
      '',
      '/a',
      'a/',
      'a//b',
      '.',
      'a/..',
      'a/./b',
      'a\\b',
      'a\u0000',
      'a\n',
      'a\u007f',
      'a\u0085',
      'a\ud800',
      '\udc00a',
      'a@v1',
      'x.mdast',
      'x.hast',
      'x.estree',
      'x.tsast',
      'x.artifact',
      'x.d',
      'é'.repeat(513),
    ],
  }
  for (const [field, values] of Object.entries(cases)) {
    for (const value of values) assertRefused(field, () => contentUrl(BASE, { ...ADDRESS, [field]: value }))
  }
  for (const base of ['', 'firn.example', '/x', 'ftp://firn.example']) {
    assertRefused('baseUrl', () => contentUrl(base, ADDRESS))
  }
  // @ts-expect-error not an extension
  assertRefused('ext', () => contentUrl(BASE, { ...ADDRESS, ext: 'ts' }))
})

test('longest parts are taken', () => {
  const longest = { ns: 'a'.repeat(253), type: 'T'.repeat(64), id: 'é'.repeat(512), ext: 'md' } as const
  assert.equal(contentUrl(BASE, longest).length, BASE.length + '/$.content///.md'.length + 253 + 64 + 512 * 6)
})

test('url survives parsing, and its path decodes once to the id', () => {
  // A fixed generator, so that a failure can be repeated.
  let state = 0x2545f491
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const alphabet = [..."abcXYZ019-._~!$&'()*+,;=:@%?#[]{}|^`<>\" éü漢😀\u{10ffff}\u00a0\u2028"]
  for (let round = 0; round < 2000; round++) {
    const segment = (): string => {
      const text = Array.from({ length: 1 + random(6) }, () => alphabet[random(alphabet.length)]).join('')
      return text === '.' || text === '..' ? 'dots' : text
    }
    const id = `${Array.from({ length: 1 + random(4) }, segment).join('/')}x`
    const ext = EXTENSIONS[random(EXTENSIONS.length)] ?? 'md'
    const url = contentUrl(BASE, { ...ADDRESS, id, ext })
    const parsed = new URL(url)
    assert.equal(parsed.href, url, id)
    assert.equal(parsed.search + parsed.hash, '', id)
    const prefix = '/$.content/app.do/page/'
    assert.equal(decodeURIComponent(parsed.pathname.slice(prefix.length)), `${id}.${ext}`)
  }
})

function assertRefused(field: string, call: () => unknown): void {
  assert.throws(call, (error) => {
    assert.ok(isFirnError(error))
    assert.equal(error.name, 'InvalidInputError')
    assert.ok('field' in error)
    assert.equal(error.field, field)
    return true
  })
}
