//! One pass over JSON text that decides whether it is valid (RFC 8259) and where its values lie.
//!
//! Beyond the grammar it refuses what the RFC leaves open and other readers treat differently: a name twice in one
//! object, half of a surrogate pair, a number that overflows a double, nesting over [`JSON_DEPTH_MAX`]. It recurses
//! nowhere, and what it remembers is bounded by the line: sixteen bytes for each name of the objects that are
//! open, and the names that were escaped.

mod names;
mod number;
mod string;

use std::borrow::Cow;

use firn_types::error::LineErrorCode;
use firn_types::limits::JSON_DEPTH_MAX;

use self::names::Names;
use crate::escape;

/// What kind of value a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// For messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// A valid value where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    /// Its text, without whitespace around it.
    pub(crate) text: &'a str,
    /// Length of what is stored: of a string's value, otherwise of the text.
    pub(crate) value_len_bytes: usize,
}

impl<'a> Token<'a> {
    /// The text of a string between its quotes.
    pub(crate) fn body(&self) -> &'a str {
        self.text.get(1..self.text.len().saturating_sub(1)).unwrap_or_default()
    }

    /// Whether a string has an escape; each is longer than what it means.
    pub(crate) fn has_escape(&self) -> bool {
        self.value_len_bytes < self.body().len()
    }

    /// The value of a string; borrowed where it has no escape.
    pub(crate) fn decode(&self) -> Cow<'a, str> {
        if !self.has_escape() {
            return Cow::Borrowed(self.body());
        }
        let mut value = String::with_capacity(self.value_len_bytes);
        escape::decode(self.body(), &mut value);
        Cow::Owned(value)
    }
}

/// What is wrong with a text, and at which byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: LineErrorCode,
    pub(crate) at_idx: usize,
    pub(crate) what: &'static str,
}

/// An array or object whose end has not been seen.
#[derive(Clone, Copy, Debug)]
enum Open {
    Array,
    /// With the number of names that were remembered before its first.
    Object {
        names_before: usize,
    },
}

/// A cursor over one text.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at_idx: usize,
    /// Containers around the text's values that the caller has entered itself.
    depth_outside: usize,
    open: Vec<Open>,
    names: Names,
}

impl<'a> Scanner<'a> {
    /// At the start of `text`; `depth_outside` levels of nesting count as open already.
    pub(crate) fn new(text: &'a str, depth_outside: usize) -> Self {
        Self { text, at_idx: 0, depth_outside, open: Vec::new(), names: Names::default() }
    }

    /// The cursor.
    pub(crate) const fn at_idx(&self) -> usize {
        self.at_idx
    }

