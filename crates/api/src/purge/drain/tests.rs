//! The driver against a zone's API in memory that enforces the documented limits, under a clock that only waiting moves.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

use bytes::Bytes;
use firn_ndjson::digest::SoftwareSha256;
use futures::executor::block_on;

use super::*;
use crate::{
    ports::BodyError,
    purge::{pace::Rate, zone::Zone},
    tables::catalog::Transport,
};

type H = SoftwareSha256;

const FREE: Rate = Rate { calls_per_minute: 5, bucket: 25 };
const SECOND: i64 = 1_000_000;

/// How the API answers one call, if not as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Answer(u16, Option<&'static str>),
    /// It purges, but the answer is lost.
    Lost,
    Unreachable,
    Endless,
    Hang,
}

/// Storage, clock and the API.
#[derive(Default)]
struct World {
    now: Cell<i64>,
    stored: RefCell<BTreeMap<CacheTag, Waiting>>,
    pace: RefCell<Pace>,
    storage_fails: Cell<bool>,
    faults: RefCell<VecDeque<Fault>>,
    /// Thousandths of tokens, and when they were counted.
    bucket: Cell<Option<(i64, i64)>>,
    calls: RefCell<Vec<(i64, Vec<String>)>>,
    refused_count: Cell<usize>,
    notes: RefCell<Vec<String>>,
    /// Whether there are other pauses than a call's deadline.
    is_watched: Cell<bool>,
    /// How long a call takes; how far that varies is what calls arrive unevenly by.
    call_micros: Cell<i64>,
}

impl World {
    /// The documented limits.
    fn admit(&self, tags: &[String]) -> Result<(), u16> {
        let (capacity, a_minute) = (25_000, 5_000);
        let (tokens, counted_at) = self.bucket.get().unwrap_or((capacity, 0));
        let gained = (self.now.get() - counted_at) * a_minute / (60 * SECOND);
        let tokens = (tokens + gained).min(capacity);
        let is_tag = |tag: &String| {
            (1..=1024).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_graphic() && b != b',')
        };
        if tags.len() > 100 || tags.is_empty() || !tags.iter().all(is_tag) {
            return Err(400);
        }
        let (left, outcome) = if tokens < 1_000 { (tokens, Err(429)) } else { (tokens - 1_000, Ok(())) };
        self.bucket.set(Some((left, self.now.get())));
        outcome
    }

    fn purged(&self) -> BTreeSet<String> {
        self.calls.borrow().iter().flat_map(|(_, tags)| tags.clone()).collect()
    }
}

struct Reply(VecDeque<&'static str>, bool);

impl Body for Reply {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let endless = self.1.then_some(" ");
        Ok(self.0.pop_front().or(endless).map(|text| Bytes::from_static(text.as_bytes())))
    }
}

impl Pause for World {
    async fn pause(&self, pause_ms: u64) {
        assert!(pause_ms == CALL_TIMEOUT_MS || self.is_watched.get(), "{pause_ms}");
        self.now.set(self.now.get() + i64::try_from(pause_ms).unwrap() * 1_000);
    }

    fn jitter(&self) -> u32 {
        u32::MAX
    }
}

impl Clock for World {
    fn now(&self) -> Micros {
        Micros(self.now.get())
    }
}

impl ZonePlatform for World {
    type Reply = Reply;

    async fn post(
        &self,
        url: &str,
        token: &str,
        body: String,
    ) -> Result<(u16, Option<String>, Reply), String> {
        assert_eq!((url, token), ("https://api.test/client/v4/zones/z0/purge_cache", "t0ken"));
        self.now.set(self.now.get() + self.call_micros.get());
        let mut body: BTreeMap<String, Vec<String>> = serde_json::from_str(&body).unwrap();
        let tags = body.remove("tags").unwrap();
        assert!(body.is_empty());
        let fault = self.faults.borrow_mut().pop_front();
        let status = match (fault, self.admit(&tags)) {
            (Some(Fault::Unreachable), _) => return Err("connection refused".to_owned()),
            (Some(Fault::Hang), _) => return std::future::pending().await,
            (Some(Fault::Answer(status, retry_after)), _) => {
                return Ok((status, retry_after.map(str::to_owned), Reply(VecDeque::new(), false)));
            }
            (_, Err(status)) => status,
            (_, Ok(())) => {
                self.calls.borrow_mut().push((self.now.get(), tags));
                200
            }
        };
        if status != 200 {
            self.refused_count.set(self.refused_count.get() + 1);
        }
        match fault {
            Some(Fault::Lost) => Err("reset".to_owned()),
            Some(Fault::Endless) => Ok((status, None, Reply(VecDeque::new(), true))),
            _ => Ok((status, None, Reply(["{\"success\":", "true,\"errors\":[]}"].into(), false))),
        }
    }

