//! Numbers with fractions, as `INCRBYFLOAT` counts.
//!
//! Redis adds in C's `long double`, which on most of its servers has 64 bits of mantissa, and shows
//! 17 decimals: so that 0.1 and 0.2 are 0.3. Rust has no such type, so these are those numbers, with
//! the same roundings.

use super::big::Big;

/// A finite number: the mantissa times a power of two, rounded to the nearest as x86 does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Float {
    is_negative: bool,
    mantissa: u64,
    exponent: i32,
}

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Finite(Float),
    /// Nothing can be added to it.
    Infinite,
}

/// Digits that are shown behind the point.
const DECIMALS: usize = 17;
/// The exponent of the largest mantissa, and of the smallest.
const EXPONENTS: std::ops::RangeInclusive<i32> = -16_445..=16_320;
/// Redis' `MAX_LONG_DOUBLE_CHARS`.
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// A number of so many digits is infinite, or nothing.
const DIGITS_MAX: i64 = 5_100;

/// The digits of a number, and the power of its base that they are multiplied by.
#[derive(Debug, Default)]
struct Digits {
    number: Big,
    scale: i64,
    count: usize,
}

impl Float {
    /// Reads what C's strtold does, without blanks; `None` if that is not all of the text, or too
    /// large or too small.
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

    /// Adds another; `None` if that is too large.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        if self.mantissa == 0 || other.mantissa == 0 {
            return Some(if self.mantissa == 0 { other } else { self });
        }
        let (large, small) =
            if self.size() >= other.size() { (self, other) } else { (other, self) };
        // Both with their first bit at the same place, and 62 bits more than are kept.
        let [one, two] = [large, small]
            .map(|float| u128::from(float.mantissa) << (62 + float.mantissa.leading_zeros()));
        let away = u32::try_from(large.top() - small.top()).unwrap_or(u32::MAX);
        let two = two.checked_shr(away).unwrap_or(0)
            | u128::from(away >= u128::BITS || two.trailing_zeros() < away);
        let is_sum = large.is_negative == small.is_negative;
        let sum = if is_sum { one + two } else { one - two };
        let is_negative = large.is_negative && sum != 0;
        let exponent = large.exponent - 62 - large.mantissa.leading_zeros().cast_signed();
        Some(Self { is_negative, ..rounded(sum, exponent, false)? })
    }

    /// Writes the number as Redis does: 17 decimals, without zeros at the end.
    pub(crate) fn text(self) -> String {
        let digits = self.digits();
        let whole = digits.len() - DECIMALS.min(digits.len());
        let (whole, fraction) = match self.exponent {
            0.. => (digits.as_str(), ""),
            _ => digits.split_at(whole),
        };
        let fraction = fraction.trim_end_matches('0');
        let sign =
            if self.is_negative && (whole != "0" || !fraction.is_empty()) { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{fraction}")
    }

    /// The digits of the number, with 17 behind the point unless it is whole by its exponent.
    fn digits(self) -> String {
        if let Ok(exponent) = usize::try_from(self.exponent) {
            return Big::from(self.mantissa).shifted(exponent).decimal();
        }
        let scaled = u128::from(self.mantissa) * 10_u128.pow(DECIMALS as u32);
        let bits = self.exponent.unsigned_abs();
        let shifted = scaled.checked_shr(bits).unwrap_or(0);
        let rest = scaled - shifted.checked_shl(bits).unwrap_or(0);
        let half = 1_u128.checked_shl(bits - 1).unwrap_or(u128::MAX);
        let is_up = rest > half || rest == half && !shifted.is_multiple_of(2);
        format!("{:0width$}", shifted + u128::from(is_up), width = DECIMALS + 1)
    }

    /// The place of the first bit.
    fn top(self) -> i32 {
        self.exponent - self.mantissa.leading_zeros().cast_signed()
    }

    /// Larger for what is farther from zero.
    fn size(self) -> (i32, u64) {
        (self.top(), self.mantissa << self.mantissa.leading_zeros())
    }
}

impl From<i64> for Float {
    fn from(number: i64) -> Self {
        Self { is_negative: number < 0, mantissa: number.unsigned_abs(), exponent: 0 }
    }
}

