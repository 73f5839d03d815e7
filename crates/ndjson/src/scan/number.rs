//! Numbers (RFC 8259 §6), and whether a double can hold them.

use firn_types::error::LineErrorCode;

use super::{Fault, Kind, Scanner};

/// Decimal digits of an integer part that can never overflow: 10^308 - 1 is below `f64::MAX` (1.797… * 10^308).
const DIGIT_COUNT_SAFE: usize = 308;

impl Scanner<'_> {
    /// Reads a number; the cursor is on its first character.
    pub(super) fn number(&mut self) -> Result<Kind, Fault> {
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
        if may_overflow && !self.slice(start_idx, self.at_idx).parse::<f64>().is_ok_and(f64::is_finite) {
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
}
