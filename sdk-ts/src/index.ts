export { ERROR_STATUS } from './codes.js'
export type { ErrorCode } from './codes.js'
export { parseProblem } from './problem.js'
export type { Problem } from './problem.js'
export {
  BadRequestError,
  ConflictError,
  ConnectionError,
  FirnError,
  ForbiddenError,
  GoneError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  ResponseError,
  ServerError,
  TimeoutError,
  UnauthorizedError,
  isFirnError,
  isResponseError,
  responseError,
} from './errors.js'
export { EXTENSIONS, contentUrl } from './url.js'
export type { ArtifactKey, ContentAddress, Extension, ReadOptions } from './url.js'
