//! One lookup for a crowd (design.md §6 "Coalescing"): of the requests for one cold artifact in an isolate, the first
//! looks it up, the others take what it found.
//!
//! **No request may await something that another request wakes**: workerd ties promises to the request that made them,
//! and shared futures, channels and locks between requests end in "code had hung" or "Cannot perform I/O on behalf of a
//! different request". So the leader's lookup runs in its own `wait_until`, which goes on when its client goes away, and
//! leaves what it found in plain shared state; the followers look there on a timer of their own. A leader may vanish
//! without a word (its time is up, the runtime ends it: its future is then neither polled nor dropped): a follower waits
//! for [`WAIT_MICROS_MAX`] at most and looks for itself then, and a lookup that is older leads nobody any more.
//!
//! Every request asks the ledger for itself, and who may read is judged for each; what is shared is the row alone.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use firn_store::retry::Pause;
use firn_types::{key::ArtifactKey, representation::Representation, time::Micros};

use super::artifact::ArtifactRow;
use crate::{ports::Clock, tables::error::LakeError};

/// Longest time that a request waits for another one's lookup, and how old a lookup may be to be waited for. A cold
/// lookup takes some 200 ms, and twice as long where a read is tried again.
pub const WAIT_MICROS_MAX: i64 = 2_000_000;

/// First pause between two looks at another one's lookup; it doubles up to [`POLL_MS_MAX`]. A read by place takes some
/// 10 ms where the bucket is near.
const POLL_MS_MIN: u64 = 4;

/// Longest pause between two looks: a thousand followers then look 30,000 times a second, 1 µs each.
const POLL_MS_MAX: u64 = 32;

/// Lookups of one isolate at once; others wait for their turn. Each may hold pages of some 2 MB, of 128 MB.
const LOOKUPS_MAX: usize = 24;

/// Longest wait for a turn: a crowd that wants a thousand different artifacts is through by then where a lookup takes
/// 400 ms. Longer than that something is wrong with the count of turns, and what is under way goes on for 30 s at most.
const TURN_MICROS_MAX: i64 = 20_000_000;

/// What is not taken away by then was left by requests that the runtime ended.
const LEFT_MICROS: i64 = 35_000_000;

/// What a lookup found.
pub type Found = Result<Option<ArtifactRow>, LakeError>;

/// What makes two lookups the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlightKey {
    /// The artifact.
    pub key: ArtifactKey,
    /// What is read of it.
    pub representation: Representation,
    /// The version that the ledger called current; `None` where the tables decide.
    pub version: Option<i64>,
}

#[derive(Debug)]
struct Flight {
    serial: u64,
    began: Micros,
    waiting_count: usize,
    found: Option<Rc<Found>>,
}

/// The lookups under way in an isolate. No borrow outlives a call.
#[derive(Debug, Default)]
pub struct Flights {
    known: RefCell<HashMap<FlightKey, Flight>>,
    serial: Cell<u64>,
    /// When each lookup under way began.
    under_way: RefCell<HashMap<u64, Micros>>,
}

/// What a request is to do.
#[derive(Debug)]
pub enum Role {
    /// Look it up, and leave what was found here.
    Lead(Lead),
    /// Wait for another one's lookup.
    Follow(Follow),
}

impl Flights {
    /// Takes part in the lookup of `key`.
    pub fn join(self: &Rc<Self>, key: FlightKey, now: Micros) -> Role {
        let mut flights = self.known.borrow_mut();
        if let Some(flight) = flights.get_mut(&key)
            && (0..WAIT_MICROS_MAX).contains(&(now.0 - flight.began.0))
            && flight.found.as_ref().is_none_or(|found| found.is_ok())
        {
            flight.waiting_count += 1;
            return Role::Follow(Follow { flights: Rc::clone(self), key, serial: flight.serial });
        }
        flights.retain(|_, flight| now.0 - flight.began.0 < LEFT_MICROS);
        let serial = self.next_serial();
        flights.insert(key.clone(), Flight { serial, began: now, waiting_count: 0, found: None });
        Role::Lead(Lead { flights: Rc::clone(self), key, serial })
    }

    /// How many lookups are known, those included that ended and were not taken by all who wait.
    pub fn count(&self) -> usize {
        self.known.borrow().len()
    }

    /// Waits until there is room for one more lookup. It does not wait for ever: after [`TURN_MICROS_MAX`] there is.
    pub async fn turn(self: &Rc<Self>, platform: &impl Pause, clock: &impl Clock) -> Turn {
        let began = clock.now();
        let (mut now, mut pause_ms) = (began, POLL_MS_MIN);
        loop {
            if let Some(serial) = self.begin_turn(now, now.0 - began.0 >= TURN_MICROS_MAX) {
                return Turn { flights: Rc::clone(self), serial };
            }
            platform.pause(pause_ms).await;
            now = clock.now();
            pause_ms = (pause_ms * 2).min(POLL_MS_MAX);
        }
    }

