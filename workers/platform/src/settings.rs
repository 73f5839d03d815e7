//! Settings of a Worker: variables and secrets of its environment.

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
