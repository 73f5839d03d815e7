//! The signature, checked as a store does: computed again from the request as it arrived.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::fmt::Write as _;

use firn_s3::{
    S3Read,
    config::{S3Config, S3Credentials},
};
use firn_store::read::ObjectRead;
use firn_types::object::{ByteRange, ObjectKey};
use futures::executor::block_on;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::{
    conformance::{config, credentials},
    peer::{Peer, Received},
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Scope and signed headers of a request whose signature holds.
fn verified(received: &Received, secret: &str) -> (String, Vec<String>) {
    let authorization = received.header("authorization").unwrap();
    let parts = authorization.strip_prefix("AWS4-HMAC-SHA256 ").unwrap();
    let mut parts = parts.split(", ");
    let mut part = |name: &str| parts.next().unwrap().strip_prefix(name).unwrap().to_owned();
    let (credential, signed, signature) = (part("Credential="), part("SignedHeaders="), part("Signature="));
    let scope = credential.strip_prefix("AKEXAMPLE/").unwrap().to_owned();

    let mut canonical = format!("{}\n{}\n\n", received.method, received.target);
    for name in signed.split(';') {
        writeln!(canonical, "{name}:{}", received.header(name).unwrap()).unwrap();
    }
    write!(canonical, "\n{signed}\n{}", received.header("x-amz-content-sha256").unwrap()).unwrap();
    let at = received.header("x-amz-date").unwrap();
    let digest = hex(&Sha256::digest(&canonical));
    let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}");
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| hmac(&key, part));
    assert_eq!(signature, hex(&hmac(&key, &text)), "{canonical}");
    (scope, signed.split(';').map(str::to_owned).collect())
}

#[track_caller]
fn read_signed(key: &str, target: &str, credentials: S3Credentials, region: &str) -> (String, Vec<String>) {
    let peer = Peer::start([(target.to_owned(), vec![7; 9])]);
    let secret = credentials.secret_access_key.clone();
    let credentials = Some(credentials);
    let store = S3Read::new(S3Config { credentials, region: region.to_owned(), ..config(&peer) });
    block_on(store.read(&ObjectKey::new(key), &ByteRange::Range(2..5))).unwrap();
    verified(&peer.take_received()[0], &secret)
}

#[test]
fn signature_holds_over_what_was_sent() {
    for (key, target) in [
        ("plain", "/lake/plain"),
        ("a b/c=1/ü%41", "/lake/a%20b/c%3D1/%C3%BC%2541"),
        ("a//b/../c", "/lake/a//b/../c"),
    ] {
        for region in ["auto", "eu-central-1"] {
            let (scope, signed) = read_signed(key, target, credentials(), region);
            assert_eq!(scope, format!("20260921/{region}/s3/aws4_request"));
            assert_eq!(signed, ["host", "range", "x-amz-content-sha256", "x-amz-date"]);
        }
    }
}

#[test]
fn session_token_is_sent_and_signed() {
    let credentials = S3Credentials { session_token: Some("token".to_owned()), ..credentials() };
    let (_, signed) = read_signed("plain", "/lake/plain", credentials, "auto");
    assert!(signed.contains(&"x-amz-security-token".to_owned()));
}

#[test]
#[should_panic(expected = "assertion")]
fn another_secret_gives_another_signature() {
    let peer = Peer::start([("/lake/plain".to_owned(), vec![7; 9])]);
    block_on(S3Read::new(config(&peer)).read(&ObjectKey::new("plain"), &ByteRange::Range(2..5))).unwrap();
    verified(&peer.take_received()[0], "another");
}
