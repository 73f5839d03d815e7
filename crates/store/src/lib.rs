//! Object reads: the trait, its in-memory twin, range coalescing and caches.
