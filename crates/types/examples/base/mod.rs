//! What both modules of the measurement use.

use chrono::{DateTime, SecondsFormat};

/// A text that the compiler cannot know.
pub(crate) fn text(len_bytes: usize) -> String {
    std::hint::black_box("x").repeat(len_bytes)
}

/// JSON, dates and formatting, as every Worker has them.
pub(crate) fn used(text: &str) -> usize {
    let value = serde_json::from_str::<serde_json::Value>(text).map(|v| v.to_string()).unwrap_or_default();
    let date = DateTime::parse_from_rfc3339(text).map(|d| d.timestamp_micros()).unwrap_or_default();
    let date = DateTime::from_timestamp_micros(date).unwrap_or_default();
    let shown = date.to_rfc3339_opts(SecondsFormat::Micros, true) + &date.format("%a").to_string();
    std::hint::black_box(format!("{value}{shown}{:?}", text.to_ascii_lowercase())).len()
}
