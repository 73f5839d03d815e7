//! A table in an S3-compatible store.

use firn_store::retry::ATTEMPTS_MAX;

use crate::{
    peer::{Behaviour, Peer, xml},
    support::{files, fixtures, lines, metadata_of, run, run_with},
};

/// A store whose bucket `lake` holds the fixtures.
fn peer() -> Peer {
    let objects = files(&fixtures()).into_iter();
    Peer::start(objects.map(|(name, bytes)| (format!("/lake/{}", name.replace('=', "%3D")), bytes)))
}

fn table() -> String {
    format!("s3://lake/evolved/{}", metadata_of("evolved").0)
}

#[test]
fn table_is_read_from_its_store() {
    let peer = peer();
    let said = run(&["scan", "--table", &table(), "--endpoint", &peer.endpoint()]);
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    assert_eq!(said.sorted(), lines("evolved/rows.jsonl"));
    let received = peer.take_received();
    assert!(received.iter().all(|request| request.method == "GET" && request.header("range").is_some()));
    assert!(received.iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn credentials_endpoint_and_region_come_from_the_environment() {
    let peer = peer();
    let endpoint = peer.endpoint();
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
    ];
    for (region, more) in [("auto", vec![]), ("eu-1", vec![("AWS_REGION", "eu-1")])] {
        let said = run_with(
            &[variables.as_slice(), &more].concat(),
            &["scan", "--table", &table(), "--column", "id"],
        );
        assert_eq!((said.status, said.err.as_str()), (0, ""));
        for request in peer.take_received() {
            let authorization = request.header("authorization").unwrap();
            assert!(authorization.contains(&format!("/{region}/s3/aws4_request")), "{authorization}");
        }
    }
}

#[test]
fn folder_of_a_store_is_found_by_hint_or_pointer() {
    let of_metadata = metadata_of("evolved");
    let with = |name: &str, text: String| {
        let objects = files(&fixtures()).into_iter();
        let objects = objects.map(|(name, bytes)| (format!("/lake/{}", name.replace('=', "%3D")), bytes));
        Peer::start(objects.chain([(format!("/lake/{name}"), text.into_bytes())]))
    };
    let hint = of_metadata.0.strip_prefix("metadata/").unwrap();
    let pointer = format!(r#"{{"metadata-location":"{}"}}"#, table());
    for (name, text) in
        [("evolved/metadata/version-hint.text", hint.to_owned()), ("catalog/firn/evolved.json", pointer)]
    {
        let peer = with(name, text);
        let said = run(&["scan", "--table", "s3://lake/evolved/", "--endpoint", &peer.endpoint()]);
        assert_eq!(said.sorted(), lines("evolved/rows.jsonl"), "{}", said.err);
    }
    // Nothing is listed.
    let peer = peer();
    let said = run(&["scan", "--table", "s3://lake/evolved", "--endpoint", &peer.endpoint()]);
    assert_eq!(said.status, 2, "{}", said.err);
}

#[test]
fn store_that_fails_is_status_5() {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    for (behaviour, message) in [
        (Behaviour::Answer(text(xml(403, "AccessDenied", "No."))), "AccessDenied"),
        (Behaviour::Answer(text(xml(500, "InternalError", "Again."))), "InternalError"),
        (Behaviour::Close, "unavailable"),
    ] {
        let peer = peer();
        peer.behave(behaviour);
        let said = run(&["scan", "--table", &table(), "--endpoint", &peer.endpoint()]);
        assert!(
            said.status == 5 && said.err.starts_with("storage: ") && said.err.contains(message),
            "{said:?}"
        );
        assert_eq!(peer.take_received().len(), usize::try_from(ATTEMPTS_MAX).unwrap());
    }
}
