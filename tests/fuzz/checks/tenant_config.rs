//! Tenant configurations: what was read says what the text says and holds the rules, an error is true of the text, and
//! it is short and of one line.
//!
//! Input: the text.

#[path = "members.rs"]
mod members;

use std::collections::BTreeMap;

use firn_types::mode::Mode;
use firn_types::tenant::{
    CONFIG_LEN_BYTES_MAX, CORS_ORIGINS_MAX, CorsOrigins, MAX_AGE_SECS_MAX, RECORDS_PER_REQUEST_MAX,
    REQUEST_LEN_BYTES_MAX, REQUESTS_PER_MINUTE_MAX, TenantConfig, TenantConfigError,
};
use firn_types::visibility::Visibility;
use serde_json::{Value, json};

use members::parse_members;

/// Longest error: it repeats 64 characters of the text, up to 10 bytes each where they are escaped.
const ERROR_LEN_BYTES_MAX: usize = 1024;

const FIELDS: [&str; 13] = [
    "modes",
    "default_mode",
    "records_per_request",
    "request_len_bytes",
    "requests_per_minute",
    "max_age_secs",
    "max_age_secs_min",
    "stale_while_revalidate_secs",
    "fresh",
    "default_visibility",
    "html_sandbox",
    "lake_only_public",
    "cors_origins",
];

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match TenantConfig::parse(text) {
        Ok(config) => {
            assert_eq!(config.validate(), Ok(()));
            assert!(text.len() <= CONFIG_LEN_BYTES_MAX);
            assert!(parse_members(input).is_some(), "each name once");
            let members = serde_json::from_str(text).expect("it is an object");
            check_rules(&config);
            check_members(&config, &members);
            check_round_trip(&config);
        }
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.len() <= ERROR_LEN_BYTES_MAX && !shown.contains(char::is_control), "{shown:?}");
            check_reason(&error, text);
        }
    }
}

/// The rules of the table of `firn_types::tenant`.
fn check_rules(config: &TenantConfig) {
    let modes = &config.modes;
    assert!(modes.contains(&config.default_mode) && config.allows_mode(config.default_mode));
    assert!((1..modes.len()).all(|idx| !modes[..idx].contains(&modes[idx])), "each mode once");
    assert!((1..=RECORDS_PER_REQUEST_MAX).contains(&config.records_per_request));
    assert!((1..=REQUEST_LEN_BYTES_MAX).contains(&config.request_len_bytes));
    assert!((1..=REQUESTS_PER_MINUTE_MAX).contains(&config.requests_per_minute));
    assert!(config.max_age_secs_min <= config.max_age_secs && config.max_age_secs <= MAX_AGE_SECS_MAX);
    assert!(config.stale_while_revalidate_secs <= MAX_AGE_SECS_MAX);
    if let CorsOrigins::List(origins) = &config.cors_origins {
        assert!(origins.len() <= CORS_ORIGINS_MAX);
        for origin in origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let is_plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-' | ':' | '[' | ']');
            assert!(host.is_some_and(|host| !host.is_empty() && host.chars().all(is_plain)), "{origin}");
            assert!(config.allows_origin(origin) && !config.allows_origin(&format!("{origin}.example")));
        }
    }
}

/// Every field is the text's, or the default.
fn check_members(config: &TenantConfig, members: &BTreeMap<String, Value>) {
    let (found, default) = (rendered(config), rendered(&TenantConfig::default()));
    for name in FIELDS {
        match (name, members.get(name)) {
            (_, None) => assert_eq!(found[name], default[name], "{name}"),
            ("modes", Some(value)) => {
                let mut once: Vec<&Value> = Vec::new();
                for mode in value.as_array().expect("it is a list") {
                    if !once.contains(&mode) {
                        once.push(mode);
                    }
                }
                assert_eq!(found[name], json!(once));
            }
            (_, Some(value)) => assert_eq!(found[name], *value, "{name}"),
        }
    }
    assert!(members.keys().all(|name| FIELDS.contains(&name.as_str())));
}

