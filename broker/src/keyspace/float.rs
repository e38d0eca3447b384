//! Sums of decimal fractions for `INCRBYFLOAT`.
//!
//! Redis adds in C's `long double`, which has 64 bits of mantissa on x86, and prints 17 decimals. So
//! 0.1 and 0.2 add up to 0.3. Rust has no such type. This module computes with integers of any
//! length and rounds each result as x86 does, so all texts equal those of Redis.

use num_bigint::{BigInt, BigUint, Sign};

/// A finite number: `mantissa` times two to the power of `exponent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Float {
    is_negative: bool,
    mantissa: u64,
    exponent: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Finite(Float),
    /// Sums with infinity are errors.
    Infinite,
}

/// Number of decimals printed.
const DECIMALS: usize = 17;
const MANTISSA_BITS: i64 = 64;
/// Exponent of the smallest positive number.
const EXPONENT_MIN: i64 = -16_445;
/// All numbers are below two to the power of this.
const TOP_MAX: i64 = 16_384;
/// Redis' `MAX_LONG_DOUBLE_CHARS`.
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// Numbers with more decimal places before or after the point are infinite or zero.
const PLACES_MAX: i64 = 5_100;
/// Exponents in hexadecimal texts stay below this.
const BINARY_EXPONENT_LIMIT: u64 = 100_000;

impl Float {
    /// Parses all of `text` as C's `strtold` does, without blanks. Returns `None` if that fails, or
    /// if the number overflows or rounds to zero.
    pub(crate) fn parse(text: &[u8]) -> Option<Parsed> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let lower = text.to_ascii_lowercase();
        let (is_negative, unsigned) = match &*lower {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let float = match unsigned {
            b"inf" | b"infinity" => return Some(Parsed::Infinite),
            [b'0', b'x', rest @ ..] => hexadecimal(rest)?,
            rest => decimal(rest)?,
        };
        Some(Parsed::Finite(Self { is_negative, ..float }))
    }

    /// Returns the sum, or `None` if it overflows.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let sum = self.integer(exponent) + other.integer(exponent);
        let float = rounded(sum.magnitude(), &BigUint::from(1_u8), exponent.into())?;
        Some(Self { is_negative: sum.sign() == Sign::Minus, ..float })
    }

    /// Formats the number as Redis does: 17 decimals without trailing zeros.
    pub(crate) fn text(self) -> String {
        let scaled = BigUint::from(self.mantissa) * BigUint::from(10_u8).pow(DECIMALS as u32);
        let digits = quotient(&scaled, &BigUint::from(1_u8), -i64::from(self.exponent));
        let digits = format!("{digits:0>width$}", width = DECIMALS + 1);
        let (whole, fraction) = digits.split_at(digits.len() - DECIMALS);
        let fraction = fraction.trim_end_matches('0');
        let is_zero = whole == "0" && fraction.is_empty();
        let sign = if self.is_negative && !is_zero { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{fraction}")
    }

    /// Returns the number divided by two to the power of `exponent`, which is at most its own.
    fn integer(self, exponent: i32) -> BigInt {
        let sign = if self.is_negative { Sign::Minus } else { Sign::Plus };
        BigInt::from_biguint(sign, BigUint::from(self.mantissa)) << (self.exponent - exponent)
    }
}

impl From<i64> for Float {
    fn from(number: i64) -> Self {
        Self { is_negative: number < 0, mantissa: number.unsigned_abs(), exponent: 0 }
    }
}

/// Rounds `above / below`, times two to the power of `exponent`, to the nearest number. Returns
/// `None` if that overflows.
fn rounded(above: &BigUint, below: &BigUint, exponent: i64) -> Option<Float> {
    if *above == BigUint::ZERO {
        return Some(Float::default());
    }
    let bits = |number: &BigUint| i64::try_from(number.bits()).ok();
    // The quotient has `top` or `top + 1` bits. The smallest numbers keep fewer than 64 of them.
    let top = bits(above)? - bits(below)?;
    let mut shift = (top - MANTISSA_BITS).max(EXPONENT_MIN - exponent);
    let mut mantissa = quotient(above, below, shift);
    // The second round is for a number just below a power of two, which is rounded up to it.
    while bits(&mantissa)? > MANTISSA_BITS {
        shift += 1;
        mantissa = quotient(above, below, shift);
    }
    let exponent = exponent + shift;
    if exponent + bits(&mantissa)? > TOP_MAX {
        return None;
    }
    let (mantissa, exponent) = (u64::try_from(mantissa).ok()?, i32::try_from(exponent).ok()?);
    Some(Float { is_negative: false, mantissa, exponent })
}

