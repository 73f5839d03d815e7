// A server that plays a script, one step for each request, and a clock whose time the test decides.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

import type { Clock } from '../src/transport.js'

export interface Received {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export type Step = (response: ServerResponse, request: Received) => void

export class Script {
  readonly received: Received[] = []
  readonly #steps: Step[]
  readonly #server = createServer((request, response) => void this.#play(request, response))

  private constructor(steps: readonly Step[]) {
    this.#steps = [...steps]
  }

  /** Runs `use` against a server that answers request n with step n; the last step serves all that follow. */
  static async run(steps: readonly Step[], use: (baseUrl: string, script: Script) => Promise<void>): Promise<void> {
    const script = new Script(steps)
    script.#server.listen(0, '127.0.0.1')
    await once(script.#server, 'listening')
    const address = script.#server.address()
    try {
      await use(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`, script)
    } finally {
      script.#server.closeAllConnections()
      script.#server.close()
    }
  }

  async #play(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    request.setEncoding('utf8')
    for await (const piece of request) body += piece
    const { method = '', url = '', headers } = request
    const received = { method, url, headers, body }
    this.received.push(received)
    const step = this.#steps.length > 1 ? this.#steps.shift() : this.#steps[0]
    step?.(response, received)
  }
}

export const answer =
  (status: number, body: string, headers: Record<string, string> = {}): Step =>
  (response) =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)

export const problem = (status: number, members: object, headers: Record<string, string> = {}): Step =>
  answer(status, JSON.stringify({ type: 'about:blank', ...members }), { 'content-type': 'application/problem+json', ...headers })

/** All records of the request are taken. */
export const taken: Step = (response, request) =>
  answer(200, ingestAnswer(request.body.split('\n').length - 1))(response, request)

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
export const resetMidBody: Step = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' })
  response.write('{"accepted":', () => response.destroy())
}

/** Waits are over at once and noted; timeouts pass only when the test says so. */
export class TestClock implements Clock {
  static readonly TIMEOUT_MS = 77_777
  readonly waits: number[] = []
  readonly #timeouts = new Set<() => void>()

  readonly random = (): number => 0.5

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
