// The program as it is built, against the scripted server.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'

import { Script, answer, ingestAnswer, problem, taken, type Step } from './scripted.js'

const PROGRAM = join(process.cwd(), 'dist/cli/firn.cjs')

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Setting {
  readonly dir: string
  readonly script: Script
  /** Runs a command to its end. */
  readonly firn: (args: readonly string[], more?: { readonly input?: string; readonly env?: Record<string, string> }) => Promise<Ended>
}

async function play(steps: readonly Step[], use: (setting: Setting) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'firn-cli-'))
  try {
    await Script.run(steps, async (url, script) => {
      const firn: Setting['firn'] = (args, { input = '', env = {} } = {}) =>
        new Promise((resolve, reject) => {
          const variables = { PATH: process.env['PATH'] ?? '', FIRN_URL: url, FIRN_TOKEN: 't-1', ...env }
          const child = spawn(process.execPath, [PROGRAM, ...args], { cwd: dir, env: variables })
          const out = { stdout: '', stderr: '' }
          for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (piece: string) => (out[name] += piece))
          child.on('error', reject).on('close', (status) => resolve({ status, ...out }))
          child.stdin.on('error', () => undefined).end(input)
        })
      await use({ dir, script, firn })
    })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const lines = (text: string): unknown[] => text.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line) as unknown)
const COMMANDS = ['publish', 'put', 'get', 'head', 'list', 'versions', 'delete', 'pull', 'import', 'token', 'doctor']

test('every command explains itself with examples', async () => {
  await play([taken], async ({ firn }) => {
    const help = await firn(['--help'])
    assert.equal(help.status, 0)
    assert.match(help.stdout, /Exit status:\n {2}0 {2}done/)
    for (const command of COMMANDS) {
      assert.match(help.stdout, new RegExp(`^ {2}${command} `, 'm'))
      const { status, stdout } = await firn([command, '--help'])
      assert.equal(status, 0)
      assert.match(stdout, new RegExp(`Examples:\\n[\\s\\S]*firn ${command}`), command)
    }
  })
})

test('wrong arguments end with 2, and nothing is sent', async () => {
  await play([taken], async ({ firn, script }) => {
    for (const args of [
      [], ['nonsense'], ['get'], ['get', 'a/b'], ['get', 'a/b/c'], ['put', 'a/b/c'], ['put', 'a/b/c', 'none.md'], ['put', 'a/b/c@v1', '--stdin', 'md'],
      ['publish', '.'], ['publish', 'none', '--ns', 'a', '--type', 'b'], ['publish', '.', '--type', 'b'], ['publish', '.', '--type', 'b', '--ns', 'a', '--mode', 'fast'],
      ['publish', '.', '--type', 'b', '--ns', 'a', '--watch', '--mode', 'bulk'], ['delete', 'a/b/c', 'a/b/d', '--if-match', '1'], ['list', 'a'], ['list', 'a/b', '--limit', '0'],
      ['import', 'none.ndjson'], ['token', 'mint', '--ns', 'a'], ['token', 'show'],
    ]) {
      const { status, stderr } = await firn(args)
      assert.equal(status, 2, `${args.join(' ')}: ${stderr}`)
    }
    assert.equal((await firn(['get', 'a/b/c.md'], { env: { FIRN_URL: '' } })).status, 2)
    assert.equal((await script.received()).length, 0)
  })
})

