//! What a tenant may do and how its content is cached: the JSON under `artifact-config:{ns}` in KV (design.md §3).
//!
//! Every field is optional; an absent one, and an absent configuration, mean the default. Nothing is silently
//! corrected: an unknown field, a wrong type or a value out of range is an error that names field, value and limit.
//!
//! | field | default | |
//! |---|---|---|
//! | `modes` | all | modes that a request may have |
//! | `default_mode` | `build` | mode of a request that names none |
//! | `records_per_request` | 1,000 | |
//! | `request_len_bytes` | 10,485,760 | of the decompressed body |
//! | `requests_per_minute` | 100 | |
//! | `records_per_day` | none | records written in a day (UTC) |
//! | `len_bytes_per_day` | none | bytes of their JSON |
//! | `max_age_secs` | 300 | of an answer, and the most that `?max_age` may ask for |
//! | `max_age_secs_min` | 10 | the least that `?max_age` may ask for |
//! | `stale_while_revalidate_secs` | 60 | |
//! | `fresh` | `true` | whether `?fresh=true` is allowed |
//! | `default_visibility` | `public` | of a record that names none |
//! | `html_sandbox` | `true` | whether stored HTML is sent with `Content-Security-Policy: sandbox` |
//! | `lake_only_public` | `false` | whether public content may be served while the ledger does not answer |
//! | `cors_origins` | none | origins whose pages may read; `["*"]` is any |

mod origin;

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use thiserror::Error;

use crate::{
    key::Namespace,
    limits::{RECORDS_PER_REQUEST_DEFAULT, REQUEST_LEN_BYTES_DEFAULT, REQUESTS_PER_MINUTE_DEFAULT},
    mode::Mode,
    visibility::Visibility,
};
use origin::is_origin;

/// Longest configuration: [`CORS_ORIGINS_MAX`] origins of 253 bytes each fill 16 KiB.
pub const CONFIG_LEN_BYTES_MAX: usize = 32 * 1024;

/// Largest limit of bytes a request: Cloudflare takes no larger body on any plan.
pub const REQUEST_LEN_BYTES_MAX: u64 = 5_000_000_000;

/// Largest limit of records a request: as many as [`REQUEST_LEN_BYTES_MAX`] holds at 50 bytes, which is little more
/// than a key.
pub const RECORDS_PER_REQUEST_MAX: u64 = 100_000_000;

/// Largest limit of requests a minute: a namespace's ledger takes about a thousand a second.
pub const REQUESTS_PER_MINUTE_MAX: u64 = 60_000;

/// Largest quota of a day: what a ledger counts exactly, 2^53 − 1.
pub const QUOTA_MAX: u64 = (1 << 53) - 1;

/// Longest freshness: a year, beyond which RFC 9111 §1.2.2 gives no meaning.
pub const MAX_AGE_SECS_MAX: u64 = 31_536_000;

/// Most origins: each preflight looks at all of them.
pub const CORS_ORIGINS_MAX: usize = 64;

/// Longest value that an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 64;

/// Which origins' pages may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Any. No credentials are ever allowed with it, so it opens nothing that a server could not read as well.
    Any,
    /// These, written as a browser sends them.
    List(Vec<String>),
}

/// The configuration of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantConfig {
    /// Modes that a request may have; never empty.
    pub modes: Vec<Mode>,
    /// The mode of a request that names none; one of [`Self::modes`].
    pub default_mode: Mode,
    /// Most records a request.
    pub records_per_request: u64,
    /// Most bytes a request, decompressed.
    pub request_len_bytes: u64,
    /// Most requests a minute.
    pub requests_per_minute: u64,
    /// Records written in a day (UTC) after which nothing more is taken.
    pub records_per_day: Option<u64>,
    /// Bytes of the JSON of records written in a day after which nothing more is taken.
    pub len_bytes_per_day: Option<u64>,
    /// `max-age` of an answer.
    pub max_age_secs: u64,
    /// Least `max-age` that a reader may ask for; at most [`Self::max_age_secs`].
    pub max_age_secs_min: u64,
    /// `stale-while-revalidate` of an answer.
    pub stale_while_revalidate_secs: u64,
    /// Whether `?fresh=true` is allowed.
    pub fresh: bool,
    /// Visibility of a record that names none.
    pub default_visibility: Visibility,
    /// Whether stored HTML is sandboxed.
    pub html_sandbox: bool,
    /// Whether public content may be served while the ledger does not answer, at the price that a fresh deletion may
    /// be missed.
    pub lake_only_public: bool,
    /// Whose pages may read.
    pub cors_origins: CorsOrigins,
}

