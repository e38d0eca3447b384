//! The ACL file: a line `user NAME RULE...` for each user.
//!
//! Single blanks separate the words, without quotes. Lines that begin with `#` are comments, as in
//! Redis 8.8; a saved file has none. A file is accepted as a whole or not at all, and one error lists
//! all its mistakes.

use super::rule::{self, RuleError};
use super::user::User;
use super::{Acl, ChannelsDefault, DEFAULT_USER};

impl Acl {
    /// Parses the text of a file. Its errors contain the name `file`. A default user that the file
    /// lacks has all permissions.
    ///
    /// # Errors
    ///
    /// All mistakes in one text, which `ACL LOAD` returns after `ERR ` and the log shows at the start.
    pub(crate) fn load(
        text: &[u8],
        file: &str,
        channels_default: ChannelsDefault,
    ) -> Result<Self, Vec<u8>> {
        let mut acl = Self { users: Default::default(), channels_default };
        let mut complaints = Vec::new();
        for (line, number) in text.split(|&byte| byte == b'\n').zip(1..) {
            let place = format!("{file}:{number}");
            match trim(line, b" \t\r\n") {
                [] | [b'#', ..] => {}
                line => acl.load_line(line, &place, number, &mut complaints),
            }
        }
        if !complaints.is_empty() {
            complaints.extend_from_slice(NOTHING_CHANGED);
            return Err(complaints);
        }
        if !acl.users.contains_key(DEFAULT_USER) {
            acl.insert(User::unrestricted(DEFAULT_USER));
        }
        Ok(acl)
    }

    /// Returns the text of a file with these users.
    pub(crate) fn to_file(&self) -> Vec<u8> {
        self.list().into_iter().flat_map(|line| [line, b"\n".to_vec()].concat()).collect()
    }

    fn load_line(&mut self, line: &[u8], place: &str, number: usize, complaints: &mut Vec<u8>) {
        let words: Vec<_> = line.split(|&byte| byte == b' ').collect();
        let [b"user", name, rules @ ..] = words.as_slice() else {
            let end = "should start with user keyword followed by the username. ";
            complaints.extend_from_slice(format!("{place} {end}").as_bytes());
            return;
        };
        let shown = rule::text(name);
        if rule::has_blanks(name) {
            let parts = [format!("'{place}: username '").as_bytes(), shown, INVALID_NAME].concat();
            complaints.extend_from_slice(&parts);
        } else if self.users.contains_key(*name) {
            let end = format!("' found on line {number}. ");
            complaints.extend_from_slice(&[DUPLICATE_USER, shown, end.as_bytes()].concat());
        } else {
            let user = self.load_user(name, rules, place, complaints);
            self.insert(user);
        }
    }

    fn load_user(
        &self,
        name: &[u8],
        rules: &[&[u8]],
        place: &str,
        complaints: &mut Vec<u8>,
    ) -> User {
        let mut user = User::new(name, self.channels_default);
        let Ok(rules) = rule::join_selectors(rules) else {
            let text = format!("{place}: Unmatched parenthesis in selector definition.");
            complaints.extend_from_slice(text.as_bytes());
            return user;
        };
        let mut is_reported = false;
        for rule in &rules {
            let rule = trim(rule, b"\t\r\n");
            let Err(error) = user.apply(rule, self.channels_default) else { continue };
            if error == RuleError::Unknown {
                let start = format!("{place}: Error in applying operation '");
                let end = format!("': {error}. ");
                let parts = [start.as_bytes(), rule::text(rule), end.as_bytes()];
                complaints.extend_from_slice(&parts.concat());
            } else if !is_reported {
                // Later errors may only follow from this one.
                complaints.extend_from_slice(format!("{place}: {error}. ").as_bytes());
                is_reported = true;
            }
        }
        user
    }
}

fn trim<'a>(text: &'a [u8], bytes: &[u8]) -> &'a [u8] {
    let kept = |byte: &u8| !bytes.contains(byte);
    let start = text.iter().position(kept).unwrap_or(text.len());
    let end = text.iter().rposition(kept).map_or(start, |last| last + 1);
    &text[start..end]
}

const NOTHING_CHANGED: &[u8] =
    b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed";

const INVALID_NAME: &[u8] = b"' contains invalid characters. ";

const DUPLICATE_USER: &[u8] = b"WARNING: Duplicate user '";

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = "user default on nopass sanitize-payload ~* &* +@all\n";

    fn load(text: &str) -> Result<Acl, String> {
        Acl::load(text.as_bytes(), "users.acl", ChannelsDefault::ResetChannels)
            .map_err(|complaints| String::from_utf8(complaints).unwrap())
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let saved = load(text).unwrap().to_file();
        assert_eq!(String::from_utf8(saved).unwrap(), expected, "{text}");
    }

    #[test]
    fn a_line_is_a_user() {
        check("", DEFAULT);
        check("\n \t\r\n", DEFAULT);
        check("# users\n  #user a on\n", DEFAULT);
        check(
            " user b on sanitize-payload ~x +get\r\nuser a\n",
            &format!(
                "user a off sanitize-payload resetchannels -@all\nuser b on sanitize-payload ~x resetchannels -@all +get\n{DEFAULT}"
            ),
        );
        check("user default off\n", "user default off sanitize-payload resetchannels -@all\n");
        check(
            "user z (+get  ~x) on",
            &format!(
                "{DEFAULT}user z on sanitize-payload resetchannels -@all (~x resetchannels -@all +get)\n"
            ),
        );
        // Single blanks separate words, so the name of this user is empty.
        check("user  on", &format!("user  on sanitize-payload resetchannels -@all\n{DEFAULT}"));
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        const END: &str = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
        assert_eq!(load(text).unwrap_err(), format!("{expected} {END}"), "{text}");
    }

    #[test]
    fn one_error_lists_all_mistakes() {
        const USER: &str = "should start with user keyword followed by the username.";
        for text in ["user", "USER a on", "users a", "foo a on"] {
            check_error(text, &format!("users.acl:1 {USER}"));
        }
        check_error("\nuser a\tb on", "'users.acl:2: username 'a\tb' contains invalid characters.");
        check_error("user a on\nuser a off", "WARNING: Duplicate user 'a' found on line 2.");
        check_error("user a \"on\"", "users.acl:1: Syntax error.");
        check_error(
            "user a on # comment",
            "users.acl:1: The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters.",
        );
        check_error("user a (+get (~x &a)", "users.acl:1: Syntax error.");
        check_error(
            "user a +get)",
            "users.acl:1: Error in applying operation '+get)': Unknown command or category name in ACL.",
        );
        check_error(
            "user a on <p",
            "users.acl:1: The password you are trying to remove from the user does not exist.",
        );
        assert_eq!(
            load("user a (+get").unwrap_err(),
            "users.acl:1: Unmatched parenthesis in selector definition.WARNING: ACL errors \
             detected, no change to the previously active ACL rules was performed"
        );
        check_error(
            "user a +foo +get (+bar) foo ~* ~a\nuser b foo bar",
            "users.acl:1: Error in applying operation '+foo': Unknown command or category name in ACL. \
             users.acl:1: Error in applying operation '(+bar)': Unknown command or category name in ACL. \
             users.acl:1: Syntax error. users.acl:2: Syntax error.",
        );
    }
}