test('get prints what was stored, and the exit status says what was wrong', async () => {
  const body = answer(200, '# é\n\n', { 'content-type': 'text/markdown', etag: '"5.md"', 'x-artifact-version': '5' })
  const answers: readonly (readonly [Step, number])[] = [
    [problem(404, { code: 'not_found', request_id: 'r-9' }), 4],
    [problem(410, { code: 'gone' }), 4],
    [problem(401, { code: 'unauthorized' }), 5],
    [problem(503, { code: 'storage_unavailable' }), 7],
    [{ does: 'reset' }, 7],
  ]
  await play([body, body, body, ...answers.map(([step]) => step)], async ({ dir, firn, script }) => {
    assert.deepEqual(await firn(['get', 'app.do/page/docs/home.md', '--fresh']), { status: 0, stdout: '# é\n\n', stderr: '' })
    const [{ url, headers } = assert.fail()] = await script.received()
    assert.deepEqual([url, headers['authorization']], ['/$.content/app.do/page/docs/home.md?fresh=true', 'Bearer t-1'])
    await firn(['get', 'app.do/page/docs/home.md', '-o', 'out.md'])
    assert.equal(readFileSync(join(dir, 'out.md'), 'utf8'), '# é\n\n')
    const [json] = lines((await firn(['get', 'app.do/page/docs/home.md', '--json'])).stdout) as [{ body: string; version: string; id: string }]
    assert.deepEqual([json.id, json.body, json.version], ['docs/home', '# é\n\n', '5'])
    for (const [, expected] of answers) {
      const { status, stdout, stderr } = await firn(['get', 'app.do/page/a.md', '--retries', '0'])
      assert.deepEqual([status, stdout], [expected, ''], stderr)
      assert.ok(lines(stderr).length === 1)
    }
  })
})

test('head, list and versions are lines of JSON in a pipe, and text where that is asked for', async () => {
  const page = answer(200, '{"items":[{"id":"a","version":"1","size_bytes":1500},{"id":"b","version":"2"}],"cursor":"x"}')
  const last = answer(200, '{"items":[{"id":"c","version":"3"}]}')
  const head = answer(200, '', { etag: '"5.md"', 'content-length': '7', 'content-type': 'text/markdown' })
  await play([page, last, page, answer(200, '{"items":[{"version":"9","deleted":true}]}'), head, head], async ({ firn }) => {
    assert.deepEqual((lines((await firn(['list', 'app.do/page', '--prefix', 'x'])).stdout) as { id: string }[]).map(({ id }) => id), ['a', 'b', 'c'])
    assert.equal((await firn(['list', 'app.do/page', '--max', '1', '--no-json'])).stdout, 'a  1  1.5 KB\n')
    assert.equal((await firn(['versions', 'app.do/page/a', '--no-json'])).stdout, '9  deleted\n')
    assert.match((await firn(['head', 'app.do/page/a.md', '--no-json'])).stdout, /^etag {5}"5.md"$/m)
    assert.equal((lines((await firn(['head', 'app.do/page/a.md'])).stdout) as { etag: string }[])[0]?.etag, '"5.md"')
  })
})

test('put takes files and stdin by their extensions', async () => {
  await play([taken, taken, problem(409, { code: 'version_conflict', errors: [{ line: 1, code: 'version_conflict', found: '7' }] })], async ({ dir, firn, script }) => {
    writeFileSync(join(dir, 'any.name.md'), '---\na: 1\n---\n# Hello\n')
    writeFileSync(join(dir, 'x.css'), 'b {}')
    const { status } = await firn(['put', 'app.do/page/home', 'any.name.md', 'x.css', '--visibility', 'unlisted', '--mode', 'preview'])
    assert.equal(status, 0)
    assert.equal((await firn(['put', 'app.do/page/home', '--stdin', 'html', '--if-version', '0'], { input: '<p>' })).status, 0)
    assert.equal((await firn(['put', 'app.do/page/home', '--stdin', 'html', '--if-version', '0'], { input: '<p>' })).status, 6)
    const [first, second] = (await script.received()).map(({ body }) => JSON.parse(body) as Record<string, unknown>)
    assert.deepEqual(first, {
      ns: 'app.do', type: 'page', id: 'home', markdown: '---\na: 1\n---\n# Hello\n', css: 'b {}', frontmatter: { a: 1 },
      metadata: { files: { md: {}, css: {} } }, visibility: 'unlisted',
    })
    assert.deepEqual([second?.['html'], second?.['if_version']], ['<p>', '0'])
  })
})

