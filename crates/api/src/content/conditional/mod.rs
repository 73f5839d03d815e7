//! Conditional and range requests (RFC 9110 §13 and §14): from the whole representation to what of it is sent.
//!
//! It sees nothing but the head of the 200 of a caller who may read, wherever the representation comes from: it cannot
//! tell anyone of what they may not read, and an error never becomes a 304. `If-Match` and `If-Unmodified-Since` are for methods that write, and are not looked at.

use firn_types::{error::ErrorCode, time::Micros};

use crate::{
    http::{RequestHead, Response},
    problem::Problem,
};

/// What of a representation is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// Nothing: the caller has it already.
    Unchanged,
    /// All of it.
    Whole,
    /// The bytes from `start` up to, not including, `end`; at least one.
    Part {
        /// The first.
        start: u64,
        /// Behind the last.
        end: u64,
    },
}

/// What a `Range` asks for, of a representation of a known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selection {
    /// All of it: another unit, several ranges, or no valid range (§14.2 lets a server ignore each).
    Whole,
    Part {
        start: u64,
        end: u64,
    },
    /// Nothing that there is.
    Unsatisfiable,
}

/// What is sent of the representation whose 200 has the head `whole` and `len_bytes` of body, in the order of §13.2.2:
/// nothing where the caller has it already, a part for a single range, else all of it. A range is for GET alone
/// (§14.2). `now` tells the century of a date that gives two digits of its year.
///
/// # Errors
/// 416 with the length, for a range that selects nothing.
pub fn select(
    head: &RequestHead,
    whole: &Response,
    len_bytes: u64,
    now: Micros,
) -> Result<Selected, Problem> {
    if is_current(head, whole, now) {
        return Ok(Selected::Unchanged);
    }
    let selection = match head.header("range") {
        Some(range) if head.method == "GET" && may_resume(head, whole, now) => parse_range(range, len_bytes),
        _ => Selection::Whole,
    };
    match selection {
        Selection::Whole => Ok(Selected::Whole),
        Selection::Part { start, end } => Ok(Selected::Part { start, end }),
        Selection::Unsatisfiable => {
            let detail = format!("the representation has {len_bytes} bytes");
            Err(Problem::new(ErrorCode::RangeNotSatisfiable, detail)
                .with_header("Content-Range", format!("bytes */{len_bytes}")))
        }
    }
}

/// The head of the answer that sends `selected`, from that of the 200. A body is the caller's to add.
pub fn head_for(selected: Selected, mut whole: Response, len_bytes: u64) -> Response {
    match selected {
        // 304 with what a cache must learn (§15.4.5), and nothing of what describes a body.
        Selected::Unchanged => {
            let has_tag = whole.header("ETag").is_some();
            let is_left_out =
                |name: &str| name.starts_with("Content-") || (has_tag && name == "Last-Modified");
            whole.headers.retain(|(name, _)| !is_left_out(name));
            whole.status = 304;
            whole
        }
        Selected::Whole => whole.with("Accept-Ranges", "bytes"),
        Selected::Part { start, end } => {
            whole.status = 206;
            let range = format!("bytes {start}-{}/{len_bytes}", end - 1);
            whole.with("Accept-Ranges", "bytes").with("Content-Range", range)
        }
    }
}

/// Whether the caller holds what `whole` is: by `If-None-Match` where it is sent, whatever it says (§13.1.2), else by
/// `If-Modified-Since` (§13.1.3).
fn is_current(head: &RequestHead, whole: &Response, now: Micros) -> bool {
    if let Some(list) = head.header("if-none-match") {
        return list == "*" || whole.header("ETag").is_some_and(|tag| lists(list, tag));
    }
    let since = head.header("if-modified-since").and_then(|date| Micros::parse_http_date(date, now));
    since.is_some_and(|since| modified(whole, now).is_some_and(|modified| modified <= since))
}

/// Whether a list of entity tags holds `tag`, by weak comparison (§8.8.3.2). Commas may stand inside a tag. What
/// follows a malformed member is not looked at.
fn lists(list: &str, tag: &str) -> bool {
    let opaque = tag.strip_prefix("W/").unwrap_or(tag);
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let quoted = rest.strip_prefix("W/").unwrap_or(rest);
        let Some((inner, after)) = quoted.strip_prefix('"').and_then(|text| text.split_once('"')) else {
            return false;
        };
        if opaque.strip_prefix('"').and_then(|text| text.strip_suffix('"')) == Some(inner) {
            return true;
        }
        rest = after;
    }
}

/// Whether `If-Range` allows a part (§13.1.5): it is absent, the same strong tag, or exactly the date.
fn may_resume(head: &RequestHead, whole: &Response, now: Micros) -> bool {
    let Some(validator) = head.header("if-range") else { return true };
    if validator.starts_with('"') {
        return whole.header("ETag") == Some(validator);
    }
    let date = Micros::parse_http_date(validator, now);
    date.is_some() && date == modified(whole, now)
}

fn modified(whole: &Response, now: Micros) -> Option<Micros> {
    Micros::parse_http_date(whole.header("Last-Modified")?, now)
}

fn parse_range(range: &str, len_bytes: u64) -> Selection {
    let Some((unit, range)) = range.split_once('=') else { return Selection::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Selection::Whole };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Selection::Whole;
    }
    let (start, end) = match (position(first), position(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(len_bytes)),
        (Some(first), None) if last.is_empty() => (first, len_bytes),
        (None, Some(0)) if first.is_empty() => return Selection::Unsatisfiable,
        // §14.1.2 calls it satisfiable, and `Content-Range` cannot say it.
        (None, Some(_)) if first.is_empty() && len_bytes == 0 => return Selection::Whole,
        (None, Some(suffix)) if first.is_empty() => (len_bytes.saturating_sub(suffix), len_bytes),
        _ => return Selection::Whole,
    };
    if start < len_bytes { Selection::Part { start, end } } else { Selection::Unsatisfiable }
}

/// Digits; those beyond a u64 are as far as it goes, which lies behind every representation.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
