//! Follows the lake's tables for their ledgers: on a schedule, and on a laptop after every flush.

use firn_api::{
    follow::{
        FollowConfig, Lake, REQUEST_COUNT_MAX, Report, TableReport, Tell, follow_tables,
        ports::{CallError, FollowStore, Ledgers, LedgersPage, Put},
    },
    tables::{
        catalog::{CatalogConfig, CatalogCache, RestCatalog, Transport},
        config::TableName,
        pointers::{BucketPointers, ConfiguredPointers},
    },
};
use firn_platform::{CatalogFetch, R2Read, Setting, Timer, WallClock};
use firn_store::{
    read::{ObjectBytes, ObjectRead, StoreError, StoreErrorKind},
    retry::RetryRead,
};
use firn_types::object::{ByteRange, ObjectKey};
use js_sys::Uint8Array;
use worker::{Env, Error, Method, Request, RequestInit, Result, console_error, console_log, kv::KvStore};

use crate::bucket::{LakeBucket, Put as Stored};
