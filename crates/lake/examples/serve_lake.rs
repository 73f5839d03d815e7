//! Serves a folder that `write_table` wrote: the read-only catalog and the S3-compatible read path over plain HTTP/1.1,
//! one connection after the other. For tests: it drives the same functions as the development origin.
//!
//! ```text
//! serve_lake FOLDER BUCKET [--mount PATH]
//! ```
//! Listens on a free port of the loopback interface and prints `ready http://127.0.0.1:PORT`. The catalog lies at
//! `PATH/v1/…`, objects at `PATH/s3/BUCKET/KEY`; PATH is empty if not given. Locations must start with `s3://BUCKET`.

use std::{
    error::Error,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
};

use firn_iceberg::pointer::{Pointer, pointer_key, pointer_prefix, table_of_pointer};
use firn_lake::{
    catalog::{self, CatalogAnswer, CatalogError, ObjectAccess, Resource, Wanted},
    s3::{self, ListRequest, Listing, ObjectHead, S3Error, S3Request},
};
use firn_types::{object::ObjectKey, time::Micros};

type Outcome<T> = Result<T, Box<dyn Error>>;

const NAMESPACE: &str = "firn";

/// Longest request head that is read.
const HEAD_LEN_BYTES_MAX: u64 = 64 * 1024;

struct Server {
    folder: PathBuf,
    bucket: String,
    mount: String,
    origin: String,
}

