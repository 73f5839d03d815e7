/**
 * The stable `code` of every error that a Firn server answers with, and its HTTP status.
 *
 * A server that is newer than this package may send a code that is not listed here.
 */
export const ERROR_STATUS = {
  invalid_path: 400,
  unknown_extension: 400,
  invalid_query: 400,
  invalid_mode: 400,
  invalid_idempotency_key: 400,
  invalid_header: 400,
  invalid_batch: 400,
  body_incomplete: 400,
  nothing_accepted: 400,
  unauthorized: 401,
  scope_missing: 403,
  namespace_forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  idempotency_in_progress: 409,
  version_conflict: 409,
  gone: 410,
  precondition_failed: 412,
  body_too_large: 413,
  too_many_records: 413,
  unsupported_media_type: 415,
  unsupported_encoding: 415,
  range_not_satisfiable: 416,
  idempotency_mismatch: 422,
  rate_limited: 429,
  quota_spent: 429,
  internal: 500,
  stream_failed: 502,
  storage_corrupt: 502,
  stream_unavailable: 503,
  storage_unavailable: 503,
  keys_unavailable: 503,
  configuration_invalid: 503,
} as const

/** A code that this package knows. */
export type ErrorCode = keyof typeof ERROR_STATUS

/** The stable `code` of every line error of a write, and whether the same line may be taken when it is sent again. */
export const LINE_ERROR_RETRYABLE = {
  invalid_utf8: false,
  invalid_json: false,
  not_an_object: false,
  duplicate_key: false,
  nesting_too_deep: false,
  number_out_of_range: false,
  lone_surrogate: false,
  unknown_field: false,
  server_set_field: false,
  missing_field: false,
  invalid_type: false,
  invalid_value: false,
  record_too_large: false,
  metadata_too_large: false,
  namespace_mismatch: false,
  claim_missing: false,
  if_version_in_bulk: false,
  limit_reached: false,
  not_sent: true,
  chunk_failed: true,
} as const

/** A code of a line that this package knows. */
export type LineErrorCode = keyof typeof LINE_ERROR_RETRYABLE
