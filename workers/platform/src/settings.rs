//! Settings of a Worker: variables and secrets of its environment.

use firn_api::access::TokenRules;
use firn_auth::{
    claims::Policy,
    key_set::{JwksOrigin, KeySet},
};
use worker::Env;

/// Reads settings by name.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'e>(pub &'e Env);

impl Setting<'_> {
    /// The variable or secret of that name; `None` where it is not set or empty.
    pub fn text(&self, name: &str) -> Option<String> {
        let value = js_sys::Reflect::get(self.0, &name.into()).ok()?.as_string()?;
        Some(value).filter(|text| !text.is_empty())
    }

    /// A whole number, or the default where it is not set.
    ///
    /// # Errors
    /// The setting's name and what it should be.
    pub fn number(&self, name: &str, default: u32) -> Result<u32, String> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("{name} is not a whole number")),
        }
    }

    /// Whether this is the development origin.
    pub fn is_development(&self) -> bool {
        self.text("FIRN_DEVELOPMENT").as_deref() == Some("on")
    }
}

/// Keys, issuers and audiences: `FIRN_HS256_SECRET`, `FIRN_JWKS`, `FIRN_ISSUERS`, `FIRN_AUDIENCES`.
///
/// # Errors
/// What is wrong with them; names no key material.
pub fn token_rules(env: &Env) -> Result<TokenRules, String> {
    let setting = Setting(env);
    let mut keys = KeySet::default();
    if let Some(secret) = setting.text("FIRN_HS256_SECRET") {
        keys = keys.and(&KeySet::from_secret(&secret).map_err(|e| format!("FIRN_HS256_SECRET: {e}"))?);
    }
    if let Some(jwks) = setting.text("FIRN_JWKS") {
        keys =
            keys.and(&KeySet::parse(&jwks, JwksOrigin::Configured).map_err(|e| format!("FIRN_JWKS: {e}"))?);
    }
    let policy = Policy::parse(
        &setting.text("FIRN_ISSUERS").unwrap_or_default(),
        &setting.text("FIRN_AUDIENCES").unwrap_or_default(),
    )
    .map_err(|error| format!("FIRN_ISSUERS, FIRN_AUDIENCES: {error}"))?;
    Ok(TokenRules { keys, policy })
}
