/** What is kept of representations that were read. */
export interface CacheOptions {
  /** Most bytes of bodies; the ones read longest ago go first. 16 MiB where it is left out. */
  readonly maxBytes?: number | undefined
}

/** A request as the transport makes it. */
export interface CachedRequest extends RequestInit {
  readonly headers: Readonly<Record<string, string>>
}

/** Sends a request, to where it goes anyway. */
export type Send = (init: CachedRequest) => Promise<Response>

const BYTES_MAX = 16 * 1024 * 1024

interface Entry {
  readonly body: ArrayBuffer
  readonly headers: Headers
  freshUntilMs: number
}

/**
 * Answers of one client's reads, by RFC 9111 as a private cache: used while their `max-age` lasts, asked for again with
 * their ETag after it, never kept with `no-store`. Entries belong to the token that they were read with.
 */
export class Cache {
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>()
  readonly #bytesMax: number
  readonly #now: () => number
  #lenBytes = 0
  #writes = 0

  constructor({ maxBytes = BYTES_MAX }: CacheOptions, now: () => number) {
    this.#bytesMax = maxBytes
    this.#now = now
  }

  /** After a write of this client nothing is believed without asking: it may have changed what is held, or is being read. */
  expire(): void {
    this.#writes += 1
    for (const entry of this.#entries.values()) entry.freshUntilMs = 0
  }

  /** Answers a GET, of itself where it may. */
  async fetch(send: Send, url: string, init: CachedRequest): Promise<Response> {
    const key = `${init.headers['authorization'] ?? ''} ${url}`
    const held = this.#entries.get(key)
    if (held !== undefined && this.#now() < held.freshUntilMs) return this.#use(key, held)
    const writes = this.#writes
    const etag = held?.headers.get('etag')
    const response = await send(etag ? { ...init, headers: { ...init.headers, 'if-none-match': etag } } : init)
    const freshMs = freshnessMs(response.headers)
    // What was asked before a write may be what the write replaced.
    const freshUntilMs = writes === this.#writes ? this.#now() + (freshMs ?? 0) : 0
    if (held !== undefined && etag && response.status === 304) {
      held.freshUntilMs = freshUntilMs
      return this.#use(key, held)
    }
    this.#drop(key)
    const isUseful = freshMs !== undefined && (freshMs > 0 || response.headers.has('etag'))
    if (response.status !== 200 || !isUseful || Number(response.headers.get('content-length')) > this.#bytesMax) return response
    const entry = { body: await response.arrayBuffer(), headers: response.headers, freshUntilMs }
    if (entry.body.byteLength <= this.#bytesMax) {
      // Another call may have stored its own meanwhile.
      this.#drop(key)
      this.#entries.set(key, entry)
      this.#lenBytes += entry.body.byteLength
      for (const oldest of this.#entries.keys()) {
        if (this.#lenBytes <= this.#bytesMax) break
        this.#drop(oldest)
      }
    }
    return toResponse(entry)
  }

  #use(key: string, entry: Entry): Response {
    // Unless it was dropped while the server was asked.
    if (this.#entries.delete(key)) this.#entries.set(key, entry)
    return toResponse(entry)
  }

  #drop(key: string): void {
    this.#lenBytes -= this.#entries.get(key)?.body.byteLength ?? 0
    this.#entries.delete(key)
  }
}

function toResponse({ body, headers }: Entry): Response {
  return new Response(body, { headers })
}

/** How long an answer may be used without asking; `undefined` if it may not be kept. */
function freshnessMs(headers: Headers): number | undefined {
  const directives = (headers.get('cache-control') ?? 'no-store').toLowerCase().split(/\s*,\s*/)
  if (directives.includes('no-store')) return undefined
  const maxAge = directives.find((directive) => directive.startsWith('max-age='))?.slice(8)
  if (maxAge === undefined || !/^\d+$/.test(maxAge) || directives.includes('no-cache')) return 0
  const age = Number(headers.get('age') ?? 0)
  return Math.max(0, Number(maxAge) - (age || 0)) * 1000
}