    /// Skips whitespace and looks at the next byte.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at_idx += 1,
                other => return other,
            }
        }
    }

    /// Skips whitespace and takes `expected`, if it is next.
    pub(crate) fn take(&mut self, expected: u8) -> bool {
        let found = self.peek() == Some(expected);
        self.at_idx += usize::from(found);
        found
    }

    /// A fault at the cursor.
    pub(crate) const fn fault(&self, what: &'static str) -> Fault {
        Fault { code: LineErrorCode::InvalidJson, at_idx: self.at_idx, what }
    }

    /// Reads a member's name and the colon after it.
    pub(crate) fn name(&mut self) -> Result<Token<'a>, Fault> {
        self.peek();
        let start_idx = self.at_idx;
        let (end_idx, value_len_bytes) = self.name_span()?;
        let text = self.slice(start_idx, end_idx);
        Ok(Token { kind: Kind::String, text, value_len_bytes })
    }

    /// Reads one value with all that is in it.
    pub(crate) fn value(&mut self) -> Result<Token<'a>, Fault> {
        let first = self.peek();
        let start_idx = self.at_idx;
        let mut value_len_bytes = None;
        let kind = match first {
            Some(b'"') => {
                value_len_bytes = Some(self.string()?);
                Kind::String
            }
            Some(b'{') => self.container(Kind::Object)?,
            Some(b'[') => self.container(Kind::Array)?,
            _ => self.scalar(first)?,
        };
        let text = self.slice(start_idx, self.at_idx);
        Ok(Token { kind, text, value_len_bytes: value_len_bytes.unwrap_or(text.len()) })
    }

    /// Reads an array or object. A loop with a stack of its own, so that nesting costs no machine stack.
    fn container(&mut self, kind: Kind) -> Result<Kind, Fault> {
        loop {
            match self.peek() {
                Some(b'{') => {
                    self.enter(Open::Object { names_before: self.names.len() })?;
                    if self.take(b'}') {
                        self.leave()?;
                    } else {
                        self.remembered_name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.enter(Open::Array)?;
                    if self.take(b']') {
                        self.leave()?;
                    } else {
                        continue;
                    }
                }
                Some(b'"') => {
                    self.string()?;
                }
                first => {
                    self.scalar(first)?;
                }
            }
            if self.after_value()? {
                return Ok(kind);
            }
        }
    }

    /// After a value: up to where the next one starts (false) or the outermost container ends (true).
    fn after_value(&mut self) -> Result<bool, Fault> {
        loop {
            match self.open.last() {
                None => return Ok(true),
                Some(Open::Array) => {
                    if self.take(b',') {
                        return Ok(false);
                    }
                    if !self.take(b']') {
                        return Err(self.fault("expected ',' or ']'"));
                    }
                }
                Some(Open::Object { .. }) => {
                    if self.take(b',') {
                        self.remembered_name()?;
                        return Ok(false);
                    }
                    if !self.take(b'}') {
                        return Err(self.fault("expected ',' or '}'"));
                    }
                }
            }
            self.leave()?;
        }
    }

    fn enter(&mut self, open: Open) -> Result<(), Fault> {
        if self.depth_outside + self.open.len() >= JSON_DEPTH_MAX {
            let what = "arrays and objects are nested over 128 deep";
            return Err(Fault { code: LineErrorCode::NestingTooDeep, at_idx: self.at_idx, what });
        }
        self.at_idx += 1;
        self.open.push(open);
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Fault> {
        if let Some(Open::Object { names_before }) = self.open.pop()
            && let Some(at_idx) = self.names.forget_object(names_before, self.text)
        {
            let what = "the object has this name already";
            return Err(Fault { code: LineErrorCode::DuplicateKey, at_idx, what });
        }
        Ok(())
    }

    fn remembered_name(&mut self) -> Result<(), Fault> {
        self.peek();
        let start_idx = self.at_idx + 1;
        let (end_idx, value_len_bytes) = self.name_span()?;
        if value_len_bytes == end_idx - 1 - start_idx {
            self.names.remember(start_idx, value_len_bytes);
        } else {
            self.names.remember_decoded(start_idx, self.slice(start_idx, end_idx - 1));
        }
        Ok(())
    }

    /// Reads a name at the cursor and the colon after it; gives where its text ends, and its value's length.
    fn name_span(&mut self) -> Result<(usize, usize), Fault> {
        if self.byte() != Some(b'"') {
            return Err(self.fault("expected a name in double quotes"));
        }
        let value_len_bytes = self.string()?;
        let end_idx = self.at_idx;
        if !self.take(b':') {
            return Err(self.fault("expected ':'"));
        }
        Ok((end_idx, value_len_bytes))
    }

    /// Reads a number or a literal that begins with `first`.
    fn scalar(&mut self, first: Option<u8>) -> Result<Kind, Fault> {
        match first {
            Some(b't') => self.literal("true", Kind::Bool),
            Some(b'f') => self.literal("false", Kind::Bool),
            Some(b'n') => self.literal("null", Kind::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.fault("expected a value")),
        }
    }

    fn literal(&mut self, word: &'static str, kind: Kind) -> Result<Kind, Fault> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.fault("expected a value"));
        }
        self.at_idx += word.len();
        Ok(kind)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at_idx).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at_idx..).unwrap_or_default()
    }

    fn slice(&self, start_idx: usize, end_idx: usize) -> &'a str {
        self.text.get(start_idx..end_idx).expect("invariant: a token begins and ends at an ASCII character")
    }
}

/// The elements of a valid array, in order.
pub(crate) fn elements(array: &str) -> impl Iterator<Item = Token<'_>> {
    let mut scanner = Scanner::new(array, 0);
    let mut is_inside = scanner.take(b'[') && scanner.peek() != Some(b']');
    std::iter::from_fn(move || {
        if !is_inside {
            return None;
        }
        let element = scanner.value().ok()?;
        is_inside = scanner.take(b',');
        Some(element)
    })
}
