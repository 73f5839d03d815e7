//! One pass over JSON text that decides whether it is valid (RFC 8259) and where its values lie.
//!
//! Beyond the grammar it refuses what the RFC leaves open and other readers treat differently: a name twice in one
//! object, half of a surrogate pair, a number that overflows a double, nesting over [`JSON_DEPTH_MAX`]. It recurses
//! nowhere, and what it remembers is bounded by the line: eight bytes for each name of the objects that are open.

mod names;

use std::borrow::Cow;

use firn_types::error::LineErrorCode;
use firn_types::limits::JSON_DEPTH_MAX;

use self::names::Names;
use crate::escape::{self, EscapeFault, find_special, parse_escape};

/// Decimal digits of an integer part that can never overflow: 10^308 - 1 is below `f64::MAX` (1.797… * 10^308).
const DIGIT_COUNT_SAFE: usize = 308;

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
    /// Whether it is a string with an escape.
    pub(crate) has_escape: bool,
}

impl<'a> Token<'a> {
    /// The text of a string between its quotes.
    pub(crate) fn body(&self) -> &'a str {
        self.text.get(1..self.text.len().saturating_sub(1)).unwrap_or_default()
    }

    /// The value of a string; borrowed where it has no escape.
    pub(crate) fn decode(&self) -> Cow<'a, str> {
        if self.has_escape { escape::decode(self.body()) } else { Cow::Borrowed(self.body()) }
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
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a name in double quotes"));
        }
        let name = self.string()?;
        if !self.take(b':') {
            return Err(self.fault("expected ':'"));
        }
        Ok(name)
    }

    /// Reads one value with all that is in it.
    pub(crate) fn value(&mut self) -> Result<Token<'a>, Fault> {
        let kind = match self.peek() {
            Some(b'"') => return self.string(),
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            _ => return self.scalar(),
        };
        let start_idx = self.at_idx;
        self.container()?;
        Ok(Token { kind, text: self.text_from(start_idx), has_escape: false })
    }

    /// Reads an array or object. A loop with a stack of its own, so that nesting costs no machine stack.
    fn container(&mut self) -> Result<(), Fault> {
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
                _ => {
                    self.scalar()?;
                }
            }
            if self.after_value()? {
                return Ok(());
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
        let name = self.name()?;
        self.names.remember(start_idx, name.body().len(), name.has_escape);
        Ok(())
    }

    /// Reads a string; the cursor is on its first quote.
    fn string(&mut self) -> Result<Token<'a>, Fault> {
        let start_idx = self.at_idx;
        let mut has_escape = false;
        self.at_idx += 1;
        loop {
            self.at_idx += find_special(self.rest());
            match self.byte() {
                Some(b'"') => {
                    self.at_idx += 1;
                    return Ok(Token { kind: Kind::String, text: self.text_from(start_idx), has_escape });
                }
                Some(b'\\') => match parse_escape(self.rest()) {
                    Ok((_, len_bytes)) => {
                        has_escape = true;
                        self.at_idx += len_bytes;
                    }
                    Err(EscapeFault::Malformed) => return Err(self.fault("this is no escape of JSON")),
                    Err(EscapeFault::LoneSurrogate) => {
                        let what = "this escape is half of a surrogate pair";
                        return Err(Fault { code: LineErrorCode::LoneSurrogate, ..self.fault(what) });
                    }
                },
                Some(_) => return Err(self.fault("a control character in a string must be escaped")),
                None => return Err(self.fault("the string does not end")),
            }
        }
    }

    /// Reads a number or a literal.
    fn scalar(&mut self) -> Result<Token<'a>, Fault> {
        let start_idx = self.at_idx;
        let kind = match self.byte() {
            Some(b't') => self.literal("true", Kind::Bool)?,
            Some(b'f') => self.literal("false", Kind::Bool)?,
            Some(b'n') => self.literal("null", Kind::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(self.fault("expected a value")),
        };
        Ok(Token { kind, text: self.text_from(start_idx), has_escape: false })
    }

    fn literal(&mut self, word: &'static str, kind: Kind) -> Result<Kind, Fault> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.fault("expected a value"));
        }
        self.at_idx += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let start_idx = self.at_idx;
        self.at_idx += usize::from(self.byte() == Some(b'-'));
        let integer_idx = self.at_idx;
        let digit_count = self.digits()?;
        if digit_count > 1 && self.text.as_bytes().get(integer_idx) == Some(&b'0') {
            let what = "a number must not start with 0";
            return Err(Fault { at_idx: integer_idx, ..self.fault(what) });
        }
        if self.byte() == Some(b'.') {
            self.at_idx += 1;
            self.digits()?;
        }
        let has_exponent = matches!(self.byte(), Some(b'e' | b'E'));
        if has_exponent {
            self.at_idx += 1;
            self.at_idx += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let may_overflow = has_exponent || digit_count > DIGIT_COUNT_SAFE;
        if may_overflow && !self.text_from(start_idx).parse::<f64>().is_ok_and(f64::is_finite) {
            let what = "the number overflows a 64-bit float";
            return Err(Fault { code: LineErrorCode::NumberOutOfRange, at_idx: start_idx, what });
        }
        Ok(Kind::Number)
    }

    /// Reads at least one digit; gives their number.
    fn digits(&mut self) -> Result<usize, Fault> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at_idx += count;
        if count == 0 { Err(self.fault("expected a digit")) } else { Ok(count) }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at_idx).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at_idx..).unwrap_or_default()
    }

    /// The text from `start_idx` to the cursor.
    fn text_from(&self, start_idx: usize) -> &'a str {
        self.text
            .get(start_idx..self.at_idx)
            .expect("invariant: a token begins and ends at an ASCII character")
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
