//! Writes floating-point numbers as Redis 7.2 does.

/// Redis writes a number without an exponent if that takes fewer further digits than this.
const FURTHER_DIGITS_MAX: i32 = 7;

/// Formats a number of a reply: integers up to half of the range of `i64` have all digits.
///
/// ```
/// assert_eq!(resp::number::double(1e17), "100000000000000000");
/// assert_eq!(resp::number::double(0.1), "0.1");
/// ```
#[must_use]
pub fn double(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    // Zero keeps its sign.
    match whole(value).filter(|number| *number != 0) {
        Some(number) => number.to_string(),
        None => shortest(value),
    }
}

/// Returns the integer of a number that Redis writes without an exponent: a whole one up to half of the range
/// of `i64`.
///
/// ```
/// assert_eq!(resp::number::whole(3e9), Some(3_000_000_000));
/// assert_eq!(resp::number::whole(0.5), None);
/// assert_eq!(resp::number::whole(1e20), None);
/// ```
#[must_use]
pub fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = (i64::MAX / 2) as f64;
    (value.abs() <= LIMIT && value.trunc() == value).then_some(value as i64)
}

/// Formats a number with the fewest digits that identify it.
///
/// ```
/// assert_eq!(resp::number::shortest(1e17), "1e+17");
/// assert_eq!(resp::number::shortest(123456789.5), "123456789.5");
/// ```
#[must_use]
pub fn shortest(value: f64) -> String {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let value = value.abs();
    if value.is_nan() || value.is_infinite() || value == 0.0 {
        let name = if value.is_nan() { "nan" } else { "inf" };
        return format!("{sign}{}", if value == 0.0 { "0" } else { name });
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    format!("{sign}{}", placed(&digits, exponent))
}

/// Writes digits, the first of which stands for a power of ten, with their point.
fn placed(digits: &str, exponent: i32) -> String {
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The power of the last digit.
    let last = exponent + 1 - count;
    if last >= 0 && exponent < count + FURTHER_DIGITS_MAX {
        return format!("{digits}{}", "0".repeat(zeros(last)));
    }
    if last < 0 && (last > -FURTHER_DIGITS_MAX || exponent.abs() < 4) {
        return if exponent < 0 {
            format!("0.{}{digits}", "0".repeat(zeros(-exponent - 1)))
        } else {
            let (whole, part) = digits.split_at(zeros(exponent + 1));
            format!("{whole}.{part}")
        };
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{}", exponent.unsigned_abs())
}

fn zeros(count: i32) -> usize {
    usize::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_digits_as_redis_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.3333333333333333"),
            (0.0001, "0.0001"),
            (0.00001, "0.00001"),
            (-1e-7, "-1e-7"),
            (-1.2345e-7, "-1.2345e-7"),
            (5e-324, "5e-324"),
            (123_456.789, "123456.789"),
            (12_345_678.9, "12345678.9"),
            (123_456_789.123_456_79, "1.2345678912345679e+8"),
            (1.5, "1.5"),
            (-12.25, "-12.25"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (0.001_234_567_8, "0.0012345678"),
            (0.000_123_456_78, "1.2345678e-4"),
            (1e7, "10000000"),
            (1e8, "1e+8"),
            (1.23e12, "1.23e+12"),
            (1e15, "1e+15"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (1e100, "1e+100"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (-f64::NAN, "-nan"),
        ] {
            assert_eq!(shortest(value), expected);
        }
    }

    #[test]
    fn integers_of_replies_have_all_digits() {
        for (value, expected) in [
            (3.0, "3"),
            (1e17, "100000000000000000"),
            (4.6e18, "4600000000000000000"),
            (4.7e18, "4.7e+18"),
            (-1e15, "-1000000000000000"),
            (0.061, "0.061"),
            (-0.0, "-0"),
            (-f64::NAN, "nan"),
        ] {
            assert_eq!(double(value), expected);
        }
    }
}