test('delete names each artifact', async () => {
  const done = answer(200, '{"version":"9","requestId":"r"}')
  await play([done, done, problem(412, { code: 'precondition_failed' })], async ({ firn, script }) => {
    assert.deepEqual((lines((await firn(['delete', 'app.do/page/a', 'app.do/page/b'])).stdout) as { id: string }[]).map(({ id }) => id), ['a', 'b'])
    assert.equal((await firn(['delete', 'app.do/page/a', '--if-match', '7'])).status, 6)
    assert.deepEqual((await script.received()).map(({ method, headers }) => [method, headers['if-match']]), [['DELETE', undefined], ['DELETE', undefined], ['DELETE', '"7"']])
  })
})

test('publish sends a folder in one request, and says what a dry run would', async () => {
  await play([taken], async ({ dir, firn, script }) => {
    mkdirSync(join(dir, 'site/docs'), { recursive: true })
    for (const [name, text] of Object.entries({ 'home.md': '# H', 'home.css': 'b{}', 'docs/a.js': 'export {}', LICENSE: 'x', 'p.json': '{"a":1}' })) {
      writeFileSync(join(dir, 'site', name), text)
    }
    const [dry] = lines((await firn(['publish', 'site', '--ns', 'app.do', '--type', 'page', '--dry-run'])).stdout) as [{ artifacts: unknown; bytes: number; skipped: unknown }]
    assert.deepEqual(dry.artifacts, [
      { id: 'docs/a', files: ['docs/a.js'] },
      { id: 'home', files: ['home.css', 'home.md'] },
      { id: 'p', files: ['p.json'] },
    ])
    assert.deepEqual([dry.bytes, dry.skipped], [22, [{ path: 'LICENSE', reason: 'no representation has this extension' }]])
    assert.equal((await script.received()).length, 0)

    const { status, stdout } = await firn(['publish', 'site', '--ns', 'app.do', '--type', 'page', '--prefix', 'v1/', '--atomic'])
    assert.equal(status, 0)
    assert.equal((lines(stdout) as { accepted: number }[])[0]?.accepted, 3)
    const [{ body, headers } = assert.fail(), ...others] = await script.received()
    assert.deepEqual((lines(body) as { id: string }[]).map(({ id }) => id), ['v1/docs/a', 'v1/home', 'v1/p'])
    assert.deepEqual([headers['x-artifact-mode'], others], ['build', []])
    assert.match((await firn(['publish', 'site', '--ns', 'app.do', '--type', 'page', '--no-json'])).stdout, /✔ 3 artifacts published, 22 B in /)
  })
})

test('publish sends nothing while a file cannot be stored, and stops at the first rejected request', async () => {
  const bad = problem(400, { code: 'nothing_accepted', errors: [{ line: 2, code: 'claim_missing', detail: 'no org' }] })
  await play([taken, bad], async ({ dir, firn, script }) => {
    mkdirSync(join(dir, 'site'))
    writeFileSync(join(dir, 'site/bad.json'), '{')
    for (let idx = 0; idx < 2_500; idx += 1) writeFileSync(join(dir, `site/${idx}.md`), `# ${idx}`)
    const refused = await firn(['publish', 'site', '--ns', 'app.do', '--type', 'page'])
    assert.equal(refused.status, 2)
    assert.match(refused.stderr, /bad.json: it is not JSON/)
    assert.equal((await script.received()).length, 0)
    const { status, stdout } = await firn(['publish', 'site', '--ns', 'app.do', '--type', 'page', '--lenient'])
    assert.equal(status, 3)
    const [{ requests, accepted, rejected, errors } = assert.fail()] = lines(stdout) as { requests: number; accepted: number; rejected: number; errors: { detail: string }[] }[]
    assert.deepEqual([requests, accepted, rejected, errors[0]?.detail], [2, 1_000, 1_000, 'no org'])
    assert.equal((await script.received()).length, 2)
    assert.equal((await firn(['publish', 'site', '--ns', 'app.do', '--type', 'page', '--lenient', '--atomic'])).status, 2)
  })
})

