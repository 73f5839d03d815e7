//! Errors as `application/problem+json` (RFC 9457), alike in every Worker.
//!
//! What a client sees is the code, a detail written for it, and the request id. The cause goes to the log.

use firn_types::error::ErrorCode;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::Response;

/// A text for the log. Errors become one with the errors below them.
#[derive(Clone, Debug)]
pub struct Cause(String);

impl<E: std::error::Error> From<&E> for Cause {
    fn from(error: &E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(below) = source {
            text = format!("{text}: {below}");
            source = below.source();
        }
        Self(text)
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A refusal, before it is rendered.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The stable code, from which status and title follow.
    pub code: ErrorCode,
    /// What, where and the limit, for the client. Never a bucket, a path, another tenant or a cause.
    pub detail: String,
    /// What went wrong, for the log alone.
    pub cause: Option<String>,
    headers: Vec<(&'static str, String)>,
    extensions: Map<String, Value>,
}

impl Problem {
    /// A problem with a detail for the client.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), cause: None, headers: Vec::new(), extensions: Map::new() }
    }

    /// Adds the cause that is logged and never sent.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into().0);
        self
    }

    /// Adds a response header (`Allow`, `Retry-After`, `WWW-Authenticate`).
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds an extension member (RFC 9457 §3.2).
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// Adds every field of `members` as an extension member.
    #[must_use]
    pub fn with_members(mut self, members: &impl Serialize) -> Self {
        if let Ok(Value::Object(fields)) = serde_json::to_value(members) {
            self.extensions.extend(fields);
        }
        self
    }

    /// A member set by [`Self::with_member`], for tests and logs.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.extensions.get(name)
    }

    /// The answer. `type` is a relative reference to the code's row in the README's table.
    pub fn into_response(self, request_id: &str) -> Response {
        let mut body = Map::new();
        body.insert("type".into(), format!("/problems/{}", self.code.as_str()).into());
        body.insert("title".into(), self.code.title().into());
        body.insert("status".into(), self.code.status().into());
        body.insert("detail".into(), self.detail.into());
        body.insert("code".into(), self.code.as_str().into());
        body.insert("request_id".into(), request_id.into());
        body.extend(self.extensions);
        let mut response = Response::new(self.code.status())
            .with("Content-Type", "application/problem+json")
            .with("Cache-Control", "no-store")
            .with_body(Value::Object(body).to_string());
        response.headers.extend(self.headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_has_the_members_of_rfc_9457_and_hides_its_cause() {
        let response = Problem::new(ErrorCode::BodyTooLarge, "at most 10 bytes")
            .because("secret path")
            .with_member("limit", 10)
            .into_response("r1");
        assert_eq!(response.status, 413);
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "/problems/body_too_large", "title": "The body is too large", "status": 413,
                "detail": "at most 10 bytes", "code": "body_too_large", "request_id": "r1", "limit": 10
            })
        );
    }
}
