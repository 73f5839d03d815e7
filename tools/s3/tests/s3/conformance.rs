//! The suite of every store.

use std::time::{Duration, SystemTime};

use firn_s3::{
    S3Read,
    config::{Endpoint, REGION_DEFAULT, S3Config, S3Credentials},
};
use firn_store::conformance;
use futures::executor::block_on;

use crate::peer::{Behaviour, Peer};

/// A fixed day, so that signatures can be told.
pub(crate) fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

pub(crate) fn credentials() -> S3Credentials {
    S3Credentials {
        access_key_id: "AKEXAMPLE".to_owned(),
        secret_access_key: "not-a-secret/+=".to_owned(),
        session_token: None,
    }
}

pub(crate) fn config(peer: &Peer) -> S3Config {
    S3Config {
        endpoint: Endpoint::parse(&peer.endpoint()).unwrap(),
        bucket: Some("lake".to_owned()),
        region: REGION_DEFAULT.to_owned(),
        credentials: Some(credentials()),
        timeout: Duration::from_secs(30),
        clock: noon,
    }
}

/// A peer with the suite's objects.
pub(crate) fn peer() -> Peer {
    let target = |key: &str| format!("/lake/{}", key.replace(' ', "%20"));
    Peer::start(conformance::objects().into_iter().map(|(key, bytes)| (target(key.as_str()), bytes.to_vec())))
}

#[test]
fn adapter_conforms() {
    for behaviour in [Behaviour::Serve, Behaviour::ServeSilently] {
        for credentials in [None, Some(credentials())] {
            let peer = peer();
            peer.behave(behaviour.clone());
            let store = S3Read::new(S3Config { credentials, ..config(&peer) });
            for (claim, outcome) in block_on(conformance::run(&store)) {
                assert_eq!(outcome, Ok(()), "{claim}");
            }
            let received = peer.take_received();
            assert!(
                received.iter().all(|request| request.method == "GET" && request.header("range").is_some())
            );
        }
    }
}