fn check_round_trip(config: &TenantConfig) {
    let text = rendered(config).to_string();
    if text.len() <= CONFIG_LEN_BYTES_MAX {
        assert_eq!(TenantConfig::parse(&text).as_ref(), Ok(config), "{text}");
    }
}

fn rendered(config: &TenantConfig) -> Value {
    let modes: Vec<&str> = config.modes.iter().map(|mode| mode.as_str()).collect();
    let origins = match &config.cors_origins {
        CorsOrigins::Any => vec!["*"],
        CorsOrigins::List(origins) => origins.iter().map(String::as_str).collect(),
    };
    json!({
        "modes": modes,
        "default_mode": config.default_mode.as_str(),
        "records_per_request": config.records_per_request,
        "request_len_bytes": config.request_len_bytes,
        "requests_per_minute": config.requests_per_minute,
        "max_age_secs": config.max_age_secs,
        "max_age_secs_min": config.max_age_secs_min,
        "stale_while_revalidate_secs": config.stale_while_revalidate_secs,
        "fresh": config.fresh,
        "default_visibility": config.default_visibility.as_str(),
        "html_sandbox": config.html_sandbox,
        "lake_only_public": config.lake_only_public,
        "cors_origins": origins,
    })
}

/// An error is true of the text.
fn check_reason(error: &TenantConfigError, text: &str) {
    let object: Option<BTreeMap<String, Value>> = serde_json::from_str(text).ok();
    if matches!(error, TenantConfigError::TooLarge { .. }) {
        assert!(text.len() > CONFIG_LEN_BYTES_MAX);
        return;
    }
    if matches!(error, TenantConfigError::NotAnObject { .. }) {
        assert!(object.is_none());
        return;
    }
    let object = object.expect("another error is about the members of an object");
    let is_twice = parse_members(text.as_bytes()).is_none();
    let value = |field: &str| object.get(field).cloned().unwrap_or_default();
    match error {
        TenantConfigError::TooLarge { .. } | TenantConfigError::NotAnObject { .. } => unreachable!(),
        TenantConfigError::UnknownField { .. } => {
            assert!(object.keys().any(|name| !FIELDS.contains(&name.as_str())));
        }
        TenantConfigError::DuplicateField { field } => {
            assert!(FIELDS.contains(&field.as_str()) && is_twice);
        }
        // Of a field that stands twice the object has the other value.
        TenantConfigError::WrongType { field, .. } => {
            assert!(!has_type(field, &value(field)) || is_twice);
        }
        TenantConfigError::OutOfRange { field, value: found, min, max } => {
            assert!(!(min..=max).contains(&found));
            assert_eq!(*found, value(field).as_u64().unwrap_or(TenantConfig::default().max_age_secs_min));
        }
        TenantConfigError::Empty { field } => assert_eq!(value(field), json!([])),
        TenantConfigError::TooMany { field, count, limit } => {
            assert!(count > limit);
            assert_eq!(value(field).as_array().map(Vec::len), Some(*count));
        }
        TenantConfigError::DefaultModeNotAllowed(mode) => {
            assert!(!value("modes").as_array().is_some_and(|modes| modes.contains(&json!(mode.as_str()))));
        }
        TenantConfigError::NotAnOrigin { .. } => {
            assert!(value("cors_origins").as_array().is_some_and(|origins| !origins.is_empty()));
        }
    }
}

fn has_type(field: &str, value: &Value) -> bool {
    let is_mode = |value: &Value| value.as_str().is_some_and(|word| Mode::parse(word).is_some());
    match field {
        "modes" => value.as_array().is_some_and(|modes| modes.iter().all(is_mode)),
        "default_mode" => is_mode(value),
        "fresh" | "html_sandbox" | "lake_only_public" => value.is_boolean(),
        "default_visibility" => value.as_str().is_some_and(|word| Visibility::parse(word).is_some()),
        "cors_origins" => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
        _ => value.is_u64(),
    }
}
