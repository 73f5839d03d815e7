use std::{collections::VecDeque, future::pending};

use bytes::Bytes;
use firn_store::memory::MemoryStore;
use futures::executor::block_on;

use super::*;
use crate::ports::BodyError;

const CONFIG: &str = r#"{"defaults":{},"overrides":{"prefix":"p1"}}"#;
const TABLE: &str = r#"{"metadata-location":"s3://bucket/t/m.json","metadata":{}}"#;
const NO_TABLE: &str = r#"{"error":{"message":"m","type":"NoSuchTableException","code":404}}"#;

/// One answer of the script.
#[derive(Clone)]
enum Say {
    Answer(u16, Vec<&'static str>),
    BreakOff(u16, &'static str),
    Unreachable,
    Nothing,
}

fn say(status: u16, body: &'static str) -> Say {
    Say::Answer(status, vec![body])
}

#[derive(Default)]
struct Script {
    says: RefCell<VecDeque<Say>>,
    asked: RefCell<Vec<String>>,
    pauses: RefCell<Vec<u64>>,
    now: RefCell<i64>,
}

impl Pause for &Script {
    async fn pause(&self, pause_ms: u64) {
        // A deadline passes only where nothing else ever happens.
        if pause_ms != READ_TIMEOUT_MS {
            self.pauses.borrow_mut().push(pause_ms);
        }
    }

    fn jitter(&self) -> u32 {
        0
    }
}

impl Clock for &Script {
    fn now(&self) -> Micros {
        Micros(*self.now.borrow())
    }
}

struct Pieces(VecDeque<Result<&'static str, BodyError>>);

impl Body for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.0.pop_front().map(|piece| piece.map(|text| Bytes::from_static(text.as_bytes()))).transpose()
    }
}

impl CatalogPlatform for &Script {
    type Reply = Pieces;

