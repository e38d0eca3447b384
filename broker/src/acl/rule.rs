//! The words of rules: their errors, and the words that form one selector.
//!
//! Users and selectors apply the rules.

use std::fmt;

use thiserror::Error;

/// The reason why rules are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AclError {
    /// A rule cannot be applied.
    Rule { rule: Vec<u8>, cause: RuleError },
    /// A selector begins with this rule and has no end.
    Unmatched { rule: Vec<u8> },
    /// The name is not allowed.
    Name,
}

impl AclError {
    /// Returns Redis' reply to `ACL SETUSER`, without `ERR `.
    pub(crate) fn message(&self) -> Vec<u8> {
        match self {
            Self::Rule { rule, cause } => {
                let cause = cause.to_string();
                [b"Error in ACL SETUSER modifier '", text(rule), b"': ", cause.as_bytes()].concat()
            }
            Self::Unmatched { rule } => {
                [b"Unmatched parenthesis in acl selector starting at '", text(rule), b"'."].concat()
            }
            Self::Name => b"Usernames can't contain spaces or null characters".to_vec(),
        }
    }
}

impl std::error::Error for AclError {}

impl fmt::Display for AclError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.message()))
    }
}

/// A mistake in one rule, with Redis' text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum RuleError {
    #[error("Unknown command or category name in ACL")]
    Unknown,
    #[error("Syntax error")]
    Syntax,
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
    )]
    AfterAllKeys,
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
    )]
    AfterAllChannels,
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
    )]
    PasswordHash,
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgumentOfSubcommand,
    #[error("Duplicate user found. A user can only be defined once in config files")]
    DuplicateUser,
}

/// The index of a rule that opens a parenthesis without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unmatched(pub(super) usize);

/// Joins the words of a selector, `(+get` and `~a)`, into one rule.
pub(super) fn join_selectors(words: &[&[u8]]) -> Result<Vec<Vec<u8>>, Unmatched> {
    let mut rules: Vec<Vec<u8>> = Vec::with_capacity(words.len());
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (at, &word) in words.iter().enumerate() {
        if let Some((_, selector)) = &mut open {
            // A selector inside of it is part of the rule, which is then refused.
            selector.push(b' ');
            selector.extend_from_slice(text(word));
            if word.ends_with(b")") {
                rules.extend(open.take().map(|(_, selector)| selector));
            }
        } else if word.starts_with(b"(") && !word.ends_with(b")") {
            open = Some((at, word.to_vec()));
        } else {
            rules.push(word.to_vec());
        }
    }
    open.map_or(Ok(rules), |(at, _)| Err(Unmatched(at)))
}

/// Returns the part of a rule before a NUL byte, where strings of C end.
pub(super) fn text(rule: &[u8]) -> &[u8] {
    rule.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Returns whether a name or a pattern has blanks or NUL bytes, which a file cannot hold.
pub(super) fn has_blanks(text: &[u8]) -> bool {
    // C's `isspace` counts the vertical tab as well.
    text.iter().any(|&byte| byte.is_ascii_whitespace() || byte == 0x0b || byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: Result<&[&str], Unmatched>) {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let rules = join_selectors(&words);
        let expected =
            expected.map(|rules| rules.iter().map(|rule| rule.as_bytes().to_vec()).collect());
        assert_eq!(rules, expected);
    }

    #[test]
    fn words_of_a_selector_are_one_rule() {
        check(&["on", "(+get", "~a)", ">p"], Ok(&["on", "(+get ~a)", ">p"]));
        check(&["(+get ~a)", "(+set", "", ")", "on"], Ok(&["(+get ~a)", "(+set  )", "on"]));
        check(&["(+get", "(~x)", "on"], Ok(&["(+get (~x)", "on"]));
        check(&["(+get", "(~x", "&a)", "on"], Ok(&["(+get (~x &a)", "on"]));
        check(&["+get)", "()"], Ok(&["+get)", "()"]));
        check(&["on", "(+get", "(~x"], Err(Unmatched(1)));
        check(&["("], Err(Unmatched(0)));
        check(&[], Ok(&[]));
    }
}
