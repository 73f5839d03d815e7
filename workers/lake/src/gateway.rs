//! Lets PyIceberg and DuckDB read the local tables in place: the Iceberg REST catalog below `/v1/`, and the bucket's
//! objects as S3 gives them, path-style. Read-only, without signatures, on the development origin alone.

use bytes::Bytes;
use firn_api::http::{RequestHead, Response as Answer};
use firn_iceberg::pointer::{pointer_prefix, table_of_pointer};
use firn_lake::{
    catalog::{self, CatalogAnswer, CatalogError, ObjectAccess, Resource, Wanted},
    s3::{self, ListRequest, Listing, ObjectHead, RangeSpec, S3Error, S3Request},
};
use firn_platform::send_response;
use firn_types::{object::ObjectKey, time::Micros};
use worker::{Env, Error, Range, Response, Result};

use crate::{
    bucket::LakeBucket,
    flush::find_table,
    streams::{BUCKET, NAMESPACE, table_config},
};

/// Answers the catalog's and the bucket's paths; `None` elsewhere.
pub(crate) async fn route(head: &RequestHead, env: &Env) -> Result<Option<Response>> {
    let bucket = LakeBucket::open(env)?;
    let answer = if head.path.starts_with("/v1/") {
        catalog_answer(head, &bucket).await?
    } else if head.path.strip_prefix('/').is_some_and(|path| path == BUCKET || path.starts_with("firn-lake/"))
    {
        s3_answer(head, &bucket).await?
    } else {
        return Ok(None);
    };
    Ok(Some(send_response(&answer, head).into()))
}

async fn catalog_answer(head: &RequestHead, bucket: &LakeBucket) -> Result<Answer> {
    let answer = match catalog::route(&head.method, &head.path, &head.query) {
        Err(error) => error.to_answer(),
        Ok((wanted, resource)) => match read_resource(head, bucket, resource).await? {
            Ok(_) if wanted == Wanted::Existence => catalog::exists(),
            Ok(answer) => answer,
            Err(error) => error.to_answer(),
        },
    };
    let response = Answer::new(answer.status).with("Cache-Control", "no-store");
    Ok(match answer.body {
        None => response,
        Some(body) => response.with("Content-Type", "application/json").with_body(body),
    })
}

async fn read_resource(
    head: &RequestHead,
    bucket: &LakeBucket,
    resource: Resource,
) -> Result<core::result::Result<CatalogAnswer, CatalogError>> {
    let known = |namespace: &str| namespace == NAMESPACE;
    Ok(match resource {
        Resource::Config => Ok(catalog::render_config()),
        Resource::Namespaces { parent } => catalog::render_namespaces(parent.as_deref(), &[NAMESPACE]),
        Resource::Namespace(namespace) if known(&namespace) => Ok(catalog::render_namespace(&namespace)),
        Resource::Tables(namespace) if known(&namespace) => {
            let tables = list_tables(bucket).await?;
            let names: Vec<&str> = tables.iter().map(String::as_str).collect();
            Ok(catalog::render_tables(&namespace, &names))
        }
        Resource::Table { namespace, table } if known(&namespace) => {
            let Some(found) = find_table(bucket, &table_config(&table)).await? else {
                return Ok(Err(CatalogError::NoSuchTable));
            };
            let endpoint = format!("http://{}", head.header("host").unwrap_or("localhost"));
            let access = ObjectAccess {
                endpoint: &endpoint,
                region: "auto",
                access_key_id: "local",
                secret_access_key: "local",
            };
            catalog::render_table(&found.metadata_location, &found.metadata_json, &access)
        }
        _ => Err(CatalogError::NoSuchNamespace),
    })
}

async fn list_tables(bucket: &LakeBucket) -> Result<Vec<String>> {
    let objects = bucket.0.list().prefix(pointer_prefix(NAMESPACE)).execute().await?.objects();
    let name = |key: String| table_of_pointer(NAMESPACE, &key).map(str::to_owned);
    Ok(objects.iter().filter_map(|object| name(object.key())).collect())
}

async fn s3_answer(head: &RequestHead, bucket: &LakeBucket) -> Result<Answer> {
    let asked = s3::parse_request(&head.method, BUCKET, &head.path, &head.query, head.header("range"));
    let answered = match asked {
        Err(error) => Err(error),
        Ok(S3Request::Head { key, range }) => {
            let answer = read_object(bucket, &key, range, Wanted::Existence).await?;
            // The length is the head's own; the runtime must not count an empty body instead.
            answer.map(|answer| Answer { body: Bytes::new(), ..answer })
        }
        Ok(S3Request::Get { key, range }) => read_object(bucket, &key, range, Wanted::Body).await?,
        Ok(S3Request::HeadBucket) => Ok(Answer::new(200)),
        Ok(S3Request::List(request)) => Ok(list_objects(bucket, &request).await?),
    };
    Ok(answered.unwrap_or_else(|error| {
        let mut answer = Answer::new(error.status()).with("Content-Type", "application/xml");
        answer.headers.extend(error.headers());
        match head.method.as_str() {
            "HEAD" => answer,
            _ => answer.with_body(error.render(&head.path, &head.request_id)),
        }
    }))
}

async fn read_object(
    bucket: &LakeBucket,
    key: &ObjectKey,
    spec: Option<RangeSpec>,
    wanted: Wanted,
) -> Result<core::result::Result<Answer, S3Error>> {
    let Some(object) = bucket.0.head(key.as_str()).await? else { return Ok(Err(S3Error::NoSuchKey)) };
    let described = describe(&object);
    let range = match spec.map(|spec| spec.resolve(described.len_bytes)).transpose() {
        Ok(range) => range,
        Err(error) => return Ok(Err(error)),
    };
    let head = s3::object_head(&described, range.as_ref());
    let mut answer = Answer { status: head.status, headers: head.headers, body: Bytes::new() };
    if wanted == Wanted::Body {
        let get = bucket.0.get(key.as_str());
        let get = match range {
            Some(range) => {
                get.range(Range::OffsetWithLength { offset: range.start, length: range.end - range.start })
            }
            None => get,
        };
        let found = get.execute().await?.ok_or_else(|| Error::RustError(format!("{key} vanished")))?;
        if let Some(body) = found.body() {
            answer.body = body.bytes().await?.into();
        }
    }
    Ok(Ok(answer))
}

async fn list_objects(bucket: &LakeBucket, request: &ListRequest) -> Result<Answer> {
    let mut list = bucket.0.list().prefix(request.prefix.clone()).limit(u32::from(request.count_max));
    if let Some(delimiter) = &request.delimiter {
        list = list.delimiter(delimiter.clone());
    }
    if let Some(token) = &request.continuation_token {
        list = list.cursor(token.clone());
    }
    if let Some(after) = &request.start_after {
        list = list.start_after(after.clone());
    }
    let page = list.execute().await?;
    let listing = Listing {
        objects: page.objects().iter().map(describe).collect(),
        common_prefixes: page.delimited_prefixes(),
        next_token: if page.truncated() { page.cursor() } else { None },
    };
    let body = s3::render_listing(BUCKET, request, &listing);
    Ok(Answer::new(200).with("Content-Type", "application/xml").with_body(body))
}

fn describe(object: &worker::Object) -> ObjectHead {
    let millis = i64::try_from(object.uploaded().as_millis()).unwrap_or(0);
    ObjectHead {
        key: ObjectKey::new(&object.key()),
        len_bytes: object.size(),
        etag: object.etag(),
        last_modified: Micros::from_millis(millis),
    }
}