test('pull writes the files of the ids that were named, and says which there are not', async () => {
  const body = JSON.stringify({ id: 'docs/a', markdown: '# é\r\n', frontmatter: { x: 1 }, metadata: { files: { md: {}, json: { indent: 2, end: '\n' } } } })
  const found = (id: string): object => ({ id, status: 200, body })
  const batch = (...items: readonly object[]): Step => answer(200, JSON.stringify({ items }))
  await play([batch(found('docs/a'), { id: 'none', status: 404, code: 'not_found' })], async ({ dir, firn }) => {
    const { status, stdout, stderr } = await firn(['pull', 'app.do/page', '--ids', 'docs/a,none,a//b', '-o', 'out'])
    assert.equal(status, 4, stderr)
    const [{ artifacts, files, failed } = assert.fail()] = lines(stdout) as { artifacts: number; files: number; failed: { id: string }[] }[]
    assert.deepEqual([artifacts, files, failed.map(({ id }) => id)], [1, 2, ['a//b', 'none']])
    assert.equal(readFileSync(join(dir, 'out/docs/a.md'), 'utf8'), '# é\r\n')
    assert.equal(readFileSync(join(dir, 'out/docs/a.json'), 'utf8'), '{\n  "x": 1\n}\n')
  })
  // One that fails among others is read alone.
  await play([batch({ id: 'a', status: 503 }, found('b')), answer(200, body)], async ({ dir, firn, script }) => {
    assert.equal((await firn(['pull', 'app.do/page', '--ids', 'a,b', '-o', 'out'])).status, 0)
    assert.deepEqual((await script.received()).map(({ method, url }) => [method, url]), [['POST', '/$.content'], ['GET', '/$.content/app.do/page/a.artifact.json']])
    assert.deepEqual(readdirSync(join(dir, 'out')).sort(), ['a.json', 'a.md', 'b.json', 'b.md'])
  })
  const listing = answer(200, '{"items":[{"id":"a","version":"1"},{"id":"b","version":"2","deleted":true}]}')
  await play([listing, batch(found('a'))], async ({ dir, firn, script }) => {
    assert.equal((await firn(['pull', 'app.do/page', '--prefix', 'docs', '-o', 'out'])).status, 0)
    assert.deepEqual((await script.received()).map(({ url }) => url), ['/$.content/app.do/page/?prefix=docs', '/$.content'])
    assert.deepEqual(readdirSync(join(dir, 'out')).sort(), ['a.json', 'a.md'])
  })
})

const record = (idx: number): string => JSON.stringify({ ns: 'app.do', type: 'page', id: `p/${idx}`, markdown: `é${idx}` })

