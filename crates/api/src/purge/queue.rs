//! What waits to be purged from the zone: each thing once, and nothing beneath something that waits as a whole.
//!
//! Many waiting artifacts of a type become the type, many types of a namespace the namespace: a call names at most a
//! hundred tags and calls are few, and dropping a few copies that were still good costs a few reads.
//!
//! Nothing here is stored; whoever holds a queue stores its [`Changes`], in one transaction with what caused them, and
//! [restores](Queue::restore) it from there. What is on its way stays stored until it has arrived.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use firn_ndjson::digest::Sha256;
use firn_types::time::Micros;
use serde::{Deserialize, Serialize};

use super::message::{Purge, Touched};
use crate::cache_tags::{CacheTag, EDGE_LIFETIME_SECS_MAX};

/// Types of one namespace that wait before the namespace does instead: two calls of half the free plan's size.
pub const TYPES_PER_NAMESPACE_MAX: usize = 50;

/// Things that wait before the fullest types and namespaces are purged as a whole: some 200 bytes each, 2 MB.
pub const WAITING_COUNT_MAX: usize = 10_000;

/// Longest time between a call that was never heard of again and the next with the same tags, in microseconds; several
/// times what a call may take.
const LOST_AFTER_MICROS: i64 = 60_000_000;

/// What is purged: a namespace, a type of it, or an artifact of that. In this order everything within something follows
/// it directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    namespace: CacheTag,
    artifact_type: Option<CacheTag>,
    artifact: Option<CacheTag>,
}

impl Target {
    /// A whole namespace.
    pub fn namespace<H: Sha256 + Default>(ns: &str) -> Self {
        Self { namespace: CacheTag::of_namespace::<H>(ns), artifact_type: None, artifact: None }
    }

    /// This type of the namespace.
    #[must_use]
    pub fn of_type<H: Sha256 + Default>(self, ns: &str, artifact_type: &str) -> Self {
        Self { artifact_type: Some(CacheTag::of_type::<H>(ns, artifact_type)), artifact: None, ..self }
    }

    /// This artifact of the namespace's type.
    #[must_use]
    pub fn of_artifact<H: Sha256 + Default>(self, ns: &str, artifact_type: &str, id: &str) -> Self {
        Self { artifact: Some(CacheTag::of_artifact::<H>(ns, artifact_type, id)), ..self }
    }

    /// The tag that covers it and nothing else.
    pub fn tag(&self) -> CacheTag {
        self.artifact.or(self.artifact_type).unwrap_or(self.namespace)
    }

    /// What it is part of.
    pub fn parent(&self) -> Option<Self> {
        match (self.artifact, self.artifact_type) {
            (Some(_), _) => Some(Self { artifact: None, ..*self }),
            (None, Some(_)) => Some(Self { artifact_type: None, ..*self }),
            (None, None) => None,
        }
    }

    fn contains(&self, other: &Self) -> bool {
        self.namespace == other.namespace
            && (self.artifact_type.is_none() || self.artifact_type == other.artifact_type)
            && (self.artifact.is_none() || self.artifact == other.artifact)
    }
}

/// The targets of a message.
pub fn targets_of<H: Sha256 + Default>(purge: &Purge<'_>) -> Vec<Target> {
    let ns = purge.ns;
    let whole = Target::namespace::<H>(ns);
    match &purge.touched {
        Touched::Namespace => vec![whole],
        Touched::Types(types) => types.iter().map(|name| whole.of_type::<H>(ns, name)).collect(),
        Touched::Keys(keys) => {
            // Thousands of keys are of a few types.
            let mut types = HashMap::new();
            let mut target = |name, id| {
                let of_type: &mut Target = types.entry(name).or_insert_with(|| whole.of_type::<H>(ns, name));
                of_type.of_artifact::<H>(ns, name, id)
            };
            keys.iter().map(|key| target(key.artifact_type, key.id)).collect()
        }
    }
}

/// Something that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What.
    pub target: Target,
    /// Since when.
    pub since: Micros,
    /// When it was touched last.
    pub touched_at: Micros,
}