struct Request {
    method: String,
    path: String,
    query: String,
    range: Option<String>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let usage = "serve_lake FOLDER BUCKET [--mount PATH]";
    let folder = PathBuf::from(args.next().ok_or(usage)?).canonicalize()?;
    let bucket = args.next().ok_or(usage)?;
    let mount = match (args.next().as_deref(), args.next()) {
        (None, _) => String::new(),
        (Some("--mount"), Some(path)) => path,
        _ => return Err(usage.into()),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let origin = format!("http://{}", listener.local_addr()?);
    println!("ready {origin}");
    let server = Server { folder, bucket, mount, origin };
    for connection in listener.incoming() {
        // A client that goes away in the middle is its own affair.
        if let Err(error) = server.answer_connection(&connection?) {
            eprintln!("connection: {error}");
        }
    }
    Ok(())
}

impl Server {
    fn answer_connection(&self, mut connection: &TcpStream) -> Outcome<()> {
        let Some(request) = read_request(connection)? else { return Ok(()) };
        let answer = self.answer(&request);
        eprintln!(
            "{} {}?{} {:?} -> {}",
            request.method, request.path, request.query, request.range, answer.status
        );
        let mut head = format!("HTTP/1.1 {} -\r\nConnection: close\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if !answer.headers.iter().any(|(name, _)| *name == "Content-Length") && answer.status != 204 {
            head.extend(["Content-Length: ", &answer.body.len().to_string(), "\r\n"]);
        }
        head.push_str("\r\n");
        connection.write_all(head.as_bytes())?;
        if request.method != "HEAD" {
            connection.write_all(&answer.body)?;
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Answer {
        // Clients encode a dollar sign or leave it as it is.
        let path = request.path.replacen("/%24", "/$", 1);
        let Some(path) = path.strip_prefix(&self.mount) else {
            return Answer { status: 404, headers: Vec::new(), body: Vec::new() };
        };
        if let Some(path) = path.strip_prefix("/s3") {
            return self.answer_s3(request, path).unwrap_or_else(|error| {
                let mut headers = vec![("Content-Type", "application/xml".to_owned())];
                headers.extend(error.headers());
                Answer { status: error.status(), headers, body: error.render(path, "-").into_bytes() }
            });
        }
        let CatalogAnswer { status, body } =
            self.answer_catalog(request, path).unwrap_or_else(CatalogError::to_answer);
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Answer { status, headers, body: body.unwrap_or_default().into_bytes() }
    }

    fn answer_catalog(&self, request: &Request, path: &str) -> Result<CatalogAnswer, CatalogError> {
        let (wanted, resource) = catalog::route(&request.method, path, &request.query)?;
        let known =
            |namespace: &str| (namespace == NAMESPACE).then_some(()).ok_or(CatalogError::NoSuchNamespace);
        let answer = match resource {
            Resource::Config => catalog::render_config(),
            Resource::Namespaces { parent } => catalog::render_namespaces(parent.as_deref(), &[NAMESPACE])?,
            Resource::Namespace(namespace) => {
                known(&namespace)?;
                catalog::render_namespace(&namespace)
            }
            Resource::Tables(namespace) => {
                known(&namespace)?;
                let keys = self.keys(&pointer_prefix(&namespace));
                let tables: Vec<&str> =
                    keys.iter().filter_map(|key| table_of_pointer(&namespace, key)).collect();
                catalog::render_tables(&namespace, &tables)
            }
            Resource::Table { namespace, table } => {
                known(&namespace)?;
                let pointer =
                    self.read(pointer_key(&namespace, &table).as_str()).ok_or(CatalogError::NoSuchTable)?;
                let pointer = Pointer::parse(&pointer).ok_or(CatalogError::Corrupt)?;
                let key = pointer.metadata_location.strip_prefix(&format!("s3://{}/", self.bucket));
                let metadata = key.and_then(|key| self.read(key)).ok_or(CatalogError::Corrupt)?;
                let access = ObjectAccess {
                    endpoint: &format!("{}{}/s3", self.origin, self.mount),
                    region: "auto",
                    access_key_id: "firn",
                    secret_access_key: "firn-development",
                };
                catalog::render_table(&pointer.metadata_location, &metadata, &access)?
            }
        };
        Ok(if wanted == Wanted::Existence { catalog::exists() } else { answer })
    }

    fn answer_s3(&self, request: &Request, path: &str) -> Result<Answer, S3Error> {
        let range = request.range.as_deref();
        let (key, range) =
            match s3::parse_request(&request.method, &self.bucket, path, &request.query, range)? {
                S3Request::Get { key, range } | S3Request::Head { key, range } => (key, range),
                S3Request::HeadBucket => {
                    return Ok(Answer { status: 200, headers: Vec::new(), body: Vec::new() });
                }
                S3Request::List(list) => return Ok(self.answer_list(&list)),
            };
        let mut body = self.read(key.as_str()).ok_or(S3Error::NoSuchKey)?;
        let object = object_of(key.as_str(), body.len() as u64);
        let range = range.map(|range| range.resolve(object.len_bytes)).transpose()?;
        let head = s3::object_head(&object, range.as_ref());
        if let Some(range) = range {
            let index = |offset: u64| usize::try_from(offset).map_err(|_| S3Error::Internal);
            body.truncate(index(range.end)?);
            body.drain(..index(range.start)?);
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn answer_list(&self, list: &ListRequest) -> Answer {
        let keys = self.keys(&list.prefix);
        let objects = keys.iter().map(|key| {
            let len_bytes = fs::metadata(self.folder.join(key)).map_or(0, |metadata| metadata.len());
            object_of(key, len_bytes)
        });
        let listing = Listing { objects: objects.collect(), ..Listing::default() };
        let body = s3::render_listing(&self.bucket, list, &listing).into_bytes();
        Answer { status: 200, headers: vec![("Content-Type", "application/xml".to_owned())], body }
    }

    #[expect(clippy::disallowed_methods, reason = "a native tool: the folder is its bucket")]
    fn read(&self, key: &str) -> Option<Vec<u8>> {
        let is_inside = key.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        is_inside.then(|| fs::read(self.folder.join(key)).ok())?
    }

    /// Keys with this prefix, sorted.
    fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        collect_keys(&self.folder, &self.folder, &mut keys);
        keys.retain(|key| key.starts_with(prefix));
        keys.sort();
        keys
    }
}

fn object_of(key: &str, len_bytes: u64) -> ObjectHead {
    ObjectHead { key: ObjectKey::new(key), len_bytes, etag: len_bytes.to_string(), last_modified: Micros(0) }
}

fn collect_keys(root: &Path, folder: &Path, keys: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect_keys(root, &path, keys);
        } else if let Some(key) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            keys.push(key.to_owned());
        }
    }
}

fn read_request(connection: &TcpStream) -> Outcome<Option<Request>> {
    let mut lines = BufReader::new(connection.take(HEAD_LEN_BYTES_MAX)).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = words.next().zip(words.next()).ok_or("no request line")?;
    let mut range = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.trim().to_owned());
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Ok(Some(Request { method, path: path.to_owned(), query: query.to_owned(), range }))
}
