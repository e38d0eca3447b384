//! Compares an output with the text: `...` stands for anything within a line, and alone for any lines.

const ANYTHING: &str = "...";

/// Returns whether all lines are as expected.
pub(crate) fn matches(expected: &[String], found: &[&str]) -> bool {
    match expected.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first == ANYTHING => {
            (0..=found.len()).any(|skipped| matches(rest, &found[skipped..]))
        }
        Some((first, rest)) => found.split_first().is_some_and(|(line, others)| {
            line_matches(first, line.trim_end()) && matches(rest, others)
        }),
    }
}

/// Returns whether an output that goes on has these lines in this order.
pub(crate) fn has(expected: &[String], found: &[&str]) -> bool {
    let mut found = found.iter();
    expected.iter().all(|line| found.any(|found| line_matches(line, found.trim_end())))
}

fn line_matches(expected: &str, found: &str) -> bool {
    let mut parts = expected.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    last.map_or(rest.is_empty(), |last| rest.is_empty() || last.is_empty() || found.ends_with(last))
}

#[test]
fn dots_stand_for_anything() {
    let check = |expected: &[&str], found: &[&str], result| {
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(matches(&expected, found), result, "{expected:?} {found:?}");
    };
    check(&["PONG"], &["PONG"], true);
    check(&["PONG"], &["PONG", "more"], false);
    check(&["a ... c"], &["a b c"], true);
    check(&["a ... c"], &["a b c d"], false);
    check(&["... Ready"], &["1:M * Ready"], true);
    check(&["a", "...", "z"], &["a", "b", "c", "z"], true);
    check(&["a", "..."], &["a"], true);
    check(&["a...b...c"], &["a1b2c"], true);
}