    async fn get(&self, url: &str, token: Option<&str>) -> Result<(u16, Pieces), String> {
        self.asked.borrow_mut().push(format!("{url} {}", token.unwrap_or("-")));
        let next = self.says.borrow_mut().pop_front().expect("the script has an answer");
        match next {
            Say::Answer(status, pieces) => Ok((status, Pieces(pieces.into_iter().map(Ok).collect()))),
            Say::BreakOff(status, text) => {
                let broken = Err(BodyError::Aborted("reset".into()));
                Ok((status, Pieces([Ok(text), broken].into())))
            }
            Say::Unreachable => Err("connection refused".to_owned()),
            Say::Nothing => pending().await,
        }
    }
}

fn config() -> CatalogConfig {
    let (warehouse, token) = (Some("acc_lake".to_owned()), Some("t0ken".to_owned()));
    CatalogConfig::new("https://catalog.test/base/", warehouse, token, Transport::Encrypted).unwrap()
}

fn table(name: &str) -> TableName {
    TableName { namespace: "firn".into(), name: name.into() }
}

struct Outcome {
    located: Result<Option<String>, LakeError>,
    asked: Vec<String>,
    pauses: Vec<u64>,
}

/// Locates one table with what `held` holds; the script must be used up.
fn locate(held: &HeldCatalog, says: &[Say]) -> Outcome {
    let script = Script { says: RefCell::new(says.iter().cloned().collect()), ..Script::default() };
    let config = config();
    let catalog = RestCatalog::new(&config, held, &script);
    let located = block_on(catalog.locate(&MemoryStore::default(), &[&table("a")]));
    assert!(script.says.borrow().is_empty(), "not everything was asked: {:?}", script.asked);
    let located = located.map(|mut found| found.remove(0).map(|key| key.as_str().to_owned()));
    Outcome { located, asked: script.asked.into_inner(), pauses: script.pauses.into_inner() }
}

#[test]
fn table_is_located_by_two_requests_and_then_by_one() {
    let held = HeldCatalog::default();
    let first = locate(&held, &[say(200, CONFIG), say(200, TABLE)]);
    assert_eq!(first.located.unwrap().as_deref(), Some("t/m.json"));
    let of_table = "https://catalog.test/base/v1/p1/namespaces/firn/tables/a?snapshots=refs t0ken";
    assert_eq!(first.asked, ["https://catalog.test/base/v1/config?warehouse=acc_lake t0ken", of_table]);
    let second = locate(&held, &[say(200, TABLE)]);
    assert_eq!(second.located.unwrap().as_deref(), Some("t/m.json"));
    assert_eq!(second.asked, [of_table]);
}

#[test]
fn several_tables_are_asked_for_after_one_configuration() {
    let script = Script {
        says: RefCell::new([say(200, CONFIG), say(200, TABLE), say(404, NO_TABLE), say(200, TABLE)].into()),
        ..Script::default()
    };
    let (config, held, tables) = (config(), HeldCatalog::default(), ["a", "b", "c"].map(table));
    let catalog = RestCatalog::new(&config, &held, &script);
    let tables: Vec<_> = tables.iter().collect();
    let located = block_on(catalog.locate(&MemoryStore::default(), &tables)).unwrap();
    assert_eq!(located.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(script.asked.borrow().len(), 4);
}

#[test]
fn configuration_is_held_for_its_time_and_not_beyond() {
    let (held, config) = (HeldCatalog::default(), config());
    for (now, requests) in [(1_000, 2), (1_000 + CONFIG_HOLD_MICROS - 1, 1), (1_000 + CONFIG_HOLD_MICROS, 2)]
    {
        let says = [say(200, CONFIG), say(200, TABLE)];
        let script = Script {
            says: RefCell::new(says[2 - requests..].iter().cloned().collect()),
            now: RefCell::new(now),
            ..Script::default()
        };
        let catalog = RestCatalog::new(&config, &held, &script);
        block_on(catalog.locate(&MemoryStore::default(), &[&table("a")])).unwrap();
        assert_eq!(script.asked.borrow().len(), requests, "at {now}");
    }
}

/// The kind of the failure at `config` and, in the same way, at the table; `None`: no failure, the table is absent.
#[track_caller]
fn check(says: &[Say], kind: Option<CatalogErrorKind>) {
    let at_config = locate(&HeldCatalog::default(), says);
    assert_eq!(kind_of(&at_config), Some(kind.unwrap_or(CatalogErrorKind::Refused)), "at config");
    check_table(says, kind);
}

#[track_caller]
fn check_table(says: &[Say], kind: Option<CatalogErrorKind>) {
    let mut at_table = vec![say(200, CONFIG)];
    at_table.extend_from_slice(says);
    let outcome = locate(&HeldCatalog::default(), &at_table);
    assert_eq!(kind_of(&outcome), kind, "at the table");
    let text = outcome.located.as_ref().err().map(ToString::to_string).unwrap_or_default();
    assert!(!text.contains("t0ken"), "{text}");
}

fn kind_of(outcome: &Outcome) -> Option<CatalogErrorKind> {
    match &outcome.located {
        Ok(located) => {
            assert_eq!(*located, None);
            None
        }
        Err(LakeError::Catalog(error)) => Some(error.kind),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn failures_are_of_their_kind_and_only_passing_ones_are_tried_again() {
    use CatalogErrorKind as K;
    for status in [301, 400, 401, 403, 406, 419] {
        check(&[say(status, "{}")], Some(K::Refused));
    }
    for status in [408, 500, 502, 503] {
        check(&vec![say(status, "{}"); 3], Some(K::Unavailable));
    }
    check(&vec![say(429, ""); 3], Some(K::Throttled));
    check(&[Say::Unreachable, Say::Unreachable, Say::Unreachable], Some(K::Unavailable));
    check(&vec![Say::BreakOff(200, "{"); 3], Some(K::Unavailable));
    check(&[Say::Nothing, Say::Nothing, Say::Nothing], Some(K::Timeout));
    check(&[say(200, "<html>")], Some(K::Invalid));
    check(&[say(200, "")], Some(K::Invalid));
    check(&[say(204, "")], Some(K::Invalid));
    check(&[say(404, NO_TABLE)], None);
    check(&[say(404, "<html>not found</html>")], Some(K::Refused));
    check_table(&[say(200, r#"{"metadata-location":null}"#)], Some(K::Invalid));
    check_table(&[say(200, r#"{"metadata":{}}"#)], Some(K::Invalid));
}

#[test]
fn failure_that_passes_is_waited_out_with_growing_pauses() {
    let says = [say(200, CONFIG), say(503, ""), Say::Unreachable, say(200, TABLE)];
    let outcome = locate(&HeldCatalog::default(), &says);
    assert_eq!(outcome.located.unwrap().as_deref(), Some("t/m.json"));
    assert_eq!(outcome.pauses, [50, 100]);
}

#[test]
fn refusal_forgets_the_configuration() {
    let held = HeldCatalog::default();
    locate(&held, &[say(200, CONFIG), say(200, TABLE)]);
    locate(&held, &[say(404, "gone")]).located.unwrap_err();
    let outcome = locate(&held, &[say(200, CONFIG), say(200, TABLE)]);
    assert_eq!(outcome.asked.len(), 2);
}

#[test]
fn location_is_found_across_pieces_and_what_follows_is_not_awaited() {
    let pieces =
        ["{\"config\":{\"a\":\"b\"},\"metada", "ta-location\":\"s3://b", "ucket/t/m.json\",\"metadata\":{"];
    let split = Say::Answer(200, [&pieces[..], &["unread"; 100]].concat());
    let outcome = locate(&HeldCatalog::default(), &[say(200, CONFIG), split]);
    assert_eq!(outcome.located.unwrap().as_deref(), Some("t/m.json"));
    let broken_later = Say::BreakOff(200, TABLE);
    let outcome = locate(&HeldCatalog::default(), &[say(200, CONFIG), broken_later]);
    assert_eq!(outcome.located.unwrap().as_deref(), Some("t/m.json"));
}

#[test]
fn answer_without_end_is_given_up() {
    let pad: &str = Box::leak(" ".repeat(1024 * 1024).into_boxed_str());
    let mut pieces = vec!["{"];
    pieces.extend([pad; 9]);
    let outcome = locate(&HeldCatalog::default(), &[say(200, CONFIG), Say::Answer(200, pieces.clone())]);
    assert_eq!(kind_of(&outcome), Some(CatalogErrorKind::Invalid));
    let outcome = locate(&HeldCatalog::default(), &[Say::Answer(200, pieces)]);
    assert_eq!(kind_of(&outcome), Some(CatalogErrorKind::Invalid));
}

#[test]
fn uri_is_an_origin_and_a_path() {
    let parse = |uri: &str, transport| CatalogConfig::new(uri, None, None, transport).is_some();
    for (uri, encrypted, any) in [
        ("https://catalog.cloudflarestorage.com/account/bucket", true, true),
        ("http://localhost:8787", false, true),
        ("https://", false, false),
        ("https:///v1", false, false),
        ("https://user:pass@host", false, false),
        ("https://host/?a=b", false, false),
        ("https://host/a b", false, false),
        ("ftp://host", false, false),
        ("host", false, false),
    ] {
        assert_eq!((parse(uri, Transport::Encrypted), parse(uri, Transport::Any)), (encrypted, any), "{uri}");
    }
    assert!(!format!("{:?}", config()).contains("t0ken"));
}