for (const packed of [false, true]) {
  test(`import goes on where it was interrupted, with the same keys${packed ? ', in a packed file too' : ''}`, async () => {
    const all = Array.from({ length: 25 }, (_, idx) => record(idx))
    // A blank line, CRLF, and no newline at the end.
    const text = [...all.slice(0, 3), '', ...all.slice(3, 7).map((line) => `${line}\r`), ...all.slice(7)].join('\n')
    const steps = [taken, problem(503, {}), { does: 'reset' } as const, taken]
    await play(steps, async ({ dir, firn, script }) => {
      const file = packed ? 'all.ndjson.gz' : 'all.ndjson'
      writeFileSync(join(dir, file), packed ? gzipSync(text) : text)
      const args = ['import', file, '--records-per-request', '10', '--retries', '0']
      for (const attempt of [1, 2]) assert.equal((await firn(args)).status, 7, `attempt ${attempt}`)
      assert.ok(existsSync(join(dir, `${file}.firn-import.json`)))
      assert.equal((await firn([...args, '--mode', 'build'])).status, 2, 'another mode is another import')
      const { status, stdout } = await firn(args)
      assert.equal(status, 0)
      assert.deepEqual(lines(stdout), [{ requests: 3, records: 25, accepted: 25, unchanged: 0, rejected: 0, resumed: true }])
      assert.ok(!existsSync(join(dir, `${file}.firn-import.json`)))
      const received = await script.received()
      assert.deepEqual(received.map(({ body }) => body.trim().split('\n').length), [10, 10, 10, 10, 5])
      const [zero, one, again, once, two] = received.map(({ headers }) => headers['idempotency-key'])
      assert.deepEqual([one, again, zero?.replace(/0$/, '1'), two?.replace(/2$/, '1')], [once, once, once, once])
      assert.equal(received[1]?.body, received[3]?.body)
      assert.deepEqual([0, 3, 4].flatMap((n) => (received[n]?.body ?? '').split('\n').map((line) => line.trim()).filter(Boolean)), all)
      assert.equal(received[0]?.headers['x-artifact-mode'], 'bulk')
    })
  })
}

test('import names rejected lines by their number in the file, and keeps them', async () => {
  const errors = [{ line: 2, code: 'invalid_json', detail: 'not JSON' }]
  await play([answer(207, ingestAnswer(2, { rejected: 1, errors })), taken], async ({ dir, firn }) => {
    writeFileSync(join(dir, 'all.ndjson'), `\n${record(0)}\nnonsense\n${record(2)}\n${record(3)}\n`)
    const { status, stdout } = await firn(['import', 'all.ndjson', '--records-per-request', '3', '--rejected', 'bad.ndjson'])
    assert.equal(status, 3)
    assert.deepEqual(lines(stdout), [{ requests: 2, records: 4, accepted: 3, unchanged: 0, rejected: 1, resumed: false }])
    assert.deepEqual(lines(readFileSync(join(dir, 'bad.ndjson'), 'utf8')), [{ line: 3, code: 'invalid_json', detail: 'not JSON', text: 'nonsense' }])
  })
})

test('import cuts smaller where the namespace takes less, and at a change of namespace', async () => {
  await play([problem(413, { code: 'too_many_records', limit: 2 }), taken], async ({ dir, firn, script }) => {
    const other = JSON.stringify({ ns: 'b.do', type: 'page', id: 'x' })
    writeFileSync(join(dir, 'all.ndjson'), [record(0), record(1), record(2), other].join('\n'))
    const { status, stdout } = await firn(['import', 'all.ndjson'])
    assert.equal(status, 0)
    assert.equal((lines(stdout) as { accepted: number }[])[0]?.accepted, 4)
    const received = await script.received()
    assert.deepEqual(received.map(({ body }) => body.trim().split('\n').length), [3, 2, 1, 1])
    assert.equal(new Set(received.map(({ headers }) => headers['idempotency-key'])).size, 4)
  })
})

test('Ctrl-C ends with 130, and what was answered is known', async () => {
  await play([taken, { does: 'wait' }], async ({ dir, script }) => {
    writeFileSync(join(dir, 'all.ndjson'), [0, 1, 2].map(record).join('\n'))
    const env = { PATH: process.env['PATH'] ?? '', FIRN_URL: script.baseUrl }
    const child = spawn(process.execPath, [PROGRAM, 'import', 'all.ndjson', '--records-per-request', '1'], { cwd: dir, env })
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    await script.arrived(2)
    child.kill('SIGINT')
    assert.equal(await ended, 130)
    const state = JSON.parse(readFileSync(join(dir, 'all.ndjson.firn-import.json'), 'utf8')) as { requests: number; line: number }
    assert.deepEqual([state.requests, state.line], [1, 2])
  })
})