    fn store(&self, changes: &Changes, pace: &Pace) -> Result<(), String> {
        if self.storage_fails.get() {
            return Err("disk full".to_owned());
        }
        for (tag, change) in changes {
            match change {
                Some(waiting) => self.stored.borrow_mut().insert(*tag, *waiting),
                None => self.stored.borrow_mut().remove(tag),
            };
        }
        *self.pace.borrow_mut() = *pace;
        Ok(())
    }

    fn note(&self, event: &Event<'_>) {
        self.notes.borrow_mut().push(format!("{event:?}"));
    }
}

fn start(world: &World) -> Purger {
    let zone = Zone::new("https://api.test", "z0", "t0ken".to_owned(), Transport::Encrypted).unwrap();
    let stored: Vec<Waiting> = world.stored.borrow().values().copied().collect();
    Purger::new(PurgeConfig::new(zone, FREE, 100).unwrap(), &stored, *world.pace.borrow())
}

fn key(n: usize) -> Target {
    let ns = format!("n{}", n / 400);
    Target::namespace::<H>(&ns).of_type::<H>(&ns, "page").of_artifact::<H>(&ns, "page", &n.to_string())
}

/// Alarms until nothing waits; gives how many.
fn run(world: &World, purger: &Purger) -> usize {
    let mut alarm_count = 0;
    while let Some(at) = purger.next_drain() {
        world.now.set(world.now.get().max(at.0));
        block_on(purger.drain(world)).unwrap();
        alarm_count += 1;
        assert!(alarm_count < 10_000, "it goes on for ever");
    }
    alarm_count
}

#[test]
fn one_touch_is_one_call_after_a_moment() {
    let world = World::default();
    let purger = start(&world);
    purger.push(&world, &[key(1)]).unwrap();
    block_on(purger.drain(&world)).unwrap();
    assert!(world.calls.borrow().is_empty(), "it is not due yet");
    run(&world, &purger);
    assert_eq!(*world.calls.borrow(), [(super::super::pace::LINGER_MICROS, vec![key(1).tag().to_string()])]);
    assert!(world.stored.borrow().is_empty());
    assert_eq!(purger.next_drain(), None);
}

#[test]
fn ten_thousand_touches_arrive_within_the_documented_limits() {
    let world = World::default();
    let purger = start(&world);
    let mut uneven = [10_000, 1_900_000, 50_000, 700_000, 5_000].into_iter().cycle();
    for n in 0..10_000 {
        purger.push(&world, &[key(n)]).unwrap();
    }
    while let Some(at) = purger.next_drain() {
        world.now.set(world.now.get().max(at.0));
        world.call_micros.set(uneven.next().unwrap());
        block_on(purger.drain(&world)).unwrap();
    }
    assert_eq!(world.refused_count.get(), 0, "no call was one too many");
    assert_eq!(world.purged().len(), 10_000);
    let calls = world.calls.borrow();
    assert_eq!(calls.len(), 100, "each call is full");
    let minutes = calls.last().unwrap().0 / (60 * SECOND);
    assert!((14..=16).contains(&minutes), "76 of them wait for tokens: {minutes}");
}

#[test]
fn whatever_the_api_does_every_tag_arrives() {
    use Fault::{Answer, Endless, Hang, Lost, Unreachable};
    let faults = [
        Answer(429, Some("30")),
        Answer(429, None),
        Answer(500, None),
        Answer(503, Some("1")),
        Answer(403, None),
        Answer(401, None),
        Answer(200, None),
        Answer(302, None),
        Lost,
        Unreachable,
        Endless,
        Hang,
    ];
    for fault in faults {
        for times in [1, 3] {
            let world = World::default();
            let purger = start(&world);
            world.faults.borrow_mut().extend(vec![fault; times]);
            let began = world.now.get();
            purger.push(&world, &(0..250).map(key).collect::<Vec<_>>()).unwrap();
            run(&world, &purger);
            assert_eq!(world.purged().len(), 250, "{fault:?}");
            assert!(world.stored.borrow().is_empty(), "{fault:?}");
            assert!(world.faults.borrow().is_empty(), "{fault:?}");
            let took = (world.now.get() - began) / SECOND;
            let at_least = match fault {
                Answer(429, Some(_)) => 30,
                Answer(429, None) => 12,
                Answer(401 | 403 | 302, _) => 600,
                Hang => 10,
                _ => 1,
            };
            assert!(took >= at_least, "{fault:?} after {took} s");
        }
    }
}