    /// The number of another lookup under way, if there is room for it, or it has waited long enough.
    fn begin_turn(&self, now: Micros, has_waited: bool) -> Option<u64> {
        let mut under_way = self.under_way.borrow_mut();
        under_way.retain(|_, began| now.0 - began.0 < LEFT_MICROS);
        if under_way.len() >= LOOKUPS_MAX && !has_waited {
            return None;
        }
        let serial = self.next_serial();
        under_way.insert(serial, now);
        Some(serial)
    }

    fn next_serial(&self) -> u64 {
        self.serial.replace(self.serial.get() + 1)
    }

    fn end(&self, key: &FlightKey, serial: u64, end: impl FnOnce(&mut Flight)) {
        let mut flights = self.known.borrow_mut();
        // Another one may have taken its place.
        let Some(flight) = flights.get_mut(key).filter(|flight| flight.serial == serial) else { return };
        end(flight);
        let is_over = flight.found.is_some() && flight.waiting_count == 0;
        if is_over {
            flights.remove(key);
        }
    }
}

/// The right to look up, for as long as it is held.
#[derive(Debug)]
pub struct Turn {
    flights: Rc<Flights>,
    serial: u64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.flights.under_way.borrow_mut().remove(&self.serial);
    }
}

/// The leader's side. Dropping it without an end sends its followers to look for themselves.
#[derive(Debug)]
pub struct Lead {
    flights: Rc<Flights>,
    key: FlightKey,
    serial: u64,
}

impl Lead {
    /// Leaves what was found to those who wait, and gives it back.
    pub fn finish(self, found: Found) -> Rc<Found> {
        let found = Rc::new(found);
        self.flights.end(&self.key, self.serial, |flight| flight.found = Some(Rc::clone(&found)));
        found
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut flights = self.flights.known.borrow_mut();
        let is_open = |flight: &Flight| flight.serial == self.serial && flight.found.is_none();
        if flights.get(&self.key).is_some_and(is_open) {
            flights.remove(&self.key);
        }
    }
}

/// A follower's side.
#[derive(Debug)]
pub struct Follow {
    flights: Rc<Flights>,
    key: FlightKey,
    serial: u64,
}

/// What a follower sees.
enum Sight {
    UnderWay,
    Landed(Rc<Found>),
    Vanished,
}

impl Follow {
    /// What the leader found; `None` where it did not come in time, or vanished.
    pub async fn wait(self, platform: &impl Pause, clock: &impl Clock) -> Option<Rc<Found>> {
        let began = clock.now();
        let mut pause_ms = POLL_MS_MIN;
        loop {
            match self.look() {
                Sight::Landed(found) => return Some(found),
                Sight::Vanished => return None,
                Sight::UnderWay => {}
            }
            if clock.now().0 - began.0 >= WAIT_MICROS_MAX {
                return None;
            }
            platform.pause(pause_ms).await;
            pause_ms = (pause_ms * 2).min(POLL_MS_MAX);
        }
    }