const hasTerminal = spawnSync('script', ['--version']).status === 0

test('a terminal sees a bar with bytes, rate and time left, and text', { skip: !hasTerminal && 'no script(1) to make a terminal' }, async () => {
  await play([taken], async ({ dir, script }) => {
    mkdirSync(join(dir, 'site'))
    for (let idx = 0; idx < 100; idx += 1) writeFileSync(join(dir, `site/${idx}.md`), 'x'.repeat(10_000))
    const env = { PATH: process.env['PATH'] ?? '', FIRN_URL: script.baseUrl, TERM: 'xterm', COLUMNS: '120' }
    const command = [process.execPath, PROGRAM, 'publish', 'site', '--ns', 'app.do', '--type', 'page'].join(' ')
    const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: dir, env })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece))
    assert.equal(await new Promise((resolve) => child.once('close', resolve)), 0, text)
    assert.match(text, /[█░]{24} [\d.]+ [KM]?B of 1\.0 MB · [\d.]+ [KM]B\/s/)
    assert.match(text, /· \d+ s left · \d+ records?/)
    assert.match(text, /✔.* 100 artifacts published, 1\.0 MB in /)
  })
})

test('token mint signs what was asked for; token show says it without the token', async () => {
  await play([taken], async ({ firn }) => {
    const env = { FIRN_HS256_SECRET: 'secret' }
    const { stdout } = await firn(['token', 'mint', '--ns', 'app.do,b.do', '--sub', 'u1', '--ttl', '2h', '--scope', 'artifacts:read'], { env })
    const [head = '', payload = '', signature] = stdout.trim().split('.')
    assert.equal(signature, createHmac('sha256', 'secret').update(`${head}.${payload}`).digest('base64url'))
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, number>
    assert.deepEqual([claims['ns'], claims['sub'], claims['scope'], (claims['exp'] ?? 0) - (claims['iat'] ?? 0)], [['app.do', 'b.do'], 'u1', 'artifacts:read', 7_200])
    const shown = await firn(['token', 'show', '--no-json'], { env: { FIRN_TOKEN: stdout.trim() } })
    assert.equal(shown.status, 0)
    assert.match(shown.stdout, /^ns {5}\["app.do","b.do"\]$/m)
    assert.match(shown.stdout, /valid for 2 h|valid for 120 min/)
    assert.ok(!shown.stdout.includes(head))
  })
})

test('doctor says what it found, and fails where the token is refused or the server is another', async () => {
  const date = new Date().toUTCString()
  const here = problem(404, { code: 'not_found' }, { 'x-request-id': 'r', date })
  const rights = [answer(200, ingestAnswer(0)), problem(413, { code: 'too_many_records', limit: 1_000 }), problem(413, { code: 'body_too_large', limit: 10_485_760 })]
  await play([here, here, ...rights], async ({ firn, script }) => {
    const { status, stdout } = await firn(['doctor', '--no-json'])
    assert.equal(status, 0, stdout)
    assert.match(stdout, /✔ server .*\n✔ clock .*\n✔ token .*\n✔ write {3}allowed\n✔ limits {2}1,000 records a request, 10.5 MB of any request\n/)
    // Nothing that could be taken was sent.
    assert.ok((await script.received()).every(({ body }) => body.replaceAll('{}\n', '') === ''))
  })
  await play([here, problem(401, { code: 'unauthorized', detail: 'expired' })], async ({ firn }) => {
    const { status, stdout } = await firn(['doctor', '--no-json'])
    assert.equal(status, 5)
    assert.match(stdout, /✖ token {3}refused: expired/)
  })
  await play([answer(200, '<html>')], async ({ firn }) => {
    const { status, stdout } = await firn(['doctor'])
    assert.equal(status, 7)
    assert.equal((lines(stdout) as { findings: { state: string }[] }[])[0]?.findings[0]?.state, 'failed')
  })
})
