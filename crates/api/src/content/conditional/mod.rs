//! Conditional and range requests (RFC 9110 §13 and §14): from the whole representation to what of it is sent.
//!
//! It sees nothing but the 200 of a caller who may read, so it cannot tell anyone of what they may not; an error never
//! becomes a 304. `If-Match` and `If-Unmodified-Since` are for methods that write, and are not looked at.

use firn_types::{error::ErrorCode, time::Micros};

use crate::{
    http::{RequestHead, Response},
    problem::Problem,
};

/// What a `Range` asks for, of a representation of a known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selection {
    /// All of it: another unit, several ranges, or no valid range (§14.2 lets a server ignore each).
    Whole,
    /// The bytes from `start` up to, not including, `end`; at least one.
    Part { start: u64, end: u64 },
    /// Nothing that there is.
    Unsatisfiable,
}

/// What is sent of `whole`, in the order of §13.2.2: 304 where the caller has it already, 206 for a single range, else
/// all of it. A range is for GET alone (§14.2). `now` tells the century of a date that gives two digits of its year.
///
/// # Errors
/// 416 with the length, for a range that selects nothing.
pub fn evaluate(head: &RequestHead, whole: Response, now: Micros) -> Result<Response, Problem> {
    if whole.status != 200 {
        return Ok(whole);
    }
    if is_current(head, &whole, now) {
        return Ok(not_modified(whole));
    }
    let whole = whole.with("Accept-Ranges", "bytes");
    let len_bytes = whole.body.len() as u64;
    let selection = match head.header("range") {
        Some(range) if head.method == "GET" && may_resume(head, &whole, now) => select(range, len_bytes),
        _ => Selection::Whole,
    };
    match selection {
        Selection::Whole => Ok(whole),
        Selection::Part { start, end } => Ok(part(whole, start, end)),
        Selection::Unsatisfiable => {
            let detail = format!("the representation has {len_bytes} bytes");
            Err(Problem::new(ErrorCode::RangeNotSatisfiable, detail)
                .with_header("Content-Range", format!("bytes */{len_bytes}")))
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
    matches!((since, modified(whole, now)), (Some(since), Some(modified)) if modified <= since)
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

fn select(range: &str, len_bytes: u64) -> Selection {
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

/// 304 with what a cache must learn (§15.4.5), and nothing of what describes a body.
fn not_modified(mut whole: Response) -> Response {
    let has_tag = whole.header("ETag").is_some();
    let is_left_out = |name: &str| name.starts_with("Content-") || (has_tag && name == "Last-Modified");
    whole.headers.retain(|(name, _)| !is_left_out(name));
    Response { status: 304, headers: whole.headers, body: bytes::Bytes::new() }
}

fn part(mut whole: Response, start: u64, end: u64) -> Response {
    let len_bytes = whole.body.len();
    let (Ok(from), Ok(to)) = (usize::try_from(start), usize::try_from(end)) else { return whole };
    whole.status = 206;
    whole.body = whole.body.slice(from..to);
    whole.with("Content-Range", format!("bytes {start}-{}/{len_bytes}", end - 1))
}

#[cfg(test)]
mod tests;