/// Rounds to 64 bits, to the even one of two that are as near. `None` if it is too large.
fn rounded(number: u128, exponent: i32, has_more: bool) -> Option<Float> {
    if number == 0 {
        return Some(Float::default());
    }
    let too_long = 64 - number.leading_zeros().cast_signed();
    // The smallest numbers have fewer bits.
    let drop = too_long.max(EXPONENTS.start() - exponent).max(0).cast_unsigned();
    let kept = number.checked_shr(drop).unwrap_or(0);
    let rest = number - kept.checked_shl(drop).unwrap_or(0);
    let half =
        if drop == 0 { u128::MAX } else { 1_u128.checked_shl(drop - 1).unwrap_or(u128::MAX) };
    let is_up = rest > half || rest == half && (has_more || !kept.is_multiple_of(2));
    let kept = kept + u128::from(is_up);
    let exponent = exponent + drop.cast_signed();
    match u64::try_from(kept) {
        Ok(mantissa) if exponent + 64 - mantissa.leading_zeros().cast_signed() <= TOP_MAX => {
            Some(Float { is_negative: false, mantissa, exponent })
        }
        Ok(_) => None,
        // It was rounded up to the next power of two.
        Err(_) if exponent + 65 <= TOP_MAX => {
            Some(Float { is_negative: false, mantissa: 1 << 63, exponent: exponent + 1 })
        }
        Err(_) => None,
    }
}

/// One more than the place of the first bit of the largest number.
const TOP_MAX: i32 = 16_384;

/// Reads digits with a point and an exponent of ten.
fn decimal(text: &[u8]) -> Option<Float> {
    let Digits { number, scale, count } = Digits::read(text, 10, b'e')?;
    if number.is_zero() {
        return Some(Float::default());
    }
    // What is far beyond all numbers is not worked out.
    let places = scale.saturating_add(i64::try_from(count).ok()?);
    if !(-DIGITS_MAX..=DIGITS_MAX).contains(&places) {
        return None;
    }
    let power = |count: i64| {
        let mut power = Big::from(1);
        (0..count).for_each(|_| power.multiply_add(10, 0));
        power
    };
    let (mut above, mut below) = (number, Big::from(1));
    if scale >= 0 {
        (0..scale).for_each(|_| above.multiply_add(10, 0));
    } else {
        below = power(-scale);
    }
    ratio(&above, &below, 0)
}

/// Reads hexadecimal digits with a point and an exponent of two.
fn hexadecimal(text: &[u8]) -> Option<Float> {
    let Digits { number, scale, .. } = Digits::read(text, 16, b'p')?;
    let scale = i32::try_from(scale).ok().filter(|scale| scale.unsigned_abs() < 100_000)?;
    if number.is_zero() {
        return Some(Float::default());
    }
    ratio(&number, &Big::from(1), scale)
}

/// Divides, and multiplies by a power of two. `None` for what is too large or too small.
fn ratio(above: &Big, below: &Big, exponent: i32) -> Option<Float> {
    /// Enough to know how the last of 64 is rounded.
    const BITS: usize = 66;
    let (have, want) = (above.bits(), below.bits() + BITS);
    let (quotient, has_more) = match want.checked_sub(have) {
        Some(bits) => above.shifted(bits).divided(below),
        None => above.clone().divided(&below.shifted(have - want)),
    };
    let shift = i32::try_from(have).ok()? - i32::try_from(want).ok()?;
    let sticky = quotient << 1 | u128::from(has_more);
    let float = rounded(sticky, shift + exponent - 1, has_more)?;
    (float.mantissa != 0).then_some(float)
}

impl Digits {
    fn read(text: &[u8], base: u32, mark: u8) -> Option<Self> {
        let (digits, exponent) = match text.iter().position(|byte| *byte == mark) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let mut read = Self::default();
        let mut places = None;
        for &byte in digits {
            if byte == b'.' && places.is_none() {
                places = Some(0_i64);
                continue;
            }
            read.number.multiply_add(base, char::from(byte).to_digit(base)?);
            read.count += 1;
            places = places.map(|places| places + 1);
        }
        if read.count == 0 {
            return None;
        }
        let bits = if base == 16 { 4 } else { 1 };
        let exponent = exponent.map_or(Some(0), exponent_of)?;
        read.scale = exponent.saturating_sub(places.unwrap_or(0) * bits);
        Some(read)
    }
}

/// Reads an exponent; beyond what matters, any is as good as another.
fn exponent_of(text: &[u8]) -> Option<i64> {
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
    fn what_is_no_number() {
        for text in ["", " 1", "1 ", "1e", "x", ".", "0x", "1,5", "nan", "1.2.3", "--1", "1e5.0"] {
            assert_eq!(Float::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Float::parse(b"-Infinity"), Some(Parsed::Infinite));
    }
}