#[test]
fn a_refusal_is_noted_once_an_interval_whatever_is_pushed() {
    let world = World::default();
    let purger = start(&world);
    world.faults.borrow_mut().extend(vec![Fault::Answer(403, None); 6]);
    for n in 0..3_600 {
        world.now.set(n * SECOND);
        purger.push(&world, &[key(usize::try_from(n).unwrap())]).unwrap();
        block_on(purger.drain(&world)).unwrap();
    }
    let refused = world.notes.borrow().iter().filter(|note| note.contains("Refused")).count();
    assert!((5..=6).contains(&refused), "{refused}");
    run(&world, &purger);
    assert!(world.stored.borrow().is_empty());
}

#[test]
fn a_crash_at_any_point_loses_nothing_and_makes_no_call_too_many() {
    for crash_at in 0..12 {
        let world = World::default();
        let mut purger = start(&world);
        purger.push(&world, &(0..2_000).map(key).collect::<Vec<_>>()).unwrap();
        let mut count = 0;
        while let Some(at) = purger.next_drain() {
            world.now.set(world.now.get().max(at.0));
            if count == crash_at {
                // Taken out and stored, then never called; what was pushed meanwhile was stored too.
                purger.take_due(&world).unwrap();
                purger.push(&world, &[key(count)]).unwrap();
                purger = start(&world);
            } else {
                let tags = purger.take_due(&world).unwrap();
                let ending = block_on(purger.call(&world, &tags));
                if count == crash_at + 1 {
                    // Called, and nobody noted it.
                    purger = start(&world);
                } else {
                    purger.end(&world, &ending).unwrap();
                }
            }
            count += 1;
        }
        assert_eq!(world.purged().len(), 2_000, "crash at {crash_at}");
        assert_eq!(world.refused_count.get(), 0, "crash at {crash_at}");
        assert!(world.stored.borrow().is_empty());
    }
}

#[test]
fn what_cannot_be_stored_is_not_taken_and_not_called() {
    let world = World::default();
    let purger = start(&world);
    world.storage_fails.set(true);
    purger.push(&world, &[key(1)]).unwrap_err();
    world.now.set(SECOND);
    block_on(purger.drain(&world)).unwrap_err();
    assert!(world.calls.borrow().is_empty());
}

#[test]
fn more_than_half_a_thousand_keys_of_a_type_are_one_tag() {
    let world = World::default();
    let purger = start(&world);
    let targets: Vec<Target> = (0..501)
        .map(|n| {
            let whole = Target::namespace::<H>("a").of_type::<H>("a", "page");
            whole.of_artifact::<H>("a", "page", &n.to_string())
        })
        .collect();
    purger.push(&world, &targets).unwrap();
    run(&world, &purger);
    assert_eq!(world.purged(), BTreeSet::from([CacheTag::of_type::<H>("a", "page").to_string()]));
}

#[test]
fn a_watch_sends_what_no_alarm_does_as_long_as_it_is_due_soon() {
    let world = World::default();
    world.is_watched.set(true);
    let purger = start(&world);
    purger.push(&world, &[key(1)]).unwrap();
    world.faults.borrow_mut().push_back(Fault::Hang);
    block_on(purger.watch(&world)).unwrap();
    assert_eq!((world.calls.borrow().len(), purger.next_drain()), (1, None));

    // A drain that ended in the middle of its call.
    purger.push(&world, &[key(2)]).unwrap();
    world.now.set(purger.next_drain().unwrap().0);
    assert_eq!(purger.take_due(&world).unwrap(), [key(2).tag()]);
    block_on(purger.watch(&world)).unwrap();
    assert_eq!((world.calls.borrow().len(), purger.next_drain()), (2, None));

    purger.push(&world, &[key(3)]).unwrap();
    world.faults.borrow_mut().push_back(Fault::Answer(429, Some("90")));
    block_on(purger.watch(&world)).unwrap();
    assert!(purger.next_drain().is_some_and(|at| at.0 > world.now.get()), "that is the alarm's");
}

#[test]
fn a_queue_is_watched_once_at_a_time() {
    let world = World::default();
    let purger = start(&world);
    purger.push(&world, &[key(1)]).unwrap();
    purger.is_watched.set(true);
    block_on(purger.watch(&world)).unwrap();
    assert!(world.calls.borrow().is_empty());
}
