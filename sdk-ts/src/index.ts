export { Firn } from './client.js'
export type { Call, DeleteAnswer, DeleteOptions, FirnOptions, PublishOptions } from './client.js'
export type { WriteOptions } from './write.js'
export type { GetManyOptions, ManyContent, ManyFound, ManyMissing } from './batch.js'
export type { ArtifactInfo, ListOptions, Page, PageOptions, Pages, VersionInfo } from './pages.js'
export type { CacheOptions } from './cache.js'
export type { IngestAnswer } from './answer.js'
export type { ArtifactRecord, Mode, Visibility } from './record.js'
export type { Limits, RecordSource } from './lines.js'
export { PutManyError } from './many.js'
export type { PutManyOptions, PutManyProgress, PutManyResult, RecordError } from './many.js'
export type { Bodies, ConditionalContent, Content, ContentHead, GetOptions, Unchanged } from './content.js'
export type { Answered, CallOptions, Clock, TokenSource, TransportOptions } from './transport.js'
export { ERROR_STATUS, LINE_ERROR_RETRYABLE } from './codes.js'
export type { ErrorCode, LineErrorCode } from './codes.js'
export { parseProblem } from './problem.js'
export type { LineError, Problem } from './problem.js'
export {
  BadRequestError,
  ConflictError,
  ConnectionError,
  FirnError,
  ForbiddenError,
  GoneError,
  InvalidAnswerError,
  InvalidInputError,
  NotFoundError,
  PreconditionFailedError,
  RateLimitedError,
  ResponseError,
  ServerError,
  TimeoutError,
  UnauthorizedError,
  isFirnError,
  isResponseError,
  responseError,
} from './errors.js'
export type { FirnErrors, ResponseErrorOptions } from './errors.js'
export { EXTENSIONS, contentUrl } from './url.js'
export type { ArtifactKey, ArtifactType, ContentAddress, Extension, ReadOptions } from './url.js'
