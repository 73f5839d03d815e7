// A server that plays a script, one step for each request, and a clock whose time the test decides. The server runs in a
// process of its own (scripted-server.mjs), so that the same tests run wherever there is `fetch`.

import type { Clock } from '../src/transport.js'

/** Where the server listens; put here by who bundles the test. */
declare const FIRN_SCRIPTED: string

export interface Received {
  readonly method: string
  readonly url: string
  readonly headers: { readonly [name: string]: string | undefined }
  /** Decompressed. */
  readonly body: string
}

export type Headers = Readonly<Record<string, string>>

/** What the server does with one request. */
export type Step =
  | { readonly does: 'answer'; readonly status: number; readonly body: string; readonly headers: Headers }
  /** Answers a write of which all is taken. */
  | { readonly does: 'take' }
  /** Ends the connection before the answer. */
  | { readonly does: 'reset' }
  /** Ends the connection in the middle of the answer's body. */
  | { readonly does: 'reset mid-body' }
  /** Sends the head and the beginning of an answer, and then nothing. */
  | { readonly does: 'open'; readonly body: string }
  /** Never answers. */
  | { readonly does: 'wait' }

export class Script {
  readonly baseUrl: string
  readonly #control: string

  private constructor(id: string) {
    this.baseUrl = `${FIRN_SCRIPTED}/s/${id}`
    this.#control = `${FIRN_SCRIPTED}/control/${id}`
  }

  /** Runs `use` against a server that answers request n with step n; the last step serves all that follow. */
  static async run(steps: readonly Step[], use: (baseUrl: string, script: Script) => Promise<void>): Promise<void> {
    const made = await fetch(`${FIRN_SCRIPTED}/control`, { method: 'POST', body: JSON.stringify(steps) })
    const script = new Script(await made.text())
    try {
      await use(script.baseUrl, script)
    } finally {
      await fetch(script.#control, { method: 'DELETE' })
    }
  }

  /** The requests so far. */
  async received(): Promise<readonly Received[]> {
    return (await fetch(`${this.#control}/received`)).json() as Promise<readonly Received[]>
  }

  /** Resolves as soon as so many requests have come. */
  async arrived(count: number): Promise<void> {
    await (await fetch(`${this.#control}/arrived/${count}`)).text()
  }
}

export const answer = (status: number, body: string, headers: Headers = {}): Step => ({
  does: 'answer',
  status,
  body,
  // Browsers have a cache of their own.
  headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
})

export const problem = (status: number, members: object, headers: Headers = {}): Step =>
  answer(status, JSON.stringify({ type: 'about:blank', ...members }), { 'content-type': 'application/problem+json', ...headers })

/** All records of the request are taken. */
export const taken: Step = { does: 'take' }

export const ingestAnswer = (accepted: number, more: object = {}): string =>
  JSON.stringify({
    accepted,
    unchanged: 0,
    rejected: 0,
    chunks: 1,
    pipeline: 'artifacts_build',
    mode: 'build',
    estimatedAvailableAt: '2026-11-20T09:54:48.545000Z',
    errors: [],
    requestId: 'r-1',
    ...more,
  })

/** The connection ends in the middle of the body. */
export const resetMidBody: Step = { does: 'reset mid-body' }

/** Waits are over at once and noted; timeouts pass only when the test says so. */
export class TestClock implements Clock {
  static readonly TIMEOUT_MS = 77_777
  readonly waits: number[] = []
  readonly #timeouts = new Set<() => void>()
  nowMs = 1_000_000

  readonly random = (): number => 0.5

  readonly now = (): number => this.nowMs

  readonly after = (ms: number, run: () => void): (() => void) => {
    if (ms === TestClock.TIMEOUT_MS) {
      this.#timeouts.add(run)
      return () => void this.#timeouts.delete(run)
    }
    this.waits.push(ms)
    let isCancelled = false
    queueMicrotask(() => {
      if (!isCancelled) run()
    })
    return () => {
      isCancelled = true
    }
  }

  get pending(): number {
    return this.#timeouts.size
  }

  timeOut(): void {
    for (const run of [...this.#timeouts]) run()
  }
}
