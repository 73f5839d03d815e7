//! The version of an artifact: a hybrid logical clock in microseconds (design.md §2).

use std::fmt;

use crate::time::Micros;

/// Versions stay below 2^53, so that JavaScript keeps them exact (the year 2255).
pub const VERSION_MAX: i64 = (1 << 53) - 1;

/// A version; strictly rising per namespace, a string in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(i64);

impl Version {
    /// `None` outside 1..=[`VERSION_MAX`].
    pub fn new(value: i64) -> Option<Self> {
        (1..=VERSION_MAX).contains(&value).then_some(Self(value))
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A clock that never gives the same version twice nor a smaller one, whatever the wall clock does.
#[derive(Clone, Copy, Debug, Default)]
pub struct VersionClock {
    last: i64,
}

impl VersionClock {
    /// The next version: now, or one above the last given one where the wall clock has not passed it.
    pub fn next(&mut self, now: Micros) -> Version {
        self.last = now.0.max(self.last.saturating_add(1)).clamp(1, VERSION_MAX);
        Version(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_rises_when_the_wall_clock_steps_back() {
        let mut clock = VersionClock::default();
        let given: Vec<i64> = [100, 100, 50, 101, 200].map(|now| clock.next(Micros(now)).get()).to_vec();
        assert_eq!(given, [100, 101, 102, 103, 200]);
    }

    #[test]
    fn version_is_a_positive_exact_number() {
        assert!(Version::new(0).is_none());
        assert!(Version::new(VERSION_MAX).is_some());
        assert!(Version::new(VERSION_MAX + 1).is_none());
    }
}
