//! Removing the copies of what was written, in this data centre (design.md §6 "Purge").
//!
//! What is few is deleted, each representation by its place. What is much is left behind by a new generation of its type
//! or of the namespace. Both are in force when [`purge`] is done.

use std::collections::BTreeSet;

use firn_store::retry::Pause;
use firn_types::key::{ArtifactKey, ArtifactType, Namespace};

use super::{
    EdgeCache,
    generation::{HOLD_MICROS, HeldGenerations, renew},
    place::{copy_places, ns_generation_place, type_generation_place},
};
use crate::{
    ports::Clock,
    purge::message::{Purge, Touched},
};

/// Most artifacts whose copies are deleted one by one. 12 places each: as many deletions as take about as long as the
/// wait for a new generation, and far below the 10,000 subrequests of an invocation.
const KEYS_MAX: usize = 200;

/// Most types that get a new generation each; beyond it the namespace does.
const TYPES_MAX: usize = 20;

/// Places that are deleted by one call of the cache.
const PLACES_AT_ONCE: usize = 600;

/// Removes the copies of what was touched. A key that no artifact can have is none that has a copy.
pub async fn purge(
    edge: &impl EdgeCache,
    generations: &HeldGenerations,
    platform: &(impl Pause + Clock),
    draw: &dyn Fn() -> u64,
    purge: &Purge<'_>,
) {
    let Ok(ns) = Namespace::parse(purge.ns) else { return };
    let types = match &purge.touched {
        Touched::Keys(keys) if keys.len() <= KEYS_MAX => {
            let keys =
                keys.iter().filter_map(|key| ArtifactKey::parse(purge.ns, key.artifact_type, key.id).ok());
            return delete(edge, generations, platform, draw, keys).await;
        }
        Touched::Keys(keys) => keys.iter().map(|key| key.artifact_type).collect(),
        Touched::Types(types) => types.iter().copied().collect(),
        Touched::Namespace => BTreeSet::new(),
    };
    if types.is_empty() || types.len() > TYPES_MAX {
        renew(edge, &ns_generation_place(&ns), draw).await;
    } else {
        for artifact_type in types.into_iter().filter_map(|word| ArtifactType::parse(word).ok()) {
            renew(edge, &type_generation_place(&ns, &artifact_type), draw).await;
        }
    }
    generations.forget();
    // Until then other isolates go by the old number.
    platform.pause(u64::try_from(HOLD_MICROS / 1_000).unwrap_or(0)).await;
}

async fn delete(
    edge: &impl EdgeCache,
    generations: &HeldGenerations,
    platform: &impl Clock,
    draw: &dyn Fn() -> u64,
    keys: impl Iterator<Item = ArtifactKey>,
) {
    let mut places = Vec::new();
    for key in keys {
        let current = generations.current(edge, &key, platform.now(), draw).await;
        places.extend(copy_places(current, &key));
    }
    for some in places.chunks(PLACES_AT_ONCE) {
        edge.remove(some).await;
    }
}
