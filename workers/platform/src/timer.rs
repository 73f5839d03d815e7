//! Timers and chance.

use std::time::Duration;

use firn_store::retry::Pause;
use worker::Delay;

/// The runtime's timers and its random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl Pause for Timer {
    async fn pause(&self, pause_ms: u64) {
        Delay::from(Duration::from_millis(pause_ms)).await;
    }

    fn jitter(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^32")]
        let jitter = (js_sys::Math::random() * f64::from(u32::MAX)) as u32;
        jitter
    }
}
