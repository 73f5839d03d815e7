//! How a zone may be purged: which, and how often. Checked before anything is queued.

use super::{
    pace::{BUCKET_MAX, CALLS_PER_MINUTE_MAX, Rate, TAGS_PER_CALL_MAX},
    queue::{Limits, TYPES_PER_NAMESPACE_MAX, WAITING_COUNT_MAX},
    zone::Zone,
};

/// Fewest artifacts of a type that wait one by one: a call of them is nothing that needs saving.
const KEYS_PER_TYPE_MIN: usize = 100;

/// How a zone may be purged.
#[derive(Clone, Debug)]
pub struct PurgeConfig {
    pub(super) zone: Zone,
    pub(super) rate: Rate,
    pub(super) tags_per_call: usize,
}

impl PurgeConfig {
    /// # Errors
    /// Says which number is none.
    pub fn new(zone: Zone, rate: Rate, tags_per_call: u32) -> Result<Self, String> {
        in_range("FIRN_PURGE_CALLS_PER_MINUTE", rate.calls_per_minute, CALLS_PER_MINUTE_MAX)?;
        in_range("FIRN_PURGE_BUCKET", rate.bucket, BUCKET_MAX)?;
        in_range("FIRN_PURGE_TAGS_PER_CALL", tags_per_call, TAGS_PER_CALL_MAX)?;
        Ok(Self { zone, rate, tags_per_call: usize::try_from(tags_per_call).unwrap_or(1) })
    }

    /// Artifacts that would take longer than a minute to purge one by one are purged as their type: 500 on the Free plan.
    pub(super) fn limits(&self) -> Limits {
        let tags_per_minute = usize::try_from(self.rate.calls_per_minute)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.tags_per_call);
        Limits {
            keys_per_type: tags_per_minute.clamp(KEYS_PER_TYPE_MIN, WAITING_COUNT_MAX / 2),
            types_per_namespace: TYPES_PER_NAMESPACE_MAX,
            waiting: WAITING_COUNT_MAX,
        }
    }
}

fn in_range(name: &str, value: u32, max: u32) -> Result<(), String> {
    let is_valid = (1..=max).contains(&value);
    is_valid.then_some(()).ok_or_else(|| format!("{name} is {value}; it must lie between 1 and {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        purge::{pace, zone},
        tables::catalog::Transport,
    };

    fn config(calls_per_minute: u32, bucket: u32, tags_per_call: u32) -> Result<PurgeConfig, String> {
        let zone = Zone::new(zone::API_DEFAULT, "z0", String::new(), Transport::Encrypted).unwrap();
        PurgeConfig::new(zone, Rate { calls_per_minute, bucket }, tags_per_call)
    }

    #[test]
    fn numbers_lie_in_their_range() {
        let defaults =
            config(pace::CALLS_PER_MINUTE_DEFAULT, pace::BUCKET_DEFAULT, pace::TAGS_PER_CALL_DEFAULT);
        assert_eq!(defaults.unwrap().limits().keys_per_type, 500);
        assert_eq!(config(1, 1, 1).unwrap().limits().keys_per_type, KEYS_PER_TYPE_MIN);
        assert_eq!(config(3_000, 500, 100).unwrap().limits().keys_per_type, WAITING_COUNT_MAX / 2);
        assert!(config(CALLS_PER_MINUTE_MAX, BUCKET_MAX, TAGS_PER_CALL_MAX).is_ok());
        let said = config(0, 1, 1).unwrap_err();
        assert_eq!(said, "FIRN_PURGE_CALLS_PER_MINUTE is 0; it must lie between 1 and 60000");
        assert!(config(1, 0, 1).is_err() && config(1, 1, 0).is_err());
        assert!(config(CALLS_PER_MINUTE_MAX + 1, 1, 1).is_err());
        assert!(config(1, BUCKET_MAX + 1, 1).is_err() && config(1, 1, TAGS_PER_CALL_MAX + 1).is_err());
    }
}