/// When many become one.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Artifacts of one type that may wait.
    pub keys_per_type: usize,
    /// Types of one namespace that may wait.
    pub types_per_namespace: usize,
    /// Everything that may wait.
    pub waiting: usize,
}

/// What is to be stored (`Some`) or no longer (`None`), by its tag.
pub type Changes = BTreeMap<CacheTag, Option<Waiting>>;

/// What waits and what is on its way.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    waiting: BTreeMap<Target, Waiting>,
    sent: Option<(Micros, Vec<Waiting>)>,
    changes: Changes,
    dropped_count: u64,
}

impl Queue {
    /// With what was stored: what waited, and what was on its way, which may not have arrived.
    pub fn restore(limits: Limits, stored: &[Waiting]) -> Self {
        let waiting = BTreeMap::new();
        let mut queue = Self { limits, waiting, sent: None, changes: Changes::new(), dropped_count: 0 };
        queue.take_back(stored);
        let stored: HashMap<CacheTag, &Waiting> = stored.iter().map(|w| (w.target.tag(), w)).collect();
        queue.changes.retain(|tag, change| change.as_ref() != stored.get(tag).copied());
        queue
    }

    /// Takes in what was touched.
    pub fn push(&mut self, now: Micros, targets: &[Target]) {
        for &target in targets {
            self.insert(Waiting { target, since: now, touched_at: now });
        }
        self.shrink();
    }

    /// Takes out the oldest, at most `count_max`, to be sent; the rest waits. None while others are on their way.
    pub fn send(&mut self, now: Micros, count_max: usize) -> Vec<CacheTag> {
        self.expire(now);
        if self.sending_until().is_some_and(|until| now < until) {
            return Vec::new();
        }
        self.failed();
        let mut batch: Vec<Waiting> = self.waiting.values().copied().collect();
        batch.sort_unstable_by_key(|waiting| (waiting.since, waiting.target));
        batch.truncate(count_max);
        for waiting in &batch {
            self.waiting.remove(&waiting.target);
        }
        let tags = batch.iter().map(|waiting| waiting.target.tag()).collect();
        if !batch.is_empty() {
            self.sent = Some((now, batch));
        }
        tags
    }

    /// What was sent has arrived. What was touched again meanwhile waits again.
    pub fn arrived(&mut self) {
        for waiting in self.sent.take().into_iter().flat_map(|(_, batch)| batch) {
            if !self.waiting.contains_key(&waiting.target) {
                self.changes.insert(waiting.target.tag(), None);
            }
        }
    }

    /// What was sent may not have arrived: it waits again, in its old place.
    pub fn failed(&mut self) {
        if let Some((_, sent)) = self.sent.take() {
            self.take_back(&sent);
        }
    }

    /// Since when the oldest waits; `None` where nothing does.
    pub fn oldest(&self) -> Option<Micros> {
        self.waiting.values().map(|waiting| waiting.since).min()
    }

    /// How much waits.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Until when what is on its way is believed to be; `None` where nothing is.
    pub fn sending_until(&self) -> Option<Micros> {
        self.sent.as_ref().map(|(at, _)| Micros(at.0.saturating_add(LOST_AFTER_MICROS)))
    }

