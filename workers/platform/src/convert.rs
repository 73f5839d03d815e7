//! Requests and responses to and from those of the core, and the log. One call into JavaScript each: every header by
//! itself costs more than all of them together.

use firn_api::{
    http::{RequestHead, Response},
    problem::Problem,
};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

use crate::{body::describe, kv::binding, random_id};

#[wasm_bindgen(module = "/src/bindings.js")]
extern "C" {
    #[wasm_bindgen(js_name = readHead)]
    fn read_lines(request: &web_sys::Request) -> String;

    #[wasm_bindgen(js_name = respond)]
    fn respond(status: u16, head: &str, body: &JsValue) -> web_sys::Response;

    #[wasm_bindgen(js_name = forward, catch)]
    async fn forward_to(service: &JsValue, request: &web_sys::Request) -> Result<JsValue, JsValue>;
}

/// The answer of the Worker that is bound under a name, as it is.
///
/// # Errors
/// What the runtime says; for the log.
pub async fn forward(
    env: &worker::Env,
    name: &str,
    request: &web_sys::Request,
) -> Result<web_sys::Response, String> {
    let service = binding(env, name).ok_or_else(|| format!("there is no binding {name}"))?;
    let answer = forward_to(&service, request).await.map_err(|error| describe(&error))?;
    Ok(answer.unchecked_into())
}

/// The head of a request. The path is what the client sent (the runtime has resolved its dot segments).
pub fn read_head(request: &web_sys::Request) -> RequestHead {
    let text = read_lines(request);
    let mut lines = text.split('\n');
    let method = lines.next().unwrap_or_default();
    let (path, query) = split_url(lines.next().unwrap_or_default());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    RequestHead {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        request_id: RequestHead::choose_request_id(&headers, random_id),
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
pub fn send_response(response: &Response, head: &RequestHead) -> web_sys::Response {
    let body = match response.body.as_ref() {
        [] => JsValue::UNDEFINED,
        bytes => Uint8Array::from(bytes).into(),
    };
    send(response, head, &body)
}

/// The response with a body that the edge cache has, which flows past us.
#[cfg(feature = "content")]
pub fn send_stored(response: &Response, head: &RequestHead, body: &crate::StoredBody) -> web_sys::Response {
    send(response, head, &body.0)
}

fn send(response: &Response, head: &RequestHead, body: &JsValue) -> web_sys::Response {
    let mut lines = String::with_capacity(640);
    for (name, value) in &response.headers {
        lines.push_str(name);
        lines.push(':');
        lines.push_str(value);
        lines.push('\n');
    }
    lines.push_str("X-Request-Id:");
    lines.push_str(&head.request_id);
    respond(response.status, &lines, body)
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
