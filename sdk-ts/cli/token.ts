// firn token: what the current token says, and tokens for development.

import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'

import type { Context } from './context.js'
import { EXIT, Exit, UsageError } from './exit.js'

/** What a token is made of. */
export interface MintOptions {
  readonly ns: readonly string[]
  readonly sub?: string
  readonly org?: string
  readonly scope: readonly string[]
  readonly role?: readonly string[]
  readonly ttl: number
  readonly issuer: string
  readonly audience: string
  readonly kid?: string
  readonly secretFile?: string
}

const UNITS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3_600, d: 86_400 }

/** `90`, `15m`, `1h`, `7d` in seconds. */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit = ''] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? []
  return amount === undefined ? undefined : Number(amount) * (UNITS[unit] ?? 1)
}

/** A JWT signed with HS256, as a development system takes it. */
export function mint({ ns, sub, org, scope, role, ttl, issuer, audience, kid }: MintOptions, secret: string, nowMs: number): string {
  const now = Math.floor(nowMs / 1000)
  const claims = { iss: issuer, aud: audience, iat: now, exp: now + ttl, ns, sub, org, roles: role, scope: scope.join(' ') }
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode({ alg: 'HS256', typ: 'JWT', kid })}.${encode(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

/** The claims of a token, of which nothing is verified; `undefined` if it is no JWT. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> | undefined {
  const [, payload, signature] = token.split('.')
  if (payload === undefined || signature === undefined) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return typeof claims === 'object' && claims !== null ? { ...claims } : undefined
  } catch {
    return undefined
  }
}

/** Prints a token, and nothing beside it. */
export function printMinted(context: Context, options: MintOptions): void {
  const secret = options.secretFile === undefined ? process.env['FIRN_HS256_SECRET'] : readFileSync(options.secretFile, 'utf8')
  if (!secret?.trim()) throw new UsageError('the secret must be given: --secret-file or FIRN_HS256_SECRET')
  const token = mint(options, secret.trim(), Date.now())
  process.stdout.write(context.isJsonAsked ? `${JSON.stringify({ token, claims: claimsOf(token) })}\n` : `${token}\n`)
}

/** Prints what the current token claims, never the token. */
export function printClaims(context: Context): void {
  const { token, colors } = context
  if (token === undefined) throw new UsageError('there is no token: set FIRN_TOKEN, or give --token-file')
  const claims = claimsOf(token)
  if (claims === undefined) throw new UsageError('the token is no JWT')
  const expiry = expiryOf(claims, Date.now())
  context.print({ claims, expiresInSeconds: expiry?.seconds }, () =>
    [
      ...Object.entries(claims).map(([name, value]) => `${name.padEnd(6)} ${typeof value === 'string' ? value : JSON.stringify(value)}`),
      ...(expiry === undefined ? [] : [expiry.seconds > 0 ? expiry.text : colors.red(expiry.text)]),
      colors.dim('not verified: only the server has the keys'),
    ].join('\n'),
  )
  if (expiry !== undefined && expiry.seconds <= 0) throw new Exit(EXIT.forbidden)
}

/** When a token ends. */
export function expiryOf(claims: Readonly<Record<string, unknown>>, nowMs: number): { seconds: number; text: string } | undefined {
  const { exp } = claims
  if (typeof exp !== 'number') return undefined
  const seconds = Math.round(exp - nowMs / 1000)
  const span = Math.abs(seconds)
  const amount = span < 120 ? `${span} s` : span < 7_200 ? `${Math.round(span / 60)} min` : span < 172_800 ? `${Math.round(span / 3_600)} h` : `${Math.round(span / 86_400)} days`
  return { seconds, text: seconds > 0 ? `valid for ${amount}` : `expired ${amount} ago` }
}