    fn look(&self) -> Sight {
        let flights = self.flights.known.borrow();
        match flights.get(&self.key).filter(|flight| flight.serial == self.serial) {
            None => Sight::Vanished,
            Some(flight) => flight.found.clone().map_or(Sight::UnderWay, Sight::Landed),
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.flights.end(&self.key, self.serial, |flight| flight.waiting_count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::executor::block_on;

    use super::*;

    /// Time that passes by pauses alone, and what happens at some moments of it.
    #[derive(Default)]
    struct World {
        now: Cell<i64>,
        events: RefCell<Vec<Event>>,
    }

    /// What happens, and when.
    type Event = (i64, Box<dyn FnOnce()>);

    impl Clock for World {
        fn now(&self) -> Micros {
            Micros(self.now.get())
        }
    }

    impl Pause for World {
        async fn pause(&self, pause_ms: u64) {
            self.now.set(self.now.get() + i64::try_from(pause_ms).unwrap() * 1_000);
            let (due, later): (Vec<Event>, Vec<Event>) =
                self.events.take().into_iter().partition(|(at, _)| *at <= self.now.get());
            self.events.replace(later);
            for (_, event) in due {
                event();
            }
        }

        fn jitter(&self) -> u32 {
            0
        }
    }

    fn key(version: i64) -> FlightKey {
        FlightKey {
            key: ArtifactKey::parse("a", "b", "c").unwrap(),
            representation: Representation::Html,
            version: Some(version),
        }
    }

    fn lead(flights: &Rc<Flights>, now: i64) -> Lead {
        match flights.join(key(1), Micros(now)) {
            Role::Lead(lead) => lead,
            Role::Follow(_) => panic!("another one leads"),
        }
    }

    fn follow(flights: &Rc<Flights>, now: i64) -> Follow {
        match flights.join(key(1), Micros(now)) {
            Role::Follow(follow) => follow,
            Role::Lead(_) => panic!("nobody leads"),
        }
    }

    fn row() -> ArtifactRow {
        ArtifactRow::new(Some(9), [])
    }

    #[test]
    fn followers_take_what_the_leader_found_and_nothing_stays() {
        let (flights, world) = (Rc::new(Flights::default()), World::default());
        let leader = lead(&flights, 0);
        assert!(
            matches!(flights.join(key(2), Micros(0)), Role::Lead(_)),
            "another version is another lookup"
        );
        let (first, second) = (follow(&flights, 0), follow(&flights, 1));
        world.events.borrow_mut().push((50_000, Box::new(move || drop(leader.finish(Ok(Some(row())))))));
        let version = |found: Option<Rc<Found>>| {
            found.and_then(|found| found.as_ref().as_ref().ok()?.as_ref()?.version)
        };
        assert_eq!(version(block_on(first.wait(&world, &world))), Some(9));
        assert_eq!(flights.count(), 1, "for the second");
        assert_eq!(version(block_on(second.wait(&world, &world))), Some(9));
        assert_eq!(flights.count(), 0);
        drop(lead(&flights, world.now.get()));
    }

    #[test]
    fn leader_that_is_dropped_or_vanishes_holds_nobody_up() {
        let (flights, world) = (Rc::new(Flights::default()), World::default());
        let leader = lead(&flights, 0);
        let follower = follow(&flights, 0);
        drop(leader);
        assert!(block_on(follower.wait(&world, &world)).is_none());
        assert_eq!((flights.count(), world.now.get()), (0, 0));
        let vanished = lead(&flights, 0);
        let follower = follow(&flights, 0);
        assert!(block_on(follower.wait(&world, &world)).is_none());
        assert!((WAIT_MICROS_MAX..WAIT_MICROS_MAX + 40_000).contains(&world.now.get()));
        let successor = lead(&flights, WAIT_MICROS_MAX);
        // What comes too late is nobody's any more.
        vanished.finish(Ok(Some(row())));
        assert_eq!(flights.count(), 1);
        assert!(matches!(follow(&flights, WAIT_MICROS_MAX).look(), Sight::UnderWay));
        successor.finish(Ok(None));
        assert_eq!(flights.count(), 0);
    }

    #[test]
    fn a_failure_is_shared_by_those_who_wait_and_kept_for_nobody() {
        let (flights, world) = (Rc::new(Flights::default()), World::default());
        let (leader, follower) = (lead(&flights, 0), follow(&flights, 0));
        leader.finish(Err(LakeError::Deadline { deadline_ms: 1 }));
        let next = lead(&flights, 1);
        assert!(block_on(follower.wait(&world, &world)).is_none(), "its place was taken");
        next.finish(Ok(Some(row())));
        assert_eq!(flights.count(), 0);
    }

    #[test]
    fn what_ended_requests_left_is_swept_away() {
        let flights = Rc::new(Flights::default());
        let (leader, follower) = (lead(&flights, 0), follow(&flights, 0));
        leader.finish(Ok(Some(row())));
        // A request that the runtime ends drops nothing.
        std::mem::forget(follower);
        assert_eq!(flights.count(), 1);
        let other = FlightKey { version: None, ..key(1) };
        let Role::Lead(other) = flights.join(other, Micros(LEFT_MICROS)) else { panic!("nobody leads") };
        assert_eq!(flights.count(), 1);
        drop(other);
    }

    #[test]
    fn lookups_wait_for_their_turn_but_not_for_ever() {
        let (flights, world) = (Rc::new(Flights::default()), World::default());
        let mut turns: Vec<_> = (0..LOOKUPS_MAX).map(|_| block_on(flights.turn(&world, &world))).collect();
        assert_eq!(world.now.get(), 0);
        let freed = turns.pop();
        world.events.borrow_mut().push((100_000, Box::new(move || drop(freed))));
        let next = block_on(flights.turn(&world, &world));
        assert!((100_000..140_000).contains(&world.now.get()), "{}", world.now.get());
        drop((next, turns));
        let ended: Vec<_> = (0..LOOKUPS_MAX).map(|_| block_on(flights.turn(&world, &world))).collect();
        std::mem::forget(ended);
        let began = world.now.get();
        let late = block_on(flights.turn(&world, &world));
        assert!(world.now.get() - began >= TURN_MICROS_MAX);
        drop(late);
    }
}