/// Divides, and divides by two to the power of `shift`. Rounds to the nearest integer, half to even.
fn quotient(above: &BigUint, below: &BigUint, shift: i64) -> BigUint {
    let (above, below) = match shift {
        0.. => (above.clone(), below << shift),
        _ => (above << -shift, below.clone()),
    };
    let quotient = &above / &below;
    let twice = (above - &quotient * &below) << 1;
    let is_up = twice > below || twice == below && quotient.bit(0);
    quotient + u8::from(is_up)
}

/// Parses digits with a point and an exponent of ten.
fn decimal(text: &[u8]) -> Option<Float> {
    let Digits { number, scale, count } = Digits::read(text, 10, b'e')?;
    if number == BigUint::ZERO {
        return Some(Float::default());
    }
    let places = scale.saturating_add(i64::try_from(count).ok()?);
    if !(-PLACES_MAX..=PLACES_MAX).contains(&places) {
        return None;
    }
    let power = BigUint::from(10_u8).pow(u32::try_from(scale.unsigned_abs()).ok()?);
    let float = match scale {
        0.. => rounded(&(number * power), &BigUint::from(1_u8), 0),
        _ => rounded(&number, &power, 0),
    };
    float.filter(|float| float.mantissa != 0)
}

/// Parses hexadecimal digits with a point and an exponent of two.
fn hexadecimal(text: &[u8]) -> Option<Float> {
    let Digits { number, scale, .. } = Digits::read(text, 16, b'p')?;
    if scale.unsigned_abs() >= BINARY_EXPONENT_LIMIT {
        return None;
    }
    let float = rounded(&number, &BigUint::from(1_u8), scale)?;
    (float.mantissa != 0 || number == BigUint::ZERO).then_some(float)
}

/// The digits of a number, and the power of ten or two to multiply them by.
struct Digits {
    number: BigUint,
    scale: i64,
    count: usize,
}

impl Digits {
    fn read(text: &[u8], base: u32, mark: u8) -> Option<Self> {
        let (digits, exponent) = match text.iter().position(|byte| *byte == mark) {
            Some(at) => (&text[..at], exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let point = digits.iter().position(|byte| *byte == b'.');
        let (whole, fraction) =
            point.map_or((digits, &digits[..0]), |at| (&digits[..at], &digits[at + 1..]));
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.iter().all(|&byte| char::from(byte).is_digit(base)) {
            return None;
        }
        let number = BigUint::parse_bytes(&digits, base)?;
        let bits = if base == 16 { 4 } else { 1 };
        let scale = exponent.saturating_sub(i64::try_from(fraction.len()).ok()? * bits);
        Some(Self { number, scale, count: digits.len() })
    }
}

/// Parses an exponent. Clamps it to a million, which is beyond all numbers.
fn exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_i64, |number, digit| {
        number.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    Some(sign * number.min(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(text: &str) -> Float {
        match Float::parse(text.as_bytes()) {
            Some(Parsed::Finite(float)) => float,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn sums_are_what_long_doubles_are() {
        for (one, other, sum) in [
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("3", "1.1", "4.1"),
            ("5.0e3", "2.0e2", "5200"),
            ("1", "-1", "0"),
            ("-0", "0", "0"),
            ("1e-17", "0", "0.00000000000000001"),
            ("1e-18", "0", "0"),
            ("0.30000000000000004", "0", "0.30000000000000004"),
            ("17179869185", "1.5", "17179869186.5"),
            ("9223372036854775807", "9223372036854775807", "18446744073709551614"),
            ("1e20", "1", "100000000000000000000"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("1e19", "0.25", "10000000000000000000"),
            ("0x1.8p1", "0", "3"),
            ("1e300", "-1e300", "0"),
        ] {
            let text = float(one).plus(float(other)).unwrap().text();
            assert_eq!(text, sum, "{one} + {other}");
            let mirrored = float(other).plus(float(one)).unwrap().text();
            assert_eq!(mirrored, sum, "{other} + {one}");
        }
    }

    #[test]
    fn the_largest_and_the_smallest() {
        let largest = float("1.18973149535723176502e4932");
        assert_eq!(largest.plus(largest), None);
        assert_eq!(Float::parse(b"1.2e4932"), None);
        assert_eq!(Float::parse(b"1e-4951"), None);
        assert_eq!(float("3.6e-4951").text(), "0");
        assert_eq!(Float::parse(b"1e999999999999999999999"), None);
    }

    #[test]
    fn texts_without_a_number() {
        for text in ["", " 1", "1 ", "1e", "x", ".", "0x", "1,5", "nan", "1.2.3", "--1", "1e5.0"] {
            assert_eq!(Float::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Float::parse(b"-Infinity"), Some(Parsed::Infinite));
    }
}
