//! Generations: random numbers in the path of every copy. Where a publish touches more artifacts than can be deleted
//! one by one, the type (or the namespace) gets another number, and all its copies are left behind at once.
//!
//! A number lies in the edge cache itself, so a data centre has one. An isolate holds it for [`HOLD_MICROS`]; who changes
//! it waits as long, so that afterwards nobody in the data centre still reads by the old one. A number that the cache
//! has dropped is drawn anew: an old one never comes back, and with it copies that were left behind.

use std::{cell::RefCell, collections::HashMap};

use bytes::Bytes;
use firn_types::{
    key::{ArtifactKey, ArtifactType, Namespace},
    time::Micros,
};
use futures::future::join;

use super::{
    Copy, EdgeCache,
    place::{ns_generation_place, type_generation_place},
};

/// How long an isolate goes by a number that it has read: two reads of the cache more for each type in this time, and
/// as long a wait for a publish of many artifacts.
pub const HOLD_MICROS: i64 = 500_000;

/// How long the cache keeps a number: afterwards another is drawn, and all copies are filled anew.
const TTL_SECS: u32 = 7 * 24 * 60 * 60;

/// Types whose numbers an isolate holds; beyond it they are read anew.
const HELD_COUNT_MAX: usize = 1_000;

/// The numbers in the path of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generations {
    /// Of the namespace.
    pub ns: u64,
    /// Of the type.
    pub artifact_type: u64,
}

/// The numbers that an isolate holds, each with the time when it was read.
#[derive(Debug, Default)]
pub struct HeldGenerations(RefCell<HashMap<(Namespace, ArtifactType), (Micros, Generations)>>);

impl HeldGenerations {
    /// The numbers for an artifact's copies: held ones, or those in the cache, or new ones of `draw`.
    pub async fn current(
        &self,
        edge: &impl EdgeCache,
        key: &ArtifactKey,
        now: Micros,
        draw: &dyn Fn() -> u64,
    ) -> Generations {
        let of_type = (key.ns.clone(), key.artifact_type.clone());
        let held = self.0.borrow().get(&of_type).copied();
        // A clock that went back makes none younger.
        if let Some((read_at, generations)) = held
            && (0..HOLD_MICROS).contains(&(now.0 - read_at.0))
        {
            return generations;
        }
        let ns_place = ns_generation_place(&key.ns);
        let type_place = type_generation_place(&key.ns, &key.artifact_type);
        let (ns, artifact_type) =
            join(read_or_draw(edge, &ns_place, draw), read_or_draw(edge, &type_place, draw)).await;
        let generations = Generations { ns, artifact_type };
        let mut held = self.0.borrow_mut();
        if held.len() >= HELD_COUNT_MAX {
            held.clear();
        }
        // Held from the time when it was asked for: it may have changed since.
        held.insert(of_type, (now, generations));
        generations
    }

    /// Forgets all of them.
    pub fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

async fn read_or_draw(edge: &impl EdgeCache, place: &str, draw: &dyn Fn() -> u64) -> u64 {
    if let Some((note, _)) = edge.find(place).await
        && let Ok(number) = u64::from_str_radix(&note, 16)
    {
        return number;
    }
    renew(edge, place, draw).await
}

/// Gives a namespace or a type another number. It is in force in the data centre [`HOLD_MICROS`] later.
pub async fn renew(edge: &impl EdgeCache, place: &str, draw: &dyn Fn() -> u64) -> u64 {
    let number = draw();
    let note = format!("{number:016x}");
    edge.store(place, Copy { note: &note, tags: "", body: Bytes::new() }, TTL_SECS).await;
    number
}
