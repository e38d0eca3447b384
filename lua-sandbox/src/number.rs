//! Formats numbers as C's `printf("%.*g")` does, the format of Lua.

/// Digits that Lua prints of a number (`LUAI_NUMFFORMAT`).
pub(super) const SHOWN_DIGITS: usize = 14;

/// Formats `value` with at most `digits` digits.
pub(super) fn format(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= digits {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs());
    }
    let after = usize::try_from(digits - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.after$}")).to_owned()
}

/// Converts as a cast from double to `long long` does in C on x86-64.
pub(super) fn to_integer(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

/// Removes trailing zeros after the point.
fn trimmed(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, digits: usize, expected: &str) {
        assert_eq!(format(value, digits), expected);
    }

    #[test]
    fn numbers_as_c_writes_them() {
        check(0.0, 14, "0");
        check(-0.0, 14, "-0");
        check(1.0, 14, "1");
        check(99_999_999_999_999.0, 14, "99999999999999");
        check(100_000_000_000_000.0, 14, "1e+14");
        check(0.1, 14, "0.1");
        check(0.1, 17, "0.10000000000000001");
        check(3.333_333_333_333_333, 14, "3.3333333333333");
        check(1e-5, 14, "1e-05");
        check(0.0001, 14, "0.0001");
        check(1e300, 17, "1.0000000000000001e+300");
        check(9_007_199_254_740_993.0, 17, "9007199254740992");
        check(f64::INFINITY, 14, "inf");
        check(f64::NEG_INFINITY, 14, "-inf");
        check(-f64::NAN, 14, "-nan");
        check(999_999_999_999_999.9, 14, "1e+15");
    }

    #[test]
    fn a_number_out_of_range_becomes_the_smallest_integer() {
        assert_eq!(to_integer(3.99), 3);
        assert_eq!(to_integer(-3.99), -3);
        assert_eq!(to_integer(1e300), i64::MIN);
        assert_eq!(to_integer(f64::NAN), i64::MIN);
    }
}
