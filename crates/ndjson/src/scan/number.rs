//! Numbers (RFC 8259 §6), and whether a double can hold them.

use std::cmp::Ordering;

use firn_types::error::LineErrorCode;

use super::{Fault, Kind, Scanner};

/// Decimal digits of an integer part that can never overflow: 10^308 - 1 is below `f64::MAX` (1.797… * 10^308).
const DIGIT_COUNT_SAFE: usize = 308;

/// The least number that rounds to infinity: 2^1024 - 2^970, halfway between `f64::MAX` and the next power of two (IEEE
/// 754 §4.3.1: ties go to the even significand, which is the power's).
const OVERFLOW: &[u8] = b"179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497792";

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
        if may_overflow && overflows(self.slice(integer_idx, self.at_idx)) {
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

/// Whether a number without its sign rounds to infinity as a double. By comparing digits: the standard library's parser
/// brings 10 KB of tables that no compression makes smaller.
fn overflows(number: &str) -> bool {
    let (significand, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (integer, fraction) = significand.split_once('.').unwrap_or((significand, ""));
    let digits = || integer.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0');
    let zero_count = integer.len() + fraction.len() - digits().count();
    // How many digits there are left of the point: the number is below 10 to their power.
    let magnitude =
        parse_exponent(exponent).saturating_add_unsigned(integer.len()).saturating_sub_unsigned(zero_count);
    match magnitude.cmp(&OVERFLOW.len().cast_signed()) {
        Ordering::Less => false,
        Ordering::Equal => digits().ge(OVERFLOW.iter().copied()),
        Ordering::Greater => digits().next().is_some(),
    }
}

/// An exponent, at the nearest end of the range if it lies beyond: no line is long enough to make up for it.
fn parse_exponent(exponent: &str) -> isize {
    let end = if exponent.starts_with('-') { isize::MIN } else { isize::MAX };
    exponent.parse().unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected(number: &str) -> bool {
        number.parse::<f64>().unwrap().is_infinite()
    }

    #[test]
    fn overflow_begins_halfway_to_the_next_power_of_two() {
        let least = std::str::from_utf8(OVERFLOW).unwrap();
        let (first, rest) = least.split_at(1);
        let below = format!("{}91", least.strip_suffix("92").unwrap());
        for (number, overflow) in [
            (least, true),
            (&format!("{first}.{rest}e308"), true),
            (&format!("0.000{least}e+312"), true),
            (&format!("{least}.0"), true),
            (&below, false),
            (&format!("{below}.999999"), false),
            ("1.7976931348623157e308", false),
            ("1.7976931348623159E308", true),
            ("0e999999999999999999999", false),
            ("0.0e400", false),
            ("1e999999999999999999999", true),
            ("1e-999999999999999999999", false),
            (&format!("0.{}1e401", "0".repeat(400)), false),
            (&format!("1{}e-400", "0".repeat(600)), false),
        ] {
            assert_eq!(overflows(number), overflow, "{number}");
            assert_eq!(expected(number), overflow, "{number}");
        }
    }

    proptest! {
        #[test]
        fn overflow_is_what_the_standard_library_says(
            number in "(0|[1-9][0-9]{0,20}|17976931348623(1|2)[0-9]{0,8})(\\.[0-9]{1,30})?[eE][+-]?(0|2[89][0-9]|30[0-9]|[0-9]{1,5})",
        ) {
            prop_assert_eq!(overflows(&number), expected(&number), "{}", number);
        }
    }
}