impl Default for TenantConfig {
    fn default() -> Self {
        Self {
            modes: Mode::ALL.to_vec(),
            default_mode: Mode::Build,
            records_per_request: RECORDS_PER_REQUEST_DEFAULT,
            request_len_bytes: REQUEST_LEN_BYTES_DEFAULT,
            requests_per_minute: REQUESTS_PER_MINUTE_DEFAULT,
            records_per_day: None,
            len_bytes_per_day: None,
            max_age_secs: 300,
            max_age_secs_min: 10,
            stale_while_revalidate_secs: 60,
            fresh: true,
            default_visibility: Visibility::Public,
            html_sandbox: true,
            lake_only_public: false,
            cors_origins: CorsOrigins::List(Vec::new()),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TenantConfigError {
    /// The text is longer than [`CONFIG_LEN_BYTES_MAX`].
    #[error("the configuration has {len_bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// The length found.
        len_bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The text is not a JSON object.
    #[error("the configuration is not a JSON object (line {line}, column {column})")]
    NotAnObject {
        /// Where reading ended.
        line: usize,
        /// Where reading ended.
        column: usize,
    },
    /// A field that does not exist.
    #[error("{field:?} is not a field of the configuration")]
    UnknownField {
        /// The field.
        field: String,
    },
    /// A field that stands twice.
    #[error("{field:?} stands twice")]
    DuplicateField {
        /// The field.
        field: String,
    },
    /// A field of another type.
    #[error("{field} is {value}; it must be {expected}")]
    WrongType {
        /// The field.
        field: &'static str,
        /// What was found, shortened.
        value: String,
        /// What must be there.
        expected: &'static str,
    },
    /// A number out of its range.
    #[error("{field} is {value}; it must lie between {min} and {max}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The number found.
        value: u64,
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// A list without an entry, where one is needed.
    #[error("{field} is empty")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// A list with too many entries.
    #[error("{field} has {count} entries; at most {limit} are allowed")]
    TooMany {
        /// The field.
        field: &'static str,
        /// The number found.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The default mode is none of the modes.
    #[error("default_mode is {mode:?}, which is not one of modes", mode = .0.as_str())]
    DefaultModeNotAllowed(Mode),
    /// An entry of `cors_origins` that no browser would send.
    #[error(
        "cors_origins holds {value}; an origin is scheme://host or scheme://host:port in lower case, or \"*\" alone"
    )]
    NotAnOrigin {
        /// What was found, shortened.
        value: String,
    },
}

impl TenantConfig {
    /// The key of a namespace's configuration in KV.
    pub fn kv_key(ns: &Namespace) -> String {
        format!("artifact-config:{ns}")
    }

    /// Reads a configuration and validates it.
    pub fn parse(text: &str) -> Result<Self, TenantConfigError> {
        let len_bytes = text.len();
        if len_bytes > CONFIG_LEN_BYTES_MAX {
            return Err(TenantConfigError::TooLarge { len_bytes, limit: CONFIG_LEN_BYTES_MAX });
        }
        let Fields(fields) = serde_json::from_str(text)
            .map_err(|error| TenantConfigError::NotAnObject { line: error.line(), column: error.column() })?;
        let mut config = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (field, value) in &fields {
            if seen.contains(&field.as_str()) {
                return Err(TenantConfigError::DuplicateField { field: shown(field) });
            }
            config.set(field, value)?;
            // Known fields alone get here, so the list stays short.
            seen.push(field);
        }
        config.validate()?;
        Ok(config)
    }

    /// Checks every value, and those that depend on another one.
    pub fn validate(&self) -> Result<(), TenantConfigError> {
        if self.modes.is_empty() {
            return Err(TenantConfigError::Empty { field: "modes" });
        }
        if !self.modes.contains(&self.default_mode) {
            return Err(TenantConfigError::DefaultModeNotAllowed(self.default_mode));
        }
        in_range("records_per_request", self.records_per_request, 1, RECORDS_PER_REQUEST_MAX)?;
        in_range("request_len_bytes", self.request_len_bytes, 1, REQUEST_LEN_BYTES_MAX)?;
        in_range("requests_per_minute", self.requests_per_minute, 1, REQUESTS_PER_MINUTE_MAX)?;
        for (field, quota) in
            [("records_per_day", self.records_per_day), ("len_bytes_per_day", self.len_bytes_per_day)]
        {
            in_range(field, quota.unwrap_or(1), 1, QUOTA_MAX)?;
        }
        in_range("max_age_secs", self.max_age_secs, 0, MAX_AGE_SECS_MAX)?;
        in_range("max_age_secs_min", self.max_age_secs_min, 0, self.max_age_secs)?;
        in_range("stale_while_revalidate_secs", self.stale_while_revalidate_secs, 0, MAX_AGE_SECS_MAX)?;
        if let CorsOrigins::List(origins) = &self.cors_origins {
            let (field, count, limit) = ("cors_origins", origins.len(), CORS_ORIGINS_MAX);
            if count > limit {
                return Err(TenantConfigError::TooMany { field, count, limit });
            }
            if let Some(bad) = origins.iter().find(|origin| !is_origin(origin)) {
                return Err(TenantConfigError::NotAnOrigin { value: shown(bad) });
            }
        }
        Ok(())
    }

    /// Whether a request may have this mode.
    pub fn allows_mode(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    /// Whether a page of this origin (the `Origin` header, RFC 6454 §7) may read.
    pub fn allows_origin(&self, origin: &str) -> bool {
        match &self.cors_origins {
            CorsOrigins::Any => true,
            CorsOrigins::List(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }

    fn set(&mut self, field: &str, value: &Value) -> Result<(), TenantConfigError> {
        match field {
            "modes" => self.modes = modes(value)?,
            "default_mode" => self.default_mode = mode("default_mode", value)?,
            "records_per_request" => self.records_per_request = number("records_per_request", value)?,
            "request_len_bytes" => self.request_len_bytes = number("request_len_bytes", value)?,
            "requests_per_minute" => self.requests_per_minute = number("requests_per_minute", value)?,
            "records_per_day" => self.records_per_day = Some(number("records_per_day", value)?),
            "len_bytes_per_day" => self.len_bytes_per_day = Some(number("len_bytes_per_day", value)?),
            "max_age_secs" => self.max_age_secs = number("max_age_secs", value)?,
            "max_age_secs_min" => self.max_age_secs_min = number("max_age_secs_min", value)?,
            "stale_while_revalidate_secs" => {
                self.stale_while_revalidate_secs = number("stale_while_revalidate_secs", value)?;
            }
            "fresh" => self.fresh = flag("fresh", value)?,
            "default_visibility" => self.default_visibility = visibility(value)?,
            "html_sandbox" => self.html_sandbox = flag("html_sandbox", value)?,
            "lake_only_public" => self.lake_only_public = flag("lake_only_public", value)?,
            "cors_origins" => self.cors_origins = origins(value)?,
            _ => return Err(TenantConfigError::UnknownField { field: shown(field) }),
        }
        Ok(())
    }
}

/// The members of the object in the order of the text, so that a name that stands twice is seen.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

fn wrong_type(field: &'static str, value: &Value, expected: &'static str) -> TenantConfigError {
    TenantConfigError::WrongType { field, value: shown(&value.to_string()), expected }
}

fn number(field: &'static str, value: &Value) -> Result<u64, TenantConfigError> {
    value.as_u64().ok_or_else(|| wrong_type(field, value, "a whole number, not negative"))
}

fn flag(field: &'static str, value: &Value) -> Result<bool, TenantConfigError> {
    value.as_bool().ok_or_else(|| wrong_type(field, value, "true or false"))
}

fn mode(field: &'static str, value: &Value) -> Result<Mode, TenantConfigError> {
    let expected = "\"preview\", \"build\" or \"bulk\"";
    value.as_str().and_then(Mode::parse).ok_or_else(|| wrong_type(field, value, expected))
}

fn modes(value: &Value) -> Result<Vec<Mode>, TenantConfigError> {
    let entries = value.as_array().ok_or_else(|| wrong_type("modes", value, "a list of modes"))?;
    let mut modes = Vec::new();
    for entry in entries {
        let mode = mode("modes", entry)?;
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    Ok(modes)
}

fn visibility(value: &Value) -> Result<Visibility, TenantConfigError> {
    let expected = "\"public\", \"unlisted\", \"org\" or \"user\"";
    let word = value.as_str().and_then(Visibility::parse);
    word.ok_or_else(|| wrong_type("default_visibility", value, expected))
}

fn origins(value: &Value) -> Result<CorsOrigins, TenantConfigError> {
    let text = |entry: &Value| entry.as_str().map(str::to_owned);
    let list: Option<Vec<String>> = value.as_array().and_then(|all| all.iter().map(text).collect());
    match list {
        None => Err(wrong_type("cors_origins", value, "a list of origins")),
        Some(list) if list == ["*"] => Ok(CorsOrigins::Any),
        Some(list) => Ok(CorsOrigins::List(list)),
    }
}

fn in_range(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), TenantConfigError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(TenantConfigError::OutOfRange { field, value, min, max })
    }
}

/// What an error repeats of a text: its beginning, on one line. Control characters, which a terminal or a log would
/// obey, are replaced.
fn shown(text: &str) -> String {
    let is_longer = text.chars().nth(SHOWN_CHARS_MAX).is_some();
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(SHOWN_CHARS_MAX).map(plain).chain(is_longer.then_some('…')).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_error(text: &str, message: &str) {
        assert_eq!(TenantConfig::parse(text).unwrap_err().to_string(), message, "{text}");
    }

    #[test]
    fn absent_fields_mean_the_defaults() {
        assert_eq!(TenantConfig::parse("{}"), Ok(TenantConfig::default()));
        assert_eq!(TenantConfig::default().validate(), Ok(()));
    }

    #[test]
    fn every_field_is_read() {
        let text = r#"{
            "modes": ["bulk", "preview", "bulk"], "default_mode": "bulk",
            "records_per_request": 100000000, "request_len_bytes": 5000000000, "requests_per_minute": 60000,
            "records_per_day": 1, "len_bytes_per_day": 9007199254740991,
            "max_age_secs": 31536000, "max_age_secs_min": 0, "stale_while_revalidate_secs": 0,
            "fresh": false, "default_visibility": "org", "html_sandbox": false, "lake_only_public": true,
            "cors_origins": ["https://a.example", "http://localhost:8787", "https://[::1]:8443"]
        }"#;
        let config = TenantConfig::parse(text).unwrap();
        let expected = TenantConfig {
            modes: vec![Mode::Bulk, Mode::Preview],
            default_mode: Mode::Bulk,
            records_per_request: RECORDS_PER_REQUEST_MAX,
            request_len_bytes: REQUEST_LEN_BYTES_MAX,
            requests_per_minute: REQUESTS_PER_MINUTE_MAX,
            records_per_day: Some(1),
            len_bytes_per_day: Some(QUOTA_MAX),
            max_age_secs: MAX_AGE_SECS_MAX,
            max_age_secs_min: 0,
            stale_while_revalidate_secs: 0,
            fresh: false,
            default_visibility: Visibility::Org,
            html_sandbox: false,
            lake_only_public: true,
            cors_origins: CorsOrigins::List(vec![
                "https://a.example".to_owned(),
                "http://localhost:8787".to_owned(),
                "https://[::1]:8443".to_owned(),
            ]),
        };
        assert_eq!(config, expected);
        assert!(config.allows_mode(Mode::Preview) && !config.allows_mode(Mode::Build));
        assert!(config.allows_origin("https://a.example") && !config.allows_origin("https://b.example"));
    }

    #[test]
    fn error_names_field_value_and_limit() {
        for (text, message) in [
            ("", "the configuration is not a JSON object (line 1, column 0)"),
            ("[]", "the configuration is not a JSON object (line 1, column 0)"),
            ("{\n\"fresh\":tru}", "the configuration is not a JSON object (line 2, column 12)"),
            (r#"{"maxAge":1}"#, "\"maxAge\" is not a field of the configuration"),
            (r#"{"fresh":true,"fresh":true}"#, "\"fresh\" stands twice"),
            (r#"{"fresh":"yes"}"#, "fresh is \"yes\"; it must be true or false"),
            (r#"{"fresh":null}"#, "fresh is null; it must be true or false"),
            (
                r#"{"requests_per_minute":-1}"#,
                "requests_per_minute is -1; it must be a whole number, not negative",
            ),
            (
                r#"{"requests_per_minute":1.5}"#,
                "requests_per_minute is 1.5; it must be a whole number, not negative",
            ),
            (r#"{"records_per_request":0}"#, "records_per_request is 0; it must lie between 1 and 100000000"),
            (
                r#"{"request_len_bytes":5000000001}"#,
                "request_len_bytes is 5000000001; it must lie between 1 and 5000000000",
            ),
            (
                r#"{"requests_per_minute":60001}"#,
                "requests_per_minute is 60001; it must lie between 1 and 60000",
            ),
            (r#"{"max_age_secs":31536001}"#, "max_age_secs is 31536001; it must lie between 0 and 31536000"),
            (r#"{"max_age_secs":5}"#, "max_age_secs_min is 10; it must lie between 0 and 5"),
            (
                r#"{"stale_while_revalidate_secs":31536001}"#,
                "stale_while_revalidate_secs is 31536001; it must lie between 0 and 31536000",
            ),
            (
                r#"{"default_visibility":"private"}"#,
                "default_visibility is \"private\"; it must be \"public\", \"unlisted\", \"org\" or \"user\"",
            ),
            (r#"{"modes":"bulk"}"#, "modes is \"bulk\"; it must be a list of modes"),
            (r#"{"modes":["Bulk"]}"#, "modes is \"Bulk\"; it must be \"preview\", \"build\" or \"bulk\""),
            (r#"{"modes":[]}"#, "modes is empty"),
            (r#"{"modes":["bulk"]}"#, "default_mode is \"build\", which is not one of modes"),
            (r#"{"default_mode":1}"#, "default_mode is 1; it must be \"preview\", \"build\" or \"bulk\""),
            (r#"{"cors_origins":"*"}"#, "cors_origins is \"*\"; it must be a list of origins"),
            (
                r#"{"cors_origins":["https://A.example"]}"#,
                "cors_origins holds https://A.example; an origin is scheme://host or scheme://host:port in lower case, or \"*\" alone",
            ),
            (r#"{"cors_origins":[1]}"#, "cors_origins is [1]; it must be a list of origins"),
        ] {
            check_error(text, message);
        }
        let origins = vec![r#""https://a""#; CORS_ORIGINS_MAX + 1].join(",");
        check_error(
            &format!(r#"{{"cors_origins":[{origins}]}}"#),
            "cors_origins has 65 entries; at most 64 are allowed",
        );
        check_error(
            &" ".repeat(CONFIG_LEN_BYTES_MAX + 1),
            "the configuration has 32769 bytes; at most 32768 are allowed",
        );
        check_error(
            "{\"fresh\":\"\u{7f}\u{85}\\n\"}",
            "fresh is \"\u{fffd}\u{fffd}\\n\"; it must be true or false",
        );
        check_error(
            r#"{"cors_origins":["a\nb"]}"#,
            "cors_origins holds a\u{fffd}b; an origin is scheme://host or scheme://host:port in lower case, or \"*\" alone",
        );
        let long = format!(r#"{{"{}":1}}"#, "é".repeat(65));
        check_error(&long, &format!("\"{}…\" is not a field of the configuration", "é".repeat(64)));
    }

    #[test]
    fn any_origin_is_a_star_alone() {
        let any = TenantConfig::parse(r#"{"cors_origins":["*"]}"#).unwrap();
        assert!(any.allows_origin("https://anything.example"));
        let mixed = TenantConfig::parse(r#"{"cors_origins":["*","https://a.example"]}"#);
        assert_eq!(mixed, Err(TenantConfigError::NotAnOrigin { value: "*".to_owned() }));
    }

    #[test]
    fn longest_namespace_gives_a_key_that_kv_takes() {
        let ns = Namespace::parse(&"a".repeat(253)).unwrap();
        assert_eq!(TenantConfig::kv_key(&Namespace::parse("App.do").unwrap()), "artifact-config:app.do");
        assert!(TenantConfig::kv_key(&ns).len() <= 512);
    }

    proptest! {
        #[test]
        fn any_text_is_a_configuration_or_an_error(text in "\\PC{0,100}", field in "[a-z_]{1,30}", value in "\\PC{0,20}") {
            let _ = TenantConfig::parse(&text);
            let _ = TenantConfig::parse(&format!("{{\"{field}\":{value}}}"));
            for known in ["modes", "max_age_secs", "fresh", "default_visibility", "cors_origins"] {
                if let Ok(config) = TenantConfig::parse(&format!("{{\"{known}\":{value}}}")) {
                    prop_assert_eq!(config.validate(), Ok(()));
                }
            }
        }
    }
}
