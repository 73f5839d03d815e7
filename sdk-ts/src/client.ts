import type { IngestAnswer } from './answer.js'
import { getMany, type GetManyOptions, type ManyContent } from './batch.js'
import { checkType, contentHead, readBody } from './content.js'
import type { Bodies, ConditionalContent, Content, ContentHead, GetOptions } from './content.js'
import { ANSWER_BYTES_MAX, InvalidInputError, ResponseError, readJson } from './errors.js'
import { Body, checkLimits, encodeLine, recordsOf, type Limits, type RecordSource } from './lines.js'
import { putMany, type PutManyOptions, type PutManyResult } from './many.js'
import { pagesOf, parseArtifact, parseVersion } from './pages.js'
import type { ArtifactInfo, ListOptions, PageOptions, Pages, VersionInfo } from './pages.js'
import { string } from './problem.js'
import type { ArtifactRecord } from './record.js'
import { Transport, type Answered, type CallOptions, type TransportOptions } from './transport.js'
import { contentUrl, keyUrl, parseBase, typeUrl } from './url.js'
import type { ArtifactKey, ArtifactType, ContentAddress, ReadOptions } from './url.js'
import { makeKey, writeLines, type WriteOptions } from './write.js'

/** What a client is made of. */
export interface FirnOptions extends TransportOptions {
  /** Where the server lies, as `https://firn.example`. */
  readonly baseUrl: string | URL
  /** Whether records are sent compressed where the runtime can; `true` where it is left out. */
  readonly gzip?: boolean | undefined
}

/** A call: a promise of its data, which can also give the answer. */
export interface Call<T> extends Promise<T> {
  /** The data with the answer it came from, for its status and headers; its body has been read. */
  withResponse(): Promise<Answered<T>>
}

/** How a publish is written. */
export interface PublishOptions extends WriteOptions<'preview' | 'build'>, Limits {}

/** How an artifact is deleted. */
export interface DeleteOptions extends CallOptions {
  /** The version that must be current: a `version`, or `*` for any. */
  readonly ifMatch?: string | undefined
  /** As of a write. */
  readonly idempotencyKey?: string | undefined
}

/** What a deletion came to. */
export interface DeleteAnswer {
  /** The tombstone's version, where the server says it. */
  readonly version: string | undefined
  readonly requestId: string | undefined
}

/**
 * A client of one server. It holds no connection, and no state but the cache if you ask for one; one serves a whole application.
 *
 * Every call rejects with a `FirnError`, or with the signal's reason where the caller aborted it.
 */
export class Firn {
  readonly #baseUrl: string
  readonly #isGzip: boolean
  readonly #transport: Transport

  /** @throws InvalidInputError if an option is not valid */
  constructor(options: FirnOptions) {
    this.#baseUrl = parseBase(options.baseUrl)
    this.#isGzip = options.gzip ?? true
    this.#transport = new Transport(options)
  }

