//! A cache bounded by bytes, least recently used first out, for immutable parsed objects (design.md §6).
//!
//! It is plain shared state: no lock, no future, nothing that one request could make another wait for.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// Budget of an isolate. An isolate has 128 MB, shared by its concurrent requests, and wasm memory never shrinks: a
/// quarter for what is kept leaves the rest for what is under way (six requests, each a few MiB of pages and bodies).
pub const BUDGET_LEN_BYTES_DEFAULT: u64 = 32 * 1024 * 1024;

/// How the cache has fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Values found.
    pub hits: u64,
    /// Values not found.
    pub misses: u64,
    /// Values that had to make room.
    pub evictions: u64,
}

/// Values by key, at most a budget of bytes of them.
#[derive(Debug)]
pub struct ByteLru<K, V> {
    budget_len_bytes: u64,
    used_len_bytes: u64,
    clock: u64,
    entries: HashMap<K, Entry<V>>,
    /// Key by the time of its last use; times are unique.
    by_use: BTreeMap<u64, K>,
    counts: CacheCounts,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    len_bytes: u64,
    used_at: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> ByteLru<K, V> {
    /// An empty cache.
    pub fn new(budget_len_bytes: u64) -> Self {
        Self {
            budget_len_bytes,
            used_len_bytes: 0,
            clock: 0,
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            counts: CacheCounts::default(),
        }
    }

    /// The value of `key`, which is now the most recently used.
    pub fn get(&mut self, key: &K) -> Option<V> {
        let Some(entry) = self.entries.get_mut(key) else {
            self.counts.misses += 1;
            return None;
        };
        self.counts.hits += 1;
        self.clock += 1;
        if let Some(key) = self.by_use.remove(&entry.used_at) {
            self.by_use.insert(self.clock, key);
        }
        entry.used_at = self.clock;
        Some(entry.value.clone())
    }

    /// Keeps `value`, in place of an earlier one of the key, and drops the least recently used values until the
    /// budget holds. A value larger than the whole budget is not kept.
    pub fn insert(&mut self, key: K, value: V, len_bytes: u64) {
        self.remove(&key);
        if len_bytes > self.budget_len_bytes {
            return;
        }
        while self.used_len_bytes.saturating_add(len_bytes) > self.budget_len_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.used_len_bytes = self.used_len_bytes.saturating_sub(entry.len_bytes);
                self.counts.evictions += 1;
            }
        }
        self.clock += 1;
        self.used_len_bytes = self.used_len_bytes.saturating_add(len_bytes);
        self.by_use.insert(self.clock, key.clone());
        self.entries.insert(key, Entry { value, len_bytes, used_at: self.clock });
    }

    /// Forgets a key; true if it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        self.by_use.remove(&entry.used_at);
        self.used_len_bytes = self.used_len_bytes.saturating_sub(entry.len_bytes);
        true
    }

    /// Bytes in use.
    pub fn used_len_bytes(&self) -> u64 {
        self.used_len_bytes
    }

    /// Hits, misses and evictions since the start.
    pub fn counts(&self) -> CacheCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn least_recently_used_makes_room() {
        let mut cache = ByteLru::new(10);
        cache.insert("a", 1, 4);
        cache.insert("b", 2, 4);
        assert_eq!(cache.get(&"a"), Some(1));
        cache.insert("c", 3, 4);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.get(&"c")), (Some(1), None, Some(3)));
        assert_eq!(cache.counts(), CacheCounts { hits: 3, misses: 1, evictions: 1 });
        assert_eq!(cache.used_len_bytes(), 8);
        cache.insert("a", 9, 1);
        assert_eq!((cache.get(&"a"), cache.used_len_bytes()), (Some(9), 5));
        assert!(cache.remove(&"a") && !cache.remove(&"a"));
    }

    #[test]
    fn value_over_the_budget_is_not_kept_and_drops_nothing_but_its_own_predecessor() {
        let mut cache = ByteLru::new(10);
        cache.insert("a", 1, 5);
        cache.insert("b", 2, 5);
        cache.insert("a", 3, 11);
        assert_eq!((cache.get(&"a"), cache.get(&"b")), (None, Some(2)));
    }

    proptest! {
        #[test]
        fn budget_always_holds(steps in prop::collection::vec((0..8u8, 0..60u64, any::<bool>()), 0..200)) {
            let mut cache = ByteLru::new(100);
            for (key, len_bytes, is_get) in steps {
                if is_get { cache.get(&key); } else { cache.insert(key, key, len_bytes); }
                let sum: u64 = cache.entries.values().map(|entry| entry.len_bytes).sum();
                prop_assert_eq!(sum, cache.used_len_bytes());
                prop_assert!(sum <= 100);
                prop_assert_eq!(cache.entries.len(), cache.by_use.len());
            }
        }
    }
}
