//! What conditions and ranges make of a whole representation.

use proptest::prelude::*;

use super::*;

const TAG: &str = "\"5.md\"";
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BODY: &str = "0123456789";

fn whole(body: &str) -> Response {
    Response::new(200)
        .with("Content-Type", "text/markdown; charset=utf-8")
        .with("Cache-Control", "private, no-store")
        .with("Vary", "Accept-Encoding")
        .with("ETag", TAG)
        .with("Last-Modified", MODIFIED)
        .with_body(body.to_owned())
}

fn send(method: &str, headers: &[(&str, &str)], whole: Response) -> Response {
    let head = RequestHead {
        method: method.to_owned(),
        path: "/$.content/a/b/c.md".to_owned(),
        query: String::new(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        request_id: "r1".to_owned(),
    };
    let now = Micros::parse_rfc3339("2026-11-20T00:00:00Z").unwrap();
    sent(&head, whole, now).unwrap_or_else(|problem| problem.into_response("r1"))
}

/// The answer to `head`, whose 200 is `whole`.
fn sent(head: &RequestHead, mut whole: Response, now: Micros) -> Result<Response, Problem> {
    let body = std::mem::take(&mut whole.body);
    let len_bytes = body.len() as u64;
    let selected = select(head, &whole, len_bytes, now)?;
    let response = head_for(selected, whole, len_bytes);
    Ok(match selected {
        Selected::Unchanged => response,
        Selected::Whole => response.with_body(body),
        Selected::Part { start, end } => {
            response.with_body(body.slice(usize::try_from(start).unwrap()..usize::try_from(end).unwrap()))
        }
    })
}

#[track_caller]
fn check(headers: &[(&str, &str)], expected: (u16, &str)) {
    let response = send("GET", headers, whole(BODY));
    let body = if response.status == 416 { "" } else { std::str::from_utf8(&response.body).unwrap() };
    assert_eq!((response.status, body), expected, "{headers:?}");
}

#[test]
fn if_none_match_compares_weakly_and_outdoes_the_date() {
    for (list, status) in [
        (TAG, 304),
        ("W/\"5.md\"", 304),
        ("\"a\", \"5.md\"", 304),
        ("\"a,\" ,, W/\"5.md\" ,\"b\"", 304),
        ("*", 304),
        ("  *\t", 304),
        ("\"5.html\"", 200),
        ("\"5.md", 200),
        ("5.md", 200),
        ("\"x\", 5.md, \"5.md\"", 200),
        ("\"x, *\"", 200),
        ("w/\"5.md\"", 200),
        ("", 200),
    ] {
        let body = if status == 200 { BODY } else { "" };
        check(&[("if-none-match", list)], (status, body));
        check(&[("if-none-match", list), ("if-modified-since", MODIFIED), ("range", "x")], (status, body));
    }
}

#[test]
fn if_modified_since_holds_from_the_second_on() {
    for (date, status) in [
        (MODIFIED, 304),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 304),
        ("Sun Nov  6 08:49:37 1994", 304),
        ("Sun, 06 Nov 1994 08:49:38 GMT", 304),
        ("Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("1994-11-06T08:49:37Z", 200),
        ("", 200),
    ] {
        check(&[("if-modified-since", date)], (status, if status == 200 { BODY } else { "" }));
    }
}

#[test]
fn one_range_is_a_part_and_what_is_no_single_valid_range_is_ignored() {
    for (range, status, body) in [
        ("bytes=0-0", 206, "0"),
        ("bytes=2-4", 206, "234"),
        ("BYTES=7-", 206, "789"),
        ("bytes=-3", 206, "789"),
        ("bytes=-99", 206, BODY),
        ("bytes=0-9", 206, BODY),
        ("bytes=8-99999999999999999999999", 206, "89"),
        ("bytes=10-", 416, ""),
        ("bytes=99999999999999999999999-", 416, ""),
        ("bytes=-0", 416, ""),
        ("bytes=4-2", 200, BODY),
        ("bytes=0-1,4-5", 200, BODY),
        ("bytes=0-1, bytes=4-5", 200, BODY),
        ("lines=0-1", 200, BODY),
        ("bytes=+1-2", 200, BODY),
        ("bytes=-", 200, BODY),
        ("bytes=a-", 200, BODY),
        ("bytes=1-b", 200, BODY),
        ("bytes 0-1", 200, BODY),
        ("", 200, BODY),
    ] {
        check(&[("range", range)], (status, body));
        let head = send("HEAD", &[("range", range)], whole(BODY));
        assert_eq!((head.status, head.body.len()), (200, BODY.len()), "HEAD {range}");
    }
}

#[test]
fn if_range_wants_the_same_strong_tag_or_exactly_the_date() {
    for (validator, status) in [
        (TAG, 206),
        (MODIFIED, 206),
        ("W/\"5.md\"", 200),
        ("\"4.md\"", 200),
        ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ("*", 200),
        ("", 200),
    ] {
        check(
            &[("if-range", validator), ("range", "bytes=1-1")],
            (status, if status == 206 { "1" } else { BODY }),
        );
    }
    check(&[("if-range", "\"4.md\""), ("range", "bytes=10-")], (200, BODY));
    check(&[("if-none-match", TAG), ("if-range", TAG), ("range", "bytes=1-1")], (304, ""));
}

#[test]
fn each_status_has_the_headers_it_must_and_no_more() {
    let names = |response: &Response| response.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let unchanged = send("HEAD", &[("if-none-match", TAG)], whole(BODY));
    assert_eq!(names(&unchanged), ["Cache-Control", "Vary", "ETag"]);
    assert_eq!(names(&unchanged.without_body()), ["Cache-Control", "Vary", "ETag"]);
    let mut untagged = whole(BODY);
    untagged.headers.retain(|(name, _)| *name != "ETag");
    let unchanged = send("GET", &[("if-modified-since", MODIFIED)], untagged);
    assert_eq!(names(&unchanged), ["Cache-Control", "Vary", "Last-Modified"]);
    assert_eq!(send("GET", &[], whole(BODY)).header("accept-ranges"), Some("bytes"));
    let part = send("GET", &[("range", "bytes=2-4")], whole(BODY));
    assert_eq!((part.header("content-range"), part.header("etag")), (Some("bytes 2-4/10"), Some(TAG)));
    let refused = send("GET", &[("range", "bytes=10-")], whole(BODY));
    assert_eq!(refused.header("content-range"), Some("bytes */10"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
}

#[test]
fn an_empty_representation_has_no_part() {
    for (range, status) in [("bytes=0-", 416), ("bytes=-0", 416), ("bytes=-1", 200)] {
        assert_eq!(send("GET", &[("range", range)], whole("")).status, status, "{range}");
    }
}

proptest! {
    #[test]
    fn a_206_is_exactly_the_slice_it_names(
        range in prop_oneof![any::<String>(), "bytes=[0-9]{0,2}-[0-9]{0,21}", "[a-z]{5}=[-0-9, ]{0,9}"],
        body in "[a-z]{0,40}",
    ) {
        let response = send("GET", &[("range", &range)], whole(&body));
        match response.status {
            206 => {
                let named = response.header("content-range").unwrap().strip_prefix("bytes ").unwrap();
                let (span, len) = named.split_once('/').unwrap();
                let (first, last) = span.split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                prop_assert_eq!(len.parse::<usize>().unwrap(), body.len());
                prop_assert_eq!(response.body.as_ref(), &body.as_bytes()[first..=last]);
            }
            200 => prop_assert_eq!(response.body.as_ref(), body.as_bytes()),
            other => prop_assert_eq!(other, 416),
        }
    }

    #[test]
    fn no_condition_panics(value in any::<String>(), name in prop::sample::select(
        vec!["if-none-match", "if-modified-since", "if-range"],
    )) {
        let response = send("GET", &[(name, &value), ("range", "bytes=1-1")], whole(BODY));
        prop_assert!(matches!(response.status, 200 | 206 | 304));
    }
}