  /** The URL of a representation, for HTML or an import map. */
  url(address: ContentAddress, options?: ReadOptions): string {
    return contentUrl(this.#baseUrl, address, options)
  }

  /** Writes one record. Rejects if it was not taken; the error then has `line`, `field` and `errors`. */
  put(record: ArtifactRecord, options: WriteOptions = {}): Call<IngestAnswer> {
    return call(async () => this.#writeAll(encodeBody([record]), options))
  }

  /**
   * Writes all records of one namespace in one request, or none: rejects if any was not taken.
   * They are held in memory; more than the limits is refused before anything is sent.
   */
  publish(records: RecordSource, options: PublishOptions = {}): Call<IngestAnswer> {
    return call(async () => {
      const body = new Body()
      const { recordsPerRequest, requestLenBytes } = checkLimits(options)
      for await (const record of recordsOf(records, options.signal)) {
        body.add(record, encodeLine(record))
        if (body.records.length > recordsPerRequest || body.lenBytes > requestLenBytes) {
          throw new InvalidInputError('records', `must be at most ${recordsPerRequest}, and ${requestLenBytes} bytes of NDJSON`)
        }
      }
      // Not left to the namespace's default, which could be bulk.
      return this.#writeAll(body, { ...options, mode: options.mode ?? 'build' })
    })
  }

  /**
   * Writes any number of records, in as many requests as the limits ask for, one after the other. A rejected record does
   * not end it: it is in the result's `errors`. In preview and build one bad record rejects all of its request.
   *
   * Holds the records of one request in memory. Records of one namespace should stand together: a request has one.
   *
   * @throws PutManyError if a request failed for another reason than its records, or the source did
   */
  async putMany<R extends ArtifactRecord>(records: RecordSource<R>, options: PutManyOptions = {}): Promise<PutManyResult<R>> {
    return putMany(records, options, options.idempotencyKey ?? makeKey(), async (body, idempotencyKey) => {
      const { data } = await this.#write(body, { ...options, idempotencyKey })
      return data
    })
  }

  /** Reads a representation, as text where `as` is left out; with `ifNoneMatch` it may be unchanged. */
  get<A extends keyof Bodies = 'text'>(
    address: ContentAddress,
    options: GetOptions<A> & { readonly ifNoneMatch: string },
  ): Call<ConditionalContent<Bodies[A]>>
  get<A extends keyof Bodies = 'text'>(
    address: ContentAddress,
    options?: GetOptions<A> & { readonly ifNoneMatch?: undefined },
  ): Call<Content<Bodies[A]>>
  get(address: ContentAddress, options: GetOptions = {}): Call<ConditionalContent<unknown>> {
    const { as = 'text', ifNoneMatch } = options
    return call(async () =>
      this.#transport.send<ConditionalContent<unknown>>(
        {
          method: 'GET',
          url: this.url(address, options),
          // What has its own copy, wants none, or takes it piece by piece, goes past the cache.
          ...(ifNoneMatch === undefined && as !== 'stream' && options.fresh !== true ? { cache: 'read' as const } : {}),
          ...(ifNoneMatch === undefined ? {} : { headers: { 'if-none-match': ifNoneMatch } }),
          takes: ({ ok, status }) => ok || (status === 304 && ifNoneMatch !== undefined),
          check: (response) => checkType(address.ext, response),
          read: async (response, attempt) => {
            const head = contentHead(response)
            // A server or a cache may also answer with the whole of it.
            if (ifNoneMatch !== undefined && (response.status === 304 || head.etag === ifNoneMatch)) {
              response.body?.cancel().catch(() => undefined)
              return { unchanged: true, etag: head.etag ?? ifNoneMatch }
            }
            return { ...head, unchanged: false, body: await readBody(as, response, attempt) }
          },
        },
        options,
      ),
    )
  }

  /** What the headers of a representation say. */
  head(address: ContentAddress, options: CallOptions & ReadOptions = {}): Call<ContentHead> {
    return call(async () => {
      const url = this.url(address, options)
      const check = (response: Response): void => checkType(address.ext, response)
      return this.#transport.send({ method: 'HEAD', url, takes: ({ ok }) => ok, check, read: contentHead }, options)
    })
  }

  /** Whether a representation can be read by this caller; what is deleted, expired or hidden does not exist. */
  exists(address: ContentAddress, options: CallOptions & ReadOptions = {}): Call<boolean> {
    return call(async () => {
      const url = this.url(address, options)
      const takes = ({ ok, status }: Response): boolean => ok || status === 404 || status === 410
      const check = (response: Response): void => checkType(address.ext, response)
      return this.#transport.send({ method: 'HEAD', url, takes, check, read: ({ ok }) => ok }, options)
    })
  }

  /**
   * Reads many representations, 100 in a request; each result says whether it was found. The results are in the order
   * asked, all in memory.
   */
  getMany<A extends 'text' | 'json' = 'text'>(
    addresses: Iterable<ContentAddress>,
    options?: GetManyOptions<A>,
  ): Promise<readonly ManyContent<Bodies[A]>[]>
  async getMany(addresses: Iterable<ContentAddress>, options: GetManyOptions = {}): Promise<readonly ManyContent<unknown>[]> {
    return getMany(this.#transport, this.#baseUrl, addresses, options)
  }

  /**
   * Deletes an artifact in all its representations: it is gone from the next read on. Rejects where it is gone already;
   * what the server does not know yet, it deletes all the same.
   */
  delete(key: ArtifactKey, options: DeleteOptions = {}): Call<DeleteAnswer> {
    return call(async () => {
      const { ifMatch, idempotencyKey = makeKey() } = options
      const tag = ifMatch === undefined || /^(\*|".*")$/.test(ifMatch) ? ifMatch : `"${ifMatch}"`
      const headers = { 'idempotency-key': idempotencyKey, ...(tag === undefined ? {} : { 'if-match': tag }) }
      const read = async (response: Response): Promise<DeleteAnswer> => {
        if (response.status === 204) return { version: undefined, requestId: response.headers.get('x-request-id') ?? undefined }
        const found = await readJson(response, ANSWER_BYTES_MAX)
        return { version: string(found.get('version')), requestId: string(found.get('requestId')) }
      }
      const url = keyUrl(this.#baseUrl, key)
      return this.#transport.send({ method: 'DELETE', url, headers, cache: 'expire', takes: ({ ok }) => ok, read }, options)
    })
  }

  /** The artifacts of a type that this caller may see listed, by id. Needs a server with the key index. */
  list(of: ArtifactType, options: ListOptions = {}): Pages<ArtifactInfo> {
    return pagesOf(this.#transport, typeUrl(this.#baseUrl, of), { prefix: options.prefix || undefined }, options, parseArtifact)
  }

  /** The versions of an artifact, newest first. Needs a server with the key index. */
  versions(key: ArtifactKey, options: PageOptions = {}): Pages<VersionInfo> {
    return pagesOf(this.#transport, keyUrl(this.#baseUrl, key), { versions: '' }, options, parseVersion)
  }

  async #writeAll(body: Body<ArtifactRecord>, options: WriteOptions): Promise<Answered<IngestAnswer>> {
    const answered = await this.#write(body.bytes(), options)
    const { accepted, requestId, errors } = answered.data
    if (accepted === body.records.length) return answered
    const detail = `${body.records.length - accepted} of ${body.records.length} records were not taken`
    throw new ResponseError(answered.response.status, { problem: { type: 'about:blank', detail, requestId, errors } })
  }

  #write(lines: Uint8Array<ArrayBuffer>, options: WriteOptions): Promise<Answered<IngestAnswer>> {
    return writeLines(this.#transport, this.#baseUrl, lines, { ...options, isGzip: this.#isGzip })
  }
}

function encodeBody(records: readonly ArtifactRecord[]): Body<ArtifactRecord> {
  const body = new Body()
  for (const record of records) body.add(record, encodeLine(record))
  return body
}

function call<T>(run: () => Promise<Answered<T>>): Call<T> {
  const answered = run()
  const data = answered.then((both) => both.data)
  const withResponse = (): Promise<Answered<T>> => {
    // Who asks for both gets the rejection there.
    data.catch(() => undefined)
    return answered
  }
  return Object.assign(data, { withResponse })
}
