//! `worker`'s requests and responses to and from those of the core, and the log.

use firn_api::{
    http::{RequestHead, Response},
    problem::Problem,
};
use worker::{Headers, Request, ResponseBuilder, Result};

use crate::random_id;

/// The head of a request. The path is what the client sent (the runtime has resolved its dot segments).
pub fn read_head(request: &Request) -> RequestHead {
    let url = request.inner().url();
    let (path, query) = split_url(&url);
    let headers: Vec<(String, String)> = request.headers().entries().collect();
    RequestHead {
        method: request.inner().method(),
        path: path.to_owned(),
        query: query.to_owned(),
        request_id: RequestHead::choose_request_id(&headers, random_id()),
        headers,
    }
}

/// Path and query of an absolute URL, as they stand there: nothing is decoded.
fn split_url(url: &str) -> (&str, &str) {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path_and_query = after_scheme.find('/').map_or("/", |idx| &after_scheme[idx..]);
    let without_fragment = path_and_query.split('#').next().unwrap_or_default();
    without_fragment.split_once('?').unwrap_or((without_fragment, ""))
}

/// The response, with the request's id.
pub fn send_response(response: Response, head: &RequestHead) -> Result<worker::Response> {
    let headers = Headers::new();
    for (name, value) in response.headers {
        headers.set(name, &value)?;
    }
    headers.set("X-Request-Id", &head.request_id)?;
    let builder = ResponseBuilder::new().with_status(response.status).with_headers(headers);
    if response.body.is_empty() {
        return Ok(builder.empty());
    }
    Ok(builder.fixed(Vec::from(response.body)))
}

/// One line of JSON in the log: the code, and the cause that the client does not see.
pub fn log_problem(problem: &Problem, head: &RequestHead) {
    let quote = |text: &str| js_sys::JSON::stringify(&text.into()).map(String::from).unwrap_or_default();
    worker::console_error!(
        r#"{{"request_id":{},"method":{},"status":{},"code":"{}","detail":{},"cause":{}}}"#,
        quote(&head.request_id),
        quote(&head.method),
        problem.code.status(),
        problem.code.as_str(),
        quote(&problem.detail),
        quote(problem.cause.as_deref().unwrap_or_default()),
    );
}