    /// What has to be stored since this was last asked.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// How many namespaces found no room since this was last asked: their copies go when their time is over.
    pub fn take_dropped_count(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_count)
    }

    /// What is stored already waits (again).
    fn take_back(&mut self, stored: &[Waiting]) {
        for waiting in stored {
            self.insert(*waiting);
        }
        self.shrink();
        for waiting in stored {
            // Something that covers it waits in its place.
            if !self.waiting.contains_key(&waiting.target) {
                self.changes.insert(waiting.target.tag(), None);
            }
        }
    }

    fn insert(&mut self, mut new: Waiting) {
        if let Some(covering) = self.covering(&new.target) {
            let since = covering.since.min(new.since);
            let touched_at = covering.touched_at.max(new.touched_at);
            self.put(Waiting { since, touched_at, ..covering });
            return;
        }
        for within in self.within(&new.target) {
            new.since = new.since.min(within.since);
            new.touched_at = new.touched_at.max(within.touched_at);
            self.remove(&within.target);
        }
        self.put(new);
        let Some(parent) = new.target.parent() else { return };
        let is_artifact = new.target.artifact.is_some();
        let count_max = if is_artifact { self.limits.keys_per_type } else { self.limits.types_per_namespace };
        let is_alike = |within: &&Waiting| within.target.artifact.is_some() == is_artifact;
        let is_many = self.range(&parent).filter(is_alike).nth(count_max).is_some();
        if is_many {
            self.insert(Waiting { target: parent, ..new });
        }
    }

    /// The waiting thing that the target is or is part of.
    fn covering(&self, target: &Target) -> Option<Waiting> {
        let mut next = Some(*target);
        while let Some(at) = next {
            if let Some(waiting) = self.waiting.get(&at) {
                return Some(*waiting);
            }
            next = at.parent();
        }
        None
    }

    /// Everything that waits and is the target or part of it.
    fn range(&self, target: &Target) -> impl Iterator<Item = &Waiting> {
        let from = (Bound::Included(*target), Bound::Unbounded);
        self.waiting.range(from).map(|(_, waiting)| waiting).take_while(|w| target.contains(&w.target))
    }

    fn within(&self, target: &Target) -> Vec<Waiting> {
        self.range(target).copied().collect()
    }

    fn put(&mut self, waiting: Waiting) {
        self.waiting.insert(waiting.target, waiting);
        self.changes.insert(waiting.target.tag(), Some(waiting));
    }

    fn remove(&mut self, target: &Target) {
        self.waiting.remove(target);
        self.changes.insert(target.tag(), None);
    }

    /// Drops what nothing can be cached of any more.
    fn expire(&mut self, now: Micros) {
        let lifetime = i64::try_from(EDGE_LIFETIME_SECS_MAX).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let is_over = |waiting: &&Waiting| waiting.touched_at.0.saturating_add(lifetime) <= now.0;
        let over: Vec<Target> = self.waiting.values().filter(is_over).map(|waiting| waiting.target).collect();
        for target in over {
            self.remove(&target);
        }
    }

    /// Down to the limit: the fullest types become one each, then the fullest namespaces; by then the rest is one of
    /// each namespace, of which the oldest goes.
    fn shrink(&mut self) {
        if self.waiting.len() <= self.limits.waiting {
            return;
        }
        // To half of it, so that not every further one makes this necessary.
        self.gather(|target| target.artifact.and(target.parent()));
        self.gather(|target| target.parent().map(|up| up.parent().unwrap_or(up)));
        let mut oldest: Vec<Waiting> = self.waiting.values().copied().collect();
        oldest.sort_unstable_by_key(|waiting| (waiting.touched_at, waiting.target));
        for waiting in oldest.iter().take(self.waiting.len().saturating_sub(self.limits.waiting)) {
            self.remove(&waiting.target);
            self.dropped_count += 1;
        }
    }

    /// Makes one of the most that have the same whole, until half of the limit waits.
    fn gather(&mut self, whole_of: impl Fn(&Target) -> Option<Target>) {
        let mut counts: BTreeMap<Target, usize> = BTreeMap::new();
        for whole in self.waiting.keys().filter_map(whole_of) {
            *counts.entry(whole).or_default() += 1;
        }
        let mut fullest: Vec<(Target, usize)> = counts.into_iter().filter(|&(_, count)| count > 1).collect();
        fullest.sort_unstable_by_key(|&(target, count)| (std::cmp::Reverse(count), target));
        for (target, _) in fullest {
            if self.waiting.len() <= self.limits.waiting / 2 {
                return;
            }
            let newest = self.range(&target).map(|waiting| waiting.touched_at).max().unwrap_or_default();
            self.insert(Waiting { target, since: newest, touched_at: newest });
        }
    }
}

#[cfg(test)]
mod tests;
