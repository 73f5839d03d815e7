// firn doctor: is the server there, are the clocks alike, what may the token, which limits hold?

import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

import { parseProblem } from '../src/problem.js'
import { parseBase } from '../src/url.js'
import { count, size, type Context } from './context.js'
import { EXIT, Exit, errorMembers } from './exit.js'
import { claimsOf, expiryOf } from './token.js'

/** What one check found. */
interface Finding {
  readonly check: 'server' | 'clock' | 'token' | 'write' | 'limits'
  readonly state: 'ok' | 'warning' | 'failed'
  readonly detail: string
  /** What the exit status becomes, if this failed. */
  readonly exit?: number
}

/** Tokens are checked with a minute of leeway. */
const SKEW_MS_MAX = 60_000
const SKEW_MS_WARNING = 10_000
const TIMEOUT_MS = 15_000

/** A path of which no artifact can be: asked with a token it says whether that one verifies. */
const PROBE = '/$.content/doctor/doctor/doctor.md'

export async function doctor(context: Context): Promise<void> {
  const findings: Finding[] = []
  const add = (found: readonly Finding[]): void => {
    for (const finding of found) {
      findings.push(finding)
      if (!context.isJson) process.stdout.write(`${line(context, finding)}\n`)
    }
  }
  const base = parseBase(context.baseUrl)
  const server = await checkServer(base)
  add(server.findings)
  if (server.isReachable) {
    const token = await checkToken(base, context.token)
    add(token.findings)
    if (token.bearer !== undefined) add(await checkWrites(base, token.bearer))
  }
  if (context.isJson) process.stdout.write(`${JSON.stringify({ url: base, findings })}\n`)
  const failed = findings.find(({ state }) => state === 'failed')
  if (failed !== undefined) throw new Exit(failed.exit ?? EXIT.unavailable)
}

function line({ colors }: Context, { check, state, detail }: Finding): string {
  const mark = { ok: colors.green('✔'), warning: colors.yellow('!'), failed: colors.red('✖') }[state]
  return `${mark} ${check.padEnd(7)} ${detail}`
}

async function checkServer(base: string): Promise<{ readonly isReachable: boolean; readonly findings: readonly Finding[] }> {
  const started = Date.now()
  let response: Response
  try {
    response = await fetch(base + PROBE, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    await response.arrayBuffer()
  } catch (error) {
    const detail = `${base}: ${String(errorMembers(error)['message'])}`
    return { isReachable: false, findings: [{ check: 'server', state: 'failed', detail, exit: EXIT.unavailable }] }
  }
  const ended = Date.now()
  const isFirn = response.headers.has('x-request-id') && response.status === 404
  if (!isFirn) {
    const detail = `${base} answers ${response.status}, and not as Firn does`
    return { isReachable: false, findings: [{ check: 'server', state: 'failed', detail, exit: EXIT.unavailable }] }
  }
  const reached: Finding = { check: 'server', state: 'ok', detail: `${base} answers in ${ended - started} ms` }
  return { isReachable: true, findings: [reached, clockFinding(response.headers.get('date'), (started + ended) / 2)] }
}

function clockFinding(date: string | null, nowMs: number): Finding {
  const server = Date.parse(date ?? '')
  if (Number.isNaN(server)) return { check: 'clock', state: 'warning', detail: 'the answer has no Date to compare with' }
  // The header has whole seconds.
  const skew = Math.round((server + 500 - nowMs) / 1000)
  const detail = Math.abs(skew) <= 1 ? 'the same as the server\'s' : `the server is ${Math.abs(skew)} s ${skew > 0 ? 'ahead' : 'behind'}`
  if (Math.abs(skew) * 1000 > SKEW_MS_MAX) return { check: 'clock', state: 'failed', detail: `${detail}; tokens made here will be refused`, exit: EXIT.forbidden }
  return { check: 'clock', state: Math.abs(skew) * 1000 > SKEW_MS_WARNING ? 'warning' : 'ok', detail }
}

async function checkToken(base: string, token: string | undefined): Promise<{ readonly bearer?: string; readonly findings: readonly Finding[] }> {
  if (token === undefined) {
    return { findings: [{ check: 'token', state: 'warning', detail: 'none is set: public artifacts can be read, nothing written' }] }
  }
  const claims = claimsOf(token)
  const expiry = claims && expiryOf(claims, Date.now())
  const headers = { authorization: `Bearer ${token}` }
  const response = await fetch(base + PROBE, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) })
  const problem = parseProblem(await response.text())
  if (response.status !== 404) {
    const detail = [`refused: ${problem?.detail ?? response.status}`, expiry !== undefined && expiry.seconds <= 0 ? expiry.text : ''].filter(Boolean).join('; ')
    return { findings: [{ check: 'token', state: 'failed', detail, exit: EXIT.forbidden }] }
  }
  const says = ['sub', 'org', 'ns', 'scope'].flatMap((name) => {
    const value = claims?.[name]
    return value === undefined ? [] : [`${name} ${Array.isArray(value) ? value.join(',') : String(value)}`]
  })
  return { bearer: token, findings: [{ check: 'token', state: 'ok', detail: [...says, expiry?.text ?? 'without an end'].join(' · ') }] }
}

/** An empty write takes nothing; more bad lines than the limit, and a longer length than it, are refused with the limit. */
async function checkWrites(base: string, token: string): Promise<readonly Finding[]> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' }
  const post = async (body: string): Promise<{ status: number; text: string }> => {
    const response = await fetch(`${base}/$.artifacts`, { method: 'POST', headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) })
    return { status: response.status, text: await response.text() }
  }
  const empty = await post('')
  if (empty.status !== 200) {
    const problem = parseProblem(empty.text)
    const detail = `may not write: ${problem?.detail ?? problem?.title ?? empty.status}`
    // A token for reading alone is as it should be.
    return [{ check: 'write', state: empty.status === 403 ? 'warning' : 'failed', detail, exit: EXIT.forbidden }]
  }
  const records = limitOf(await post('{}\n'.repeat(RECORDS_PROBED)))
  const bytes = limitOf(await declareLength(base, headers, BYTES_PROBED))
  const detail = [
    records === undefined ? undefined : `${count(records)} records a request`,
    // A length is looked at before the namespace is known; its own limit may be smaller.
    bytes === undefined ? undefined : `${size(bytes)} of any request`,
  ].filter((part) => part !== undefined)
  return [
    { check: 'write', state: 'ok', detail: 'allowed' },
    detail.length === 0
      ? { check: 'limits', state: 'warning', detail: 'the server does not say' }
      : { check: 'limits', state: 'ok', detail: detail.join(', ') },
  ]
}

const RECORDS_PROBED = 20_000
const BYTES_PROBED = 1_000_000_000_000

function limitOf({ status, text }: { readonly status: number; readonly text: string }): number | undefined {
  return status === 413 ? parseProblem(text)?.limit : undefined
}

/** Says a length that nobody takes, and sends nothing of it: `fetch` cannot. */
function declareLength(base: string, headers: Readonly<Record<string, string>>, lenBytes: number): Promise<{ status: number; text: string }> {
  const send = base.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise((resolve) => {
    const options = { method: 'POST', headers: { ...headers, 'content-length': lenBytes }, timeout: TIMEOUT_MS, agent: false }
    const request = send(`${base}/$.artifacts`, options, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => (text += piece))
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text })
        request.destroy()
      })
    })
    const give = (): void => resolve({ status: 0, text: '' })
    request.on('error', give)
    request.on('timeout', () => request.destroy())
    request.flushHeaders()
  })
}
