//! What is sent.

use firn_s3::{
    S3Read,
    config::{Endpoint, S3Config},
};
use firn_store::{
    perform::{CONNECTIONS_MAX, perform},
    read::ObjectRead,
};
use firn_types::object::{ByteRange, ObjectKey};
use futures::executor::block_on;

use crate::{
    conformance::{config, peer},
    peer::Peer,
};

fn ordinary() -> ObjectKey {
    ObjectKey::new("conformance/a b/ordinary.bin")
}

#[test]
fn read_is_one_get_with_the_range() {
    let peer = peer();
    let store = S3Read::new(config(&peer));
    for (range, header) in [
        (ByteRange::Range(0..1), "bytes=0-0"),
        (ByteRange::Range(7..4_096), "bytes=7-4095"),
        (ByteRange::Tail { len_bytes: 8 }, "bytes=-8"),
        (ByteRange::Tail { len_bytes: 1 << 40 }, "bytes=-1099511627776"),
    ] {
        let read = block_on(store.read(&ordinary(), &range)).unwrap();
        assert_eq!(read.etag.as_deref(), Some("\"e1\""));
        let received = peer.take_received();
        let sent: Vec<_> = received.iter().map(|r| (r.method.as_str(), r.header("range"))).collect();
        assert_eq!(sent, [("GET", Some(header))]);
        assert_eq!(received[0].target, "/lake/conformance/a%20b/ordinary.bin");
    }
}

#[test]
fn anonymous_request_has_no_signature() {
    let peer = peer();
    let store = S3Read::new(S3Config { credentials: None, ..config(&peer) });
    block_on(store.read(&ordinary(), &ByteRange::Range(0..1))).unwrap();
    let headers = peer.take_received().remove(0).headers;
    assert!(
        headers.iter().all(|(name, _)| name != "authorization" && !name.starts_with("x-amz")),
        "{headers:?}"
    );
}

#[test]
fn key_arrives_as_it_is() {
    for (key, target) in [
        ("a=1/b", "/lake/a%3D1/b"),
        ("a%20b", "/lake/a%2520b"),
        ("a+b&c?d#e", "/lake/a%2Bb%26c%3Fd%23e"),
        ("a//b/../c/./d", "/lake/a//b/../c/./d"),
        ("ü/~-_.", "/lake/%C3%BC/~-_."),
    ] {
        let peer = Peer::start([(target.to_owned(), b"found".to_vec())]);
        let read = block_on(S3Read::new(config(&peer)).read(&ObjectKey::new(key), &ByteRange::Range(0..5)));
        assert_eq!(read.unwrap().bytes.as_ref(), b"found", "{key}");
    }
}

#[test]
fn without_a_bucket_the_key_begins_with_it() {
    let peer = peer();
    let store = S3Read::new(S3Config { bucket: None, ..config(&peer) });
    let key = ObjectKey::new("lake/conformance/a b/ordinary.bin");
    assert_eq!(block_on(store.read(&key, &ByteRange::Range(0..2))).unwrap().bytes.as_ref(), [0, 1]);
}

#[test]
fn wave_of_reads_gives_each_its_bytes() {
    let objects = (0..20u8).map(|i| (format!("/lake/{i}"), vec![i; 100]));
    let peer = Peer::start(objects);
    let asked: Vec<_> =
        (0..20).map(|i| (ObjectKey::new(&format!("{i}")), ByteRange::Tail { len_bytes: 3 })).collect();
    let given = block_on(perform(&S3Read::new(config(&peer)), &asked)).unwrap();
    assert!(given.iter().zip(0..).all(|(read, i)| read.bytes == vec![i; 3]));
    assert!(asked.len() > CONNECTIONS_MAX && peer.take_received().len() == asked.len());
}

#[test]
fn endpoints_are_urls_of_a_host() {
    for text in ["http://127.0.0.1:1", "https://a.r2.cloudflarestorage.com", "https://h:443/", "http://h/s3/"]
    {
        assert!(Endpoint::parse(text).is_ok(), "{text}");
    }
    for text in ["", "h:1", "/path", "ftp://h", "http://", "http://u:p@h", "http://h?q=1", "http://h:x"] {
        assert_eq!(Endpoint::parse(text).unwrap_err().found, text);
    }
    assert_eq!(Endpoint::parse("https://h:443/"), Endpoint::parse("https://h"));
    assert_ne!(Endpoint::parse("https://h:80"), Endpoint::parse("https://h"));
    assert_eq!(Endpoint::of_aws("auto"), Endpoint::parse("https://s3.us-east-1.amazonaws.com"));
    assert_eq!(Endpoint::of_aws("eu-west-1"), Endpoint::parse("https://s3.eu-west-1.amazonaws.com"));
}

#[test]
fn secrets_are_not_shown() {
    let peer = peer();
    let shown = format!("{:?}", S3Read::new(config(&peer)));
    assert!(shown.contains("AKEXAMPLE") && !shown.contains("not-a-secret"), "{shown}");
}
