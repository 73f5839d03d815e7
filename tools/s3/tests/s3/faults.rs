//! What a store can do wrong, and the kind that each becomes.

use std::time::Duration;

use firn_s3::{S3Read, config::S3Config};
use firn_store::read::{ObjectRead, StoreError, StoreErrorKind};
use firn_types::object::{ByteRange, ObjectKey};
use futures::executor::block_on;

use crate::{
    conformance::{config, peer},
    peer::{Behaviour, xml},
};

const ASKED: ByteRange = ByteRange::Range(10..20);

fn error_of(behaviour: Behaviour, timeout: Duration) -> StoreError {
    let peer = peer();
    peer.behave(behaviour);
    let store = S3Read::new(S3Config { timeout, ..config(&peer) });
    block_on(store.read(&ObjectKey::new("conformance/a b/ordinary.bin"), &ASKED)).unwrap_err()
}

#[track_caller]
fn check(answer: &[u8], kind: StoreErrorKind) {
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    let error = error_of(Behaviour::AnswerAndClose(answer.clone()), Duration::from_secs(30));
    assert_eq!(error.kind, kind, "{answer}: {error:?}");
}

#[test]
fn statuses_become_kinds() {
    for (status, code, kind) in [
        (404, "NoSuchKey", StoreErrorKind::NotFound),
        (404, "NoSuchBucket", StoreErrorKind::NotFound),
        (429, "TooManyRequests", StoreErrorKind::Throttled),
        (503, "SlowDown", StoreErrorKind::Throttled),
        (503, "ServiceUnavailable", StoreErrorKind::Unavailable),
        (500, "InternalError", StoreErrorKind::Unavailable),
        (403, "AccessDenied", StoreErrorKind::Unavailable),
        (301, "PermanentRedirect", StoreErrorKind::Unavailable),
        (408, "RequestTimeout", StoreErrorKind::Timeout),
        (504, "", StoreErrorKind::Timeout),
    ] {
        check(&xml(status, code, "why"), kind);
    }
}

#[test]
fn what_the_store_says_is_told() {
    let answer = String::from_utf8(xml(403, "SignatureDoesNotMatch", "Check your key.")).unwrap();
    let error = error_of(Behaviour::Answer(answer), Duration::from_secs(30));
    assert_eq!(error.source.unwrap().to_string(), "HTTP 403 SignatureDoesNotMatch Check your key.");
}

#[test]
fn refused_range_tells_the_length_in_header_or_body() {
    for answer in [
        "HTTP/1.1 416 No\r\nContent-Range: bytes */15\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 416 No\r\nContent-Length: 43\r\n\r\n<Error><ActualObjectSize>15</ActualObjectSize>",
        "HTTP/1.1 206 Part\r\nContent-Range: bytes 10-14/15\r\nContent-Length: 5\r\n\r\n01234",
    ] {
        check(answer.as_bytes(), StoreErrorKind::RangeInvalid { object_len_bytes: 15 });
    }
}

#[test]
fn body_that_ends_early_is_a_short_read() {
    let short = |found_len_bytes| StoreErrorKind::ShortRead { asked_len_bytes: 10, found_len_bytes };
    let head = "HTTP/1.1 206 Part\r\nContent-Range: bytes 10-19/99\r\n";
    check(format!("{head}Content-Length: 10\r\n\r\n0123").as_bytes(), short(4));
    check(format!("{head}Content-Length: 4\r\n\r\n0123").as_bytes(), short(4));
    check(format!("{head}Connection: close\r\n\r\n").as_bytes(), short(0));
}

#[test]
fn answer_of_another_range_is_refused() {
    for head in [
        "HTTP/1.1 206 Part\r\nContent-Range: bytes 11-20/99",
        "HTTP/1.1 206 Part\r\nContent-Range: bytes 10-18/99",
        "HTTP/1.1 206 Part\r\nContent-Range: bytes 10-19/*",
        "HTTP/1.1 206 Part\r\nContent-Range: bytes 10-19",
        "HTTP/1.1 206 Part\r\nContent-Range: bytes 10-18446744073709551615/99",
        "HTTP/1.1 206 Part\r\nContent-Type: multipart/byteranges",
        "HTTP/1.1 200 OK\r\nETag: x",
        "HTTP/1.1 204 No\r\nETag: x",
    ] {
        check(
            format!("{head}\r\nContent-Length: 10\r\n\r\n0123456789").as_bytes(),
            StoreErrorKind::Unavailable,
        );
    }
}

#[test]
fn whole_object_is_taken_where_all_of_it_is_asked_for() {
    let peer = peer();
    peer.behave(Behaviour::Answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n0123".to_owned()));
    let store = S3Read::new(config(&peer));
    let read = |range| block_on(store.read(&ObjectKey::new("a"), &range));
    for range in [ByteRange::Range(0..4), ByteRange::Tail { len_bytes: 4 }, ByteRange::Tail { len_bytes: 9 }]
    {
        let found = read(range).unwrap();
        assert_eq!((found.bytes.as_ref(), found.offset, found.object_len_bytes), (b"0123".as_slice(), 0, 4));
    }
    for range in [ByteRange::Range(0..3), ByteRange::Range(1..4), ByteRange::Tail { len_bytes: 3 }] {
        assert_eq!(read(range).unwrap_err().kind, StoreErrorKind::Unavailable);
    }
}

#[test]
fn what_is_no_answer_is_unavailable() {
    for behaviour in [Behaviour::Close, Behaviour::AnswerAndClose("not HTTP\r\n\r\n".to_owned())] {
        let error = error_of(behaviour, Duration::from_secs(30));
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
    }
}

#[test]
fn store_that_stops_answering_is_a_timeout() {
    let head = "HTTP/1.1 206 Part\r\nContent-Range: bytes 10-19/99\r\nContent-Length: 10\r\n\r\n0123";
    for behaviour in [Behaviour::Hang, Behaviour::AnswerAndHang(head.to_owned())] {
        let error = error_of(behaviour, Duration::from_millis(100));
        assert_eq!(error.kind, StoreErrorKind::Timeout, "{error:?}");
    }
}

#[test]
fn nobody_listening_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let endpoint = firn_s3::config::Endpoint::parse(&endpoint).unwrap();
    let store = S3Read::new(S3Config { endpoint, ..config(&peer()) });
    let error = block_on(store.read(&ObjectKey::new("a"), &ASKED)).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
}
